"""A few child processes, lent one evaluation at a time and replaced when they are worn or broken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from millpond.base.errors import Unavailable
from millpond.expressions.child_process import ChildLostError, ChildProcess, Limits

EVALUATIONS_PER_CHILD = 5000
"""After so many evaluations a child is replaced: what one of them may have done to it does not last."""


class Pool:
    """At most `size` children at work; who finds none free waits in line."""

    def __init__(self, size: int, limits: Limits) -> None:
        self._size = size
        self._limits = limits
        self._places = asyncio.Semaphore(size)
        self._idle: list[ChildProcess] = []
        self._lent: set[ChildProcess] = set()
        self._replacing: set[asyncio.Task[None]] = set()
        self._is_closed = False

    async def start(self) -> None:
        """Start all children, so that the first expressions need not wait for them."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._size - len(self._idle) - len(self._lent)):
                group.create_task(self._add(), name=f"start-expression-child-{number}")

    @asynccontextmanager
    async def lend(self, *, fresh: bool = False) -> AsyncIterator[ChildProcess]:
        """A child for one request, a `fresh` one has just begun.

        When the block raises, the child is ended: its state is unknown.
        """
        async with self._places:
            child = await (self._started() if fresh else self._taken())
            self._lent.add(child)
            is_whole = False
            try:
                if self._is_closed:
                    raise _closed()
                yield child
                is_whole = True
            finally:
                await self._give_back(child, is_whole=is_whole)

    async def aclose(self) -> None:
        """End all children; evaluations under way hear that theirs is lost."""
        self._is_closed = True
        for child in self._lent:
            child.kill()
        # Not cancelled: a process whose start is interrupted may be nobody's. They see that the pool is closed.
        await asyncio.gather(*self._replacing)
        # Lent children are closed by whom they were lent to.
        for _ in range(self._size):
            await self._places.acquire()
        for _ in range(self._size):
            self._places.release()
        while self._idle:
            await self._idle.pop().aclose()

    async def _taken(self) -> ChildProcess:
        while self._idle:
            child = self._idle.pop()
            if child.is_alive:
                return child
            await child.aclose()
        return await self._started()

    async def _started(self) -> ChildProcess:
        if self._is_closed:
            raise _closed()
        try:
            return await ChildProcess.start(self._limits)
        except (OSError, ChildLostError) as error:
            raise Unavailable(f"no process to evaluate expressions can be started: {error}") from error

    async def _add(self) -> None:
        await self._keep(await self._started())

    async def _keep(self, child: ChildProcess) -> None:
        # A replacement and an evaluation that could not wait for it may both have started one.
        if self._is_closed or len(self._idle) + len(self._lent) >= self._size:
            await child.aclose()
        else:
            self._idle.append(child)

    async def _give_back(self, child: ChildProcess, *, is_whole: bool) -> None:
        self._lent.discard(child)
        is_worn = child.evaluations >= EVALUATIONS_PER_CHILD or child.worked_seconds > self._limits.seconds
        if is_whole and child.is_alive and not is_worn:
            await self._keep(child)
            return
        child.kill()
        if not self._is_closed:
            self._replace()
        await asyncio.shield(child.aclose())

    def _replace(self) -> None:
        async def replace() -> None:
            # The next evaluation starts its own child and says why it cannot.
            try:
                await self._add()
            except Unavailable:
                return

        task = asyncio.get_running_loop().create_task(replace(), name="replace-expression-child")
        self._replacing.add(task)
        task.add_done_callback(self._replacing.discard)


def _closed() -> Unavailable:
    return Unavailable("expressions are not evaluated any more: the worker is ending")
