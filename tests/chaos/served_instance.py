"""A `millpond serve` of the test's own: started, watched from outside, struck, and ended without a trace."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx

from millpond.store.embedded.running import running_url
from tests.chaos.eventually import eventually
from tests.chaos.processes import Process, descendants, working_in

SUPERADMIN_SECRET = "superadmin-secret-of-the-tests"
UP = "Millpond is up at "
START_SECS = 60.0
END_SECS = 60.0
QUERY_SECS = 20.0


class ServedInstance:
    """One run after another of `millpond serve` on a folder."""

    def __init__(self, folder: Path, *options: str, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.url = ""
        self._options = options
        self._environment = environment or {}
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The supervisor's process."""
        assert self._child is not None
        return self._child.pid

    async def launch(self, *options: str, environment: dict[str, str] | None = None) -> None:
        """Start it without waiting for anything."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("WM_", "MILLPOND_"))
        }
        inherited.pop("DATABASE_URL", None)
        given = {"MILLPOND_SUPERADMIN_SECRET": SUPERADMIN_SECRET, **self._environment, **(environment or {})}
        command = ("-m", "millpond", "serve", "--port", "0", "--data-dir", str(self.data_dir))
        with self.log_file.open("ab") as log, self._printed.open("wb") as printed:
            self._child = subprocess.Popen(
                [sys.executable, *command, *self._options, *options],
                env={**inherited, **given},
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=log,
                start_new_session=True,
            )

    async def start(self, *options: str, environment: dict[str, str] | None = None) -> None:
        """Start it, and return once it says that it is up."""
        await self.launch(*options, environment=environment)
        url = await eventually(self._announced, START_SECS, "the instance is up")
        assert url is not None
        self.url = url

    async def ended(self, timeout_secs: float = END_SECS) -> int:
        """Its exit code, once it has ended."""

        async def look() -> tuple[int] | None:
            assert self._child is not None
            code = self._child.poll()
            return None if code is None else (code,)

        found = await eventually(look, timeout_secs, "the supervisor has ended")
        assert found is not None
        return found[0]

    async def stop(self) -> int:
        """Ask it to stop; its exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended()

    def signal(self, order: signal.Signals) -> None:
        """Send the supervisor a signal."""
        os.kill(self.pid, order)

    def processes(self) -> list[Process]:
        """Everything the supervisor has started, directly or not."""
        return descendants(self.pid) if self._child is not None and self._child.poll() is None else []

    def part(self, name: str) -> Process | None:
        """A living part: `server`, `worker-1`, `zygote` or `postmaster`; None while there is none."""
        marks = {
            "server": " server --prepare",
            "zygote": "zygote_main.py",
            "postmaster": f"-D {self.data_dir}/postgres",
        }
        mark = marks.get(name, f" worker --name {name}")
        return next((process for process in self.processes() if mark in process.command), None)

    async def living(self, name: str) -> Process:
        """A part, once it lives."""

        async def look() -> Process | None:
            return self.part(name)

        found = await eventually(look, START_SECS, f"{name} lives")
        assert found is not None
        return found

    def left_behind(self, known: list[Process]) -> list[Process]:
        """What still lives of known processes, and whatever else concerns the instance's folder."""
        return [process for process in known if not process.is_gone] + working_in(self.data_dir)

    async def nothing_left(self, known: list[Process], timeout_secs: float) -> None:
        """Return once no process of the instance lives. Raises AssertionError naming those that do."""

        async def look() -> bool:
            return not self.left_behind(known)

        try:
            await eventually(look, timeout_secs, "no process is left")
        except AssertionError:
            raise AssertionError(f"Left behind: {self.left_behind(known)}") from None

    @asynccontextmanager
    async def database(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection of the test's own to the embedded database, once it can be had."""

        async def connect() -> asyncpg.Connection | None:
            url = running_url(self.data_dir)
            try:
                return None if url is None else await asyncpg.connect(url, timeout=5)
            except (asyncpg.PostgresError, OSError, TimeoutError):
                return None

        connection = await eventually(connect, START_SECS, "the database can be reached")
        assert connection is not None
        try:
            yield connection
        finally:
            await connection.close(timeout=5)

    async def ask(self, query: str, *values: object) -> list[asyncpg.Record]:
        """The rows of a query, asked again when the database went away meanwhile."""
        async with asyncio.timeout(START_SECS):
            while True:
                try:
                    async with self.database() as connection:
                        rows: list[asyncpg.Record] = await connection.fetch(
                            query, *values, timeout=QUERY_SECS
                        )
                        return rows
                except (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, OSError):
                    continue

    @property
    def log_file(self) -> Path:
        """Where its log is."""
        return self.folder / "log"

    def log(self) -> str:
        """What it logged."""
        return self.log_file.read_text(errors="replace")

    def client(self, timeout_secs: float = 30) -> httpx.AsyncClient:
        """The HTTP API as superadmin."""
        headers = {"authorization": f"Bearer {SUPERADMIN_SECRET}"}
        return httpx.AsyncClient(base_url=f"{self.url}/api", headers=headers, timeout=timeout_secs)

    async def clear(self) -> None:
        """End whatever is left of it."""
        if self._child is None:
            return
        known = self.processes()
        self._child.kill()
        await self.ended()
        for process in known:
            process.send(signal.SIGKILL)

    @property
    def _printed(self) -> Path:
        return self.folder / "printed"

    async def _announced(self) -> str | None:
        for line in self._printed.read_text(errors="replace").splitlines(keepends=True):
            if line.startswith(UP) and line.endswith("\n"):
                return line.removeprefix(UP).strip()
        assert self._child is not None
        assert self._child.poll() is None, f"It ended before it was up:\n{self.log()[-4000:]}"
        return None
