"""`millpond worker`: a worker alone."""

import asyncio
import signal

import click
import uvloop

from millpond.app import build_worker, connect_when_ready
from millpond.base.errors import StartupRefused
from millpond.base.log import configure_logging
from millpond.base.settings import Settings
from millpond.cli.listening import internal_address
from millpond.cli.options import WORKER_SETTINGS, settings_options
from millpond.cli.processes import die_with_supervisor, refusals_told
from millpond.worker.environment import Addresses


@click.command()
@click.option("--name", default="worker", help="Name of the worker, unique on its machine.")
@settings_options(*WORKER_SETTINGS)
def worker(settings: Settings, name: str) -> None:
    """Run jobs; DATABASE_URL names the instance's database, MILLPOND_INTERNAL_URL its server."""
    die_with_supervisor()
    configure_logging(settings, name)
    if settings.database_url is None:
        raise StartupRefused(
            "'millpond worker' alone needs DATABASE_URL; 'millpond serve' brings a database with it"
        )
    uvloop.run(_run(settings, settings.database_url, name))


async def _run(settings: Settings, url: str, name: str) -> None:
    database, master_key = await connect_when_ready(settings, url)
    internal = internal_address(settings, settings.port)
    addresses = Addresses(internal=internal, public=settings.base_url or internal)
    try:
        with refusals_told():
            running = build_worker(settings, database, master_key, addresses, name=name)
        loop = asyncio.get_running_loop()
        for asked in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(asked, running.stop)
        await running.run()
    finally:
        await database.aclose()
