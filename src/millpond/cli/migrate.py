"""`millpond migrate`: bring a database to this version's schema, or only check it."""

import asyncio

import click

from millpond.app import open_instance
from millpond.base.log import configure_logging
from millpond.base.settings import Settings
from millpond.cli.database import database_url
from millpond.cli.options import settings_options
from millpond.store.migrate import verify
from millpond.store.pool import Database


@click.command("migrate")
@click.option(
    "--verify", "verify_only", is_flag=True, help="Change nothing: exit with 1 unless the schema fits."
)
@settings_options("data_dir", "database_url", "log_level", "log_format")
def migrate_command(settings: Settings, verify_only: bool) -> None:
    """Apply missing migrations and prepare a new instance."""
    configure_logging(settings, "migrate")
    with database_url(settings) as url:
        asyncio.run(_run(settings, url, verify_only=verify_only))
    click.echo("The schema fits this version.")


async def _run(settings: Settings, url: str, *, verify_only: bool) -> None:
    database = await Database.connect(url, connections=2, application="millpond migrate")
    try:
        if verify_only:
            await verify(database)
        else:
            await open_instance(settings, database, create=True)
    finally:
        await database.aclose()
