"""PostgreSQL for the whole test suite: one server a test process, as many databases as tests ask for.

Each worker of pytest-xdist runs an embedded server of its own: about a second to start, and nothing to share.
`MILLPOND_TEST_DATABASE_URL` names a server to use instead, with a user that may create databases.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from millpond.store.embedded import EmbeddedPostgres

# Nothing here has to survive a power cut.
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "32MB"}


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a database to run CREATE DATABASE and DROP DATABASE from; tests leave no tables in it."""
    given = os.environ.get("MILLPOND_TEST_DATABASE_URL")
    if given:
        yield given
        return
    folder = Path(tempfile.mkdtemp(prefix="millpond-tests-"))
    # Started by root, the server is another user, who must be able to reach its folder.
    folder.chmod(0o711)
    try:
        with EmbeddedPostgres(folder / "data", {**_FAST, "max_connections": "100"}).running() as url:
            yield url
    finally:
        shutil.rmtree(folder)


async def create_database(url: str, name: str, template: str | None = None) -> str:
    """Create a database, as a copy of `template` if given, which nobody may be connected to; its URL."""
    source = "" if template is None else f" TEMPLATE {_quoted(template)}"
    await _execute(url, f"CREATE DATABASE {_quoted(name)}{source}")
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


async def drop_database(url: str, name: str) -> None:
    """Drop a database if it exists, ending its sessions. `url` is the maintenance database's."""
    await _execute(url, f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
