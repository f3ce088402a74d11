"""Migrations: forward, once, one at a time, and never onto a schema of a newer version."""

import asyncio
from collections.abc import AsyncIterator, Iterable

import asyncpg
import pytest

from millpond.base.errors import MillpondError, StartupRefused
from millpond.store import migrate as migrations
from millpond.store.migrate import Migration, available, migrate, verify
from millpond.store.pool import Database
from tests.postgres import create_database, drop_database

NAME = "millpond_migrations"


@pytest.fixture
async def empty_url(postgres_url: str) -> AsyncIterator[str]:
    """A database nothing was done to."""
    yield await create_database(postgres_url, NAME)
    await drop_database(postgres_url, NAME)


@pytest.fixture
async def empty(empty_url: str) -> AsyncIterator[Database]:
    database = await Database.connect(empty_url, connections=2)
    yield database
    await database.aclose()


async def _tables(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    finally:
        await connection.close()
    return {row["tablename"] for row in rows}


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _carry(monkeypatch: pytest.MonkeyPatch, carried: Iterable[Migration]) -> None:
    """This version of Millpond carries these migrations."""
    kept = list(carried)
    monkeypatch.setattr(migrations, "available", lambda: kept)


async def test_migrating_twice_does_nothing_the_second_time(empty: Database, empty_url: str) -> None:
    assert await migrate(empty) == available()
    tables = await _tables(empty_url)
    assert {"job", "resource", "script", "schema_migration"} <= tables
    assert await migrate(empty) == []
    assert await _tables(empty_url) == tables
    await verify(empty)


async def test_two_who_migrate_at_once_apply_each_migration_once(empty: Database, empty_url: str) -> None:
    other = await Database.connect(empty_url, connections=1)
    try:
        applied = await asyncio.gather(migrate(empty), migrate(other))
    finally:
        await other.aclose()
    together = sorted((migration for one in applied for migration in one), key=lambda one: one.number)
    assert together == available()
    await verify(empty)


async def test_verify_of_an_empty_database_says_to_migrate(empty: Database, empty_url: str) -> None:
    with pytest.raises(StartupRefused, match="no Millpond schema yet: run 'millpond migrate'"):
        await verify(empty)
    assert await _tables(empty_url) == set(), "verify changes nothing"


async def test_verify_names_the_first_migration_that_is_missing(
    empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await migrate(empty)
    number = len(available()) + 1
    _carry(monkeypatch, [*available(), Migration(number, "later", "SELECT 1")])
    with pytest.raises(StartupRefused, match=rf"lacks 1 migration\(s\), the first is {number:04}_later"):
        await verify(empty)


@pytest.mark.parametrize("verb", [migrate, verify])
async def test_a_schema_of_a_newer_version_is_refused(empty: Database, empty_url: str, verb: object) -> None:
    await migrate(empty)
    await _run(empty_url, "INSERT INTO schema_migration (number, name) VALUES (900, 'of_the_future')")
    with pytest.raises(
        StartupRefused, match=r"has migration 900, this version of Millpond knows \d+: .*upgrade"
    ):
        await verb(empty)  # type: ignore[operator]


async def test_a_migration_that_fails_leaves_nothing_of_itself(
    empty: Database, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Migration(1, "first", "CREATE TABLE first_table (id integer)")
    broken = Migration(2, "broken", "CREATE TABLE second_table (id integer); INSERT INTO nowhere VALUES (1)")
    _carry(monkeypatch, [first, broken])
    with pytest.raises(asyncpg.UndefinedTableError):
        await migrate(empty)
    assert await _tables(empty_url) == {"schema_migration", "first_table"}

    mended = Migration(2, "mended", "CREATE TABLE second_table (id integer)")
    _carry(monkeypatch, [first, mended])
    assert await migrate(empty) == [mended]
    assert await _tables(empty_url) == {"schema_migration", "first_table", "second_table"}


async def test_a_migration_does_not_wait_for_a_busy_table_for_ever(
    empty: Database, empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A query that holds a table must not make all who come after the migration wait behind it."""
    await migrate(empty)
    number = len(available()) + 1
    # The lock timeout of the migrations is set anew here, so that the test does not wait for it.
    script = "SET LOCAL lock_timeout = '50ms'; ALTER TABLE variable ADD COLUMN added integer"
    _carry(monkeypatch, [*available(), Migration(number, "waits", script)])
    holder = await asyncpg.connect(empty_url)
    try:
        async with holder.transaction():
            await holder.execute("LOCK TABLE variable IN ACCESS SHARE MODE")
            with pytest.raises((MillpondError, asyncpg.LockNotAvailableError)):
                await migrate(empty)
    finally:
        await holder.close()
    assert [migration.number for migration in await migrate(empty)] == [number]


def test_the_migrations_are_numbered_without_a_gap() -> None:
    assert [migration.number for migration in available()] == list(range(1, len(available()) + 1))
