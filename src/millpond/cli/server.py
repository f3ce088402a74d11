"""`millpond server`: the HTTP server alone."""

import asyncio
import os
import socket
from urllib.parse import quote

import click
import uvicorn
import uvloop

from millpond.app import SERVER_CONNECTIONS, build_server, build_services, open_instance
from millpond.base.errors import NotFound, StartupRefused
from millpond.base.log import configure_logging
from millpond.base.settings import Settings
from millpond.cli.listening import internal_address, listening_socket
from millpond.cli.options import SERVER_SETTINGS, settings_options
from millpond.cli.processes import LISTEN_FD, die_with_supervisor, refusals_told
from millpond.services.accounts import Accounts
from millpond.services.instance import FIRST_EMAIL
from millpond.store.pool import Database

KEEP_ALIVE_SECS = 75
SHUTDOWN_SECS = 10


@click.command()
@click.option(
    "--prepare", is_flag=True, hidden=True, help="Migrate the database and create what a first start creates."
)
@settings_options(*SERVER_SETTINGS)
def server(settings: Settings, prepare: bool) -> None:
    """Run the HTTP server; DATABASE_URL names a database that 'millpond migrate' has prepared."""
    die_with_supervisor()
    configure_logging(settings, "server")
    if settings.database_url is None:
        raise StartupRefused(
            "'millpond server' alone needs DATABASE_URL; 'millpond serve' brings a database with it"
        )
    with refusals_told():
        uvloop.run(_run(settings, settings.database_url, prepare=prepare))


async def _run(settings: Settings, url: str, *, prepare: bool) -> None:
    database = await Database.connect(url, connections=SERVER_CONNECTIONS, application="millpond server")
    try:
        master_key = await open_instance(settings, database, create=prepare)
        services = build_services(settings, database, master_key)
        inherited = os.environ.get(LISTEN_FD)
        bound = socket.socket(fileno=int(inherited)) if inherited else listening_socket(settings)
        application = build_server(settings, database, services)
        serving = uvicorn.Server(
            uvicorn.Config(
                application,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECS,
                timeout_graceful_shutdown=SHUTDOWN_SECS,
            )
        )
        announcing = asyncio.create_task(
            _announce(serving, settings, services.accounts, bound), name="announce"
        )
        await serving.serve(sockets=[bound])
        announcing.cancel()
    finally:
        await database.aclose()


async def _announce(
    serving: uvicorn.Server, settings: Settings, accounts: Accounts, bound: socket.socket
) -> None:
    while not serving.started:  # noqa: ASYNC110  # uvicorn offers no event for it
        await asyncio.sleep(0.01)
    address = settings.base_url or internal_address(settings, bound.getsockname()[1])
    click.echo(f"Millpond is up at {address}")
    try:
        if await accounts.has_password(FIRST_EMAIL):
            return
        secret = await accounts.create_login_link(FIRST_EMAIL)
    except NotFound:
        return
    click.echo(f"Log in once, within an hour, with {address}/api/auth/link/{quote(secret)}")
