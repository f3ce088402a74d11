"""A place outside of the engine that steps talk to: it knows who came, and decides how they go on."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from textwrap import dedent, indent

from tests.integration.flows.building import Input, Json, raw, static
from tests.integration.live_instance import eventually

VISIT = """
import functools, socket

def visit_at(port, what):
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.sendall(f"{what}\\n".encode())
        answer = line.makefile().readline().strip()
    if not answer:
        raise ConnectionError("read")
    return int(answer) if answer.isdigit() else answer

def main(%s):
    visit = functools.partial(visit_at, port)
%s
"""


class Outside:
    """Listens on a loopback port."""

    def __init__(self) -> None:
        self.port = 0
        self.visits: list[str] = []
        self.present = 0
        self.most_at_once = 0
        self._answers: deque[int | None] = deque()
        self._held: dict[str, asyncio.Event] = {}

    def answer(self, *answers: int | None) -> None:
        """What the next visitors are told, None to be hung up on; without any they hear `ok`."""
        self._answers.extend(answers)

    def hold(self, *visitors: str) -> None:
        """Keep these visitors until they are released."""
        for visitor in visitors:
            self._held[visitor] = asyncio.Event()

    def release(self, *visitors: str) -> None:
        """Let visitors go on."""
        for visitor in visitors:
            self._held[visitor].set()

    async def visited(self, *visitors: str) -> None:
        """Returns once all of them have come."""

        async def have_come() -> bool:
            return set(visitors) <= set(self.visits)

        await eventually(have_come)

    def step(self, body: str, /, **inputs: Input) -> Json:
        """A Python step that may call `visit(what)`: it returns what it is told, or fails with "read"."""
        inputs = {"port": static(self.port), **inputs}
        return raw(VISIT % (", ".join(inputs), indent(dedent(body).strip(), "    ")), **inputs)

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Outside"]:
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
            visitor = (await reader.readline()).decode().strip()
            self.visits.append(visitor)
            self.present += 1
            self.most_at_once = max(self.most_at_once, self.present)
            told = self._answers.popleft() if self._answers else "ok"
            if visitor in self._held:
                await self._held[visitor].wait()
            self.present -= 1
            if told is not None:
                writer.write(f"{told}\n".encode())
                await writer.drain()
        except ConnectionError:
            return
        finally:
            writer.close()
