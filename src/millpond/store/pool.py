"""The connection pool, transactions, and listening for notifications."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import LiteralString, TypeAlias, cast

import asyncpg

from millpond.base.errors import StartupRefused
from millpond.base.log import get_logger
from millpond.store.errors import translated
from millpond.store.queries import load

log = get_logger()

_SQL = load("pool")

CONNECT_TIMEOUT_SECS = 10
COMMAND_TIMEOUT_SECS = 120
IDLE_IN_TRANSACTION = "10s"
LISTEN_RETRY_SECS = 0.5
MINIMUM_VERSION = 15

_DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""What the driver raises when a connection is refused, cut or closing."""

Row: TypeAlias = asyncpg.Record


async def _keep_as_is(_: asyncpg.Connection) -> None:
    """Replaces the pool's reset, a round trip at each release: nothing here leaves session state behind."""


class Transaction:
    """One connection inside a transaction: the only thing store functions run on."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def fetch(self, query: LiteralString, *values: object) -> list[Row]:
        """All rows."""
        with translated():
            return cast("list[Row]", await self._connection.fetch(query, *values))

    async def fetch_row(self, query: LiteralString, *values: object) -> Row | None:
        """The first row, or None."""
        with translated():
            return cast("Row | None", await self._connection.fetchrow(query, *values))

    async def fetch_value(self, query: LiteralString, *values: object) -> object:
        """The first column of the first row, or None."""
        with translated():
            return cast("object", await self._connection.fetchval(query, *values))

    async def execute(self, query: LiteralString, *values: object) -> int:
        """Run a statement; the number of rows it touched."""
        with translated():
            tag = cast("str", await self._connection.execute(query, *values))
        last = tag.rsplit(" ", 1)[-1]
        return int(last) if last.isdigit() else 0

    async def run_script(self, script: str) -> None:
        """Run a migration: several statements without parameters, from our own files only."""
        with translated():
            await self._connection.execute(script)


class Database:
    """A PostgreSQL database behind a pool."""

    def __init__(self, pool: asyncpg.Pool, url: str) -> None:
        self._pool = pool
        self._url = url

    @classmethod
    async def connect(cls, url: str, *, connections: int = 10, application: str = "millpond") -> "Database":
        """Open a pool. Raises StartupRefused when the server is older than 15, Unavailable when it cannot be reached."""
        with translated():
            pool = await asyncpg.create_pool(
                url,
                # The driver keeps up a floor of its own with tracebacks in the log; connections are made when needed.
                min_size=0,
                max_size=connections,
                timeout=CONNECT_TIMEOUT_SECS,
                command_timeout=COMMAND_TIMEOUT_SECS,
                reset=_keep_as_is,
                server_settings={
                    "application_name": application,
                    "timezone": "UTC",
                    # A process that stands still within a transaction must not hold rows that others wait for.
                    "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION,
                },
            )
            async with pool.acquire() as connection:
                version = connection.get_server_version().major
        if version < MINIMUM_VERSION:
            await pool.close()
            raise StartupRefused(f"PostgreSQL {version} is too old: {MINIMUM_VERSION} or newer is needed")
        return cls(pool, url)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction, committed when the block ends well and rolled back when it raises."""
        with translated():
            connection = await self._pool.acquire(timeout=CONNECT_TIMEOUT_SECS)
        try:
            begun = connection.transaction()
            with translated():
                await begun.start()
            try:
                yield Transaction(connection)
            except BaseException:
                # A connection that is lost has nothing to roll back, and the first error is the one to report.
                with suppress(*_DRIVER_ERRORS):
                    await begun.rollback()
                raise
            with translated():
                await begun.commit()
        finally:
            await self._release(connection)

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Transaction]:
        """A connection on which each statement is a transaction of its own: for single reads and writes."""
        with translated():
            connection = await self._pool.acquire(timeout=CONNECT_TIMEOUT_SECS)
        try:
            yield Transaction(connection)
        finally:
            await self._release(connection)

    async def _release(self, connection: asyncpg.Connection) -> None:
        with suppress(*_DRIVER_ERRORS):
            await self._pool.release(connection)

    async def listen(
        self, channel: LiteralString, receive: Callable[[str], None], connected: asyncio.Event | None = None
    ) -> None:
        """Call `receive` with the payload of each notification, until cancelled; reconnects when the connection breaks.

        Notifications sent while disconnected are lost: `receive("")` is called after each (re)connect, so that the
        listener looks for itself. `connected` is set while a connection stands.
        """
        while True:
            lost = asyncio.Event()
            try:
                connection = await asyncpg.connect(self._url, timeout=CONNECT_TIMEOUT_SECS)
            except (*_DRIVER_ERRORS, TimeoutError):
                await asyncio.sleep(LISTEN_RETRY_SECS)
                continue
            try:
                connection.add_termination_listener(lambda *_: lost.set())  # noqa: B023  # bound to this round
                await connection.add_listener(channel, lambda *event: receive(cast("str", event[3])))
                if connected is not None:
                    connected.set()
                receive("")
                await lost.wait()
                log.warning("listen_connection_lost", channel=channel)
            except _DRIVER_ERRORS:
                await asyncio.sleep(LISTEN_RETRY_SECS)
            finally:
                if connected is not None:
                    connected.clear()
                with suppress(*_DRIVER_ERRORS, TimeoutError):
                    await connection.close(timeout=1)

    @asynccontextmanager
    async def session_lock(self, key: int) -> AsyncIterator[bool]:
        """Try to hold an advisory lock on a connection of its own; yields whether it is held.

        The lock is lost with the connection: leaders must treat it as a hint and keep their work safe when two run.
        """
        with translated():
            connection = await asyncpg.connect(self._url, timeout=CONNECT_TIMEOUT_SECS)
        try:
            with translated():
                held = cast("bool", await connection.fetchval(_SQL["try_session_lock"], key))
            yield held
        finally:
            with suppress(*_DRIVER_ERRORS, TimeoutError):
                await connection.close(timeout=1)

    async def aclose(self) -> None:
        """Close every connection; those in use get five seconds."""
        try:
            async with asyncio.timeout(5):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()
