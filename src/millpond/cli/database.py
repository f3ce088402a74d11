"""Opens the instance's database for commands: the one that is running, or the embedded one for as long as it takes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

from millpond.app import Services, build_services, open_instance
from millpond.base.log import configure_logging
from millpond.base.settings import Settings
from millpond.store.embedded import EmbeddedPostgres
from millpond.store.embedded.running import running_url
from millpond.store.pool import Database

T = TypeVar("T")


@contextmanager
def database_url(settings: Settings) -> Iterator[str]:
    """The URL of the database: the configured one, the embedded one that runs, or one started for this command."""
    if settings.database_url:
        yield settings.database_url
        return
    if (url := running_url(settings.data_dir)) is not None:
        yield url
        return
    with EmbeddedPostgres(settings.data_dir).running() as started:
        yield started


@asynccontextmanager
async def services_on(settings: Settings, url: str) -> AsyncIterator[Services]:
    """The use cases, on a database that was prepared; raises StartupRefused otherwise."""
    database = await Database.connect(url, connections=2, application="millpond command")
    try:
        master_key = await open_instance(settings, database, create=False)
        yield build_services(settings, database, master_key)
    finally:
        await database.aclose()


def run_with_services(settings: Settings, work: Callable[[Services], Awaitable[T]]) -> T:
    """Run one use case from the command line."""
    configure_logging(settings, "command")

    async def run(url: str) -> T:
        async with services_on(settings, url) as services:
            return await work(services)

    with database_url(settings) as url:
        return asyncio.run(run(url))
