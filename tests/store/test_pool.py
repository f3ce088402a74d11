"""The pool: transactions that end whole, errors that name the situation, listeners and locks that survive or let go."""

import asyncio
from typing import LiteralString

import asyncpg
import pytest

from millpond.base.errors import (
    Conflict,
    InvalidInput,
    MillpondError,
    NotFound,
    StartupRefused,
    Unavailable,
)
from millpond.store import pool
from millpond.store.pool import Database, Transaction

WAIT_SECS = 10
LOCK_KEY = 7_301

ADD_WORKSPACE = "INSERT INTO workspace (id, name, owner, sealed_key) VALUES ($1, $1, 'admin', '')"
ADD_RESOURCE = (
    "INSERT INTO resource (workspace_id, path, resource_type, created_by) VALUES ($1, $2, 'object', 'admin')"
)
COUNT_WORKSPACES = "SELECT count(*) FROM workspace"


async def _count(database: Database) -> object:
    async with database.statement() as connection:
        return await connection.fetch_value(COUNT_WORKSPACES)


async def test_a_transaction_commits_when_its_block_ends(database: Database) -> None:
    async with database.transaction() as transaction:
        assert await transaction.execute(ADD_WORKSPACE, "one") == 1
    assert await _count(database) == 1


@pytest.mark.parametrize("error", [NotFound("gone"), ValueError("a bug"), asyncio.CancelledError()])
async def test_a_transaction_rolls_back_when_its_block_raises(
    database: Database, error: BaseException
) -> None:
    async def add_and_raise() -> None:
        async with database.transaction() as transaction:
            await transaction.execute(ADD_WORKSPACE, "one")
            raise error

    with pytest.raises(type(error)):
        await add_and_raise()
    assert await _count(database) == 0


async def test_a_refused_statement_undoes_those_before_it(database: Database) -> None:
    async def add_twice() -> None:
        async with database.transaction() as transaction:
            await transaction.execute(ADD_WORKSPACE, "one")
            await transaction.execute(ADD_WORKSPACE, "one")

    with pytest.raises(Conflict):
        await add_twice()
    assert await _count(database) == 0


async def test_statements_outside_a_transaction_stand_by_themselves(database: Database) -> None:
    async with database.statement() as connection:
        await connection.execute(ADD_WORKSPACE, "one")
        with pytest.raises(Conflict):
            await connection.execute(ADD_WORKSPACE, "one")
        await connection.execute(ADD_WORKSPACE, "two")
    assert await _count(database) == 2


async def _add_member(transaction: Transaction) -> None:
    await transaction.execute("INSERT INTO account (email, username) VALUES ('a@example.com', 'a')")
    for username in ("a", "b"):
        await transaction.execute(
            "INSERT INTO workspace_user (workspace_id, username, email, role)"
            " VALUES ('one', $1, 'a@example.com', 'developer')",
            username,
        )


async def _bad_path(transaction: Transaction) -> None:
    await transaction.execute(ADD_RESOURCE, "one", "x/a/b")


async def _long_value(transaction: Transaction) -> None:
    await transaction.execute(
        "INSERT INTO variable (workspace_id, path, value, is_secret, edited_by)"
        " VALUES ('one', 'f/a/b', $1, false, 'admin')",
        "x" * 65_537,
    )


async def _group_member(transaction: Transaction) -> None:
    await transaction.execute("INSERT INTO workspace_group (workspace_id, name) VALUES ('one', 'team')")
    await transaction.execute("INSERT INTO group_member VALUES ('one', 'team', 'nobody')")


async def _bad_role(transaction: Transaction) -> None:
    await transaction.execute("INSERT INTO account (email, username) VALUES ('a@example.com', 'a')")
    await transaction.execute(
        "INSERT INTO workspace_user (workspace_id, username, email, role) VALUES ('one', 'a', 'a@example.com', 'king')"
    )


async def _nul(transaction: Transaction) -> None:
    await transaction.execute(ADD_WORKSPACE, "a\x00b")


async def _surrogate(transaction: Transaction) -> None:
    await transaction.execute(ADD_WORKSPACE, "a\ud800b")


async def _no_workspace(transaction: Transaction) -> None:
    await transaction.execute(ADD_RESOURCE, "two", "f/a/b")


async def _taken(transaction: Transaction) -> None:
    await transaction.execute(ADD_WORKSPACE, "one")


async def _bad_json(transaction: Transaction) -> None:
    await transaction.execute("INSERT INTO instance_setting (name, value) VALUES ('a', $1)", "{")


async def _huge_number(transaction: Transaction) -> None:
    await transaction.execute("SELECT $1::bigint", 2**70)


@pytest.mark.parametrize(
    ("break_rule", "kind", "message"),
    [
        (_add_member, Conflict, "That e-mail is a member of the workspace already"),
        (_bad_path, InvalidInput, "The path breaks the rule"),
        (_long_value, InvalidInput, "over 65536 characters"),
        (_group_member, NotFound, "No such user in this workspace"),
        (_no_workspace, NotFound, "What is referred to does not exist"),
        (_taken, Conflict, "workspace exists already"),
        (_bad_role, InvalidInput, "The value breaks the rule 'workspace_user_role_check'"),
        (_nul, InvalidInput, "NUL"),
        (_surrogate, InvalidInput, "cannot be stored|does not fit"),
        (_bad_json, InvalidInput, "does not fit what is stored"),
        (_huge_number, InvalidInput, "does not fit what is stored"),
    ],
)
async def test_what_the_driver_raises_becomes_a_situation(
    database: Database, break_rule: object, kind: type[MillpondError], message: str
) -> None:
    async with database.statement() as connection:
        await connection.execute(ADD_WORKSPACE, "one")
        with pytest.raises(kind, match=message) as caught:
            await break_rule(connection)  # type: ignore[operator]
        assert type(caught.value) is kind


async def test_a_lost_connection_is_unavailable_and_the_next_one_works(database: Database) -> None:
    async def lose_it() -> None:
        async with database.transaction() as transaction:
            await transaction.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    with pytest.raises(Unavailable):
        await lose_it()
    assert await _count(database) == 0


async def test_a_server_that_cannot_be_reached_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="cannot be reached"):
        await Database.connect("postgresql://nobody@127.0.0.1:1/none", connections=1)


async def test_a_server_that_is_too_old_is_refused(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MINIMUM_VERSION", 9_000)
    with pytest.raises(StartupRefused, match="is too old: 9000 or newer is needed"):
        await Database.connect(database_url, connections=1)


async def _next(received: asyncio.Queue[str]) -> str:
    async with asyncio.timeout(WAIT_SECS):
        return await received.get()


async def _execute(database: Database, query: LiteralString, *values: object) -> object:
    async with database.statement() as connection:
        return await connection.fetch_value(query, *values)


async def test_a_listener_hears_again_after_its_connection_was_lost(database: Database) -> None:
    received: asyncio.Queue[str] = asyncio.Queue()
    connected = asyncio.Event()
    listening = asyncio.create_task(
        database.listen("pool_test", received.put_nowait, connected), name="listening"
    )
    try:
        assert await _next(received) == "", "it looks for itself once it listens"
        assert connected.is_set()
        await _execute(database, "SELECT pg_notify('pool_test', 'first')")
        assert await _next(received) == "first"

        ended = await _execute(
            database,
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query LIKE 'LISTEN %'",
        )
        assert ended == 1
        assert await _next(received) == "", "what was missed is looked for"
        await _execute(database, "SELECT pg_notify('pool_test', 'second')")
        assert await _next(received) == "second"
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    assert not connected.is_set()


async def test_a_session_lock_is_held_by_one_and_free_once_left(database: Database) -> None:
    async with database.session_lock(LOCK_KEY) as held:
        assert held
        async with database.session_lock(LOCK_KEY) as held_too:
            assert not held_too
        async with database.session_lock(LOCK_KEY + 1) as another:
            assert another
    async with asyncio.timeout(WAIT_SECS):
        while not await _takes(database):
            pass  # the server notices the closed connection a moment later


async def _takes(database: Database) -> bool:
    async with database.session_lock(LOCK_KEY) as held:
        return held


async def test_a_session_lock_is_free_when_its_holder_dies(database: Database) -> None:
    async with database.session_lock(LOCK_KEY) as held:
        assert held
        await _execute(
            database,
            "SELECT count(pg_terminate_backend(pid)) FROM pg_locks WHERE locktype = 'advisory' AND objid = $1",
            LOCK_KEY,
        )
        async with asyncio.timeout(WAIT_SECS):
            while not await _takes(database):
                pass


async def test_values_are_never_part_of_the_statement(database: Database) -> None:
    hostile = "'; DROP TABLE workspace; --"
    async with database.statement() as connection:
        assert await connection.fetch_value("SELECT $1::text", hostile) == hostile
    assert await _count(database) == 0


async def test_rows_touched_are_counted(database: Database) -> None:
    async with database.statement() as connection:
        for name in ("one", "two", "three"):
            await connection.execute(ADD_WORKSPACE, name)
        assert await connection.execute("UPDATE workspace SET name = 'x' WHERE id <> 'one'") == 2
        assert await connection.execute("DELETE FROM workspace WHERE id = 'four'") == 0
        assert await connection.fetch_row("SELECT id FROM workspace WHERE id = 'four'") is None
        assert len(await connection.fetch("SELECT id FROM workspace")) == 3


async def test_errors_of_the_driver_that_are_bugs_stay_what_they_are(database: Database) -> None:
    async with database.statement() as connection:
        with pytest.raises(asyncpg.UndefinedTableError):
            await connection.fetch("SELECT 1 FROM no_such_table")
