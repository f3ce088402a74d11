"""An account outside of the engine of which job worked at which place of which flow, and when: steps come and tell."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.chaos.eventually import eventually
from tests.integration.flows.building import Input, Json, raw, static

STEP = """
import os, socket

def main(port, place, gives, fails):
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(f"{place} {os.environ['WM_JOB_ID']}\\n".encode())
        number = int(line.makefile().readline())
    if number <= fails:
        raise ValueError(f"attempt {number}")
    return gives
"""
VISIT_SECS = 60.0


class Ledger:
    """Listens on a loopback port. A visitor says its place and job, and hears which job of the place it is, from 1."""

    def __init__(self) -> None:
        self.port = 0
        self.visits: list[tuple[str, str]] = []
        self._held: dict[str, asyncio.Event] = {}

    def step(self, name: str, gives: Input, *, fails: int = 0, turn: str = "''") -> Json:
        """A Python step that tells its place, `<flow_input.flow>/<name>/<turn>`, and returns a value.

        `fails` jobs of the place raise before one does not; `gives` and `turn` are expressions.
        """
        return raw(
            STEP,
            port=static(self.port),
            place=f"flow_input.flow + '/{name}/' + {turn}",
            gives=gives,
            fails=static(fails),
        )

    def jobs_at(self, place: str) -> list[str]:
        """The jobs that came to a place, each once, in the order they came first."""
        return list(dict.fromkeys(job for visited, job in self.visits if visited == place))

    def by_place(self) -> dict[str, list[str]]:
        """The jobs of all visits, by place."""
        found: dict[str, list[str]] = {}
        for place, job in self.visits:
            found.setdefault(place, []).append(job)
        return found

    def hold(self, *places: str) -> None:
        """Keep whoever comes to these places until they are released."""
        for place in places:
            self._held[place] = asyncio.Event()

    def release(self, *places: str) -> None:
        """Let visitors go on."""
        for place in places:
            self._held[place].set()

    async def visited(self, *places: str) -> None:
        """Returns once somebody has come to all these places."""
        await self.comes_to(lambda: set(places) <= {place for place, _ in self.visits}, f"visits of {places}")

    async def comes_to(self, reached: Callable[[], bool], what: str) -> None:
        """Returns once something can be said of the visits."""

        async def look() -> bool:
            return reached()

        await eventually(look, VISIT_SECS, what)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Ledger"]:
        """Listen for the time of the block."""
        server = await asyncio.start_server(self._receive, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.release(*self._held)
            server.close()

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = (await reader.readline()).decode().strip()
            if not line:  # killed before it had spoken
                return
            place, job = line.rsplit(" ", 1)
            self.visits.append((place, job))
            if place in self._held:
                await self._held[place].wait()
            writer.write(f"{self.jobs_at(place).index(job) + 1}\n".encode())
            await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()
