"""Keeps zygotes warm: one per environment, the longest unused given up first."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from millpond.runtimes.python import protocol
from millpond.runtimes.python.zygote import Zygote

_KEPT_IDLE = 8


class ZygotePool:
    """Zygotes by environment (None: no packages), started when asked for and again when one has ended."""

    def __init__(self, configure: Callable[[Path | None], protocol.Configuration]) -> None:
        self._configure = configure
        self._zygotes: OrderedDict[Path | None, Zygote] = OrderedDict()
        self._starting: dict[Path | None, asyncio.Task[Zygote]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._given_up: list[Zygote] = []

    async def get(self, environment: Path | None) -> Zygote:
        """A living zygote; raises `ZygoteEndedError` or `TimeoutError` when none starts."""
        zygote = self._zygotes.get(environment)
        if zygote is not None and zygote.is_alive:
            self._zygotes.move_to_end(environment)
            return zygote
        starting = self._starting.get(environment)
        if starting is None:
            starting = asyncio.create_task(self._start(environment), name="zygote-start")
            self._starting[environment] = starting
        # Others may wait for the same zygote: one caller's cancellation must not end its start.
        return await asyncio.shield(starting)

    def give_up(self, zygote: Zygote) -> None:
        """Take no more jobs to this zygote; those it runs go on, and it ends after them."""
        for environment, known in list(self._zygotes.items()):
            if known is zygote:
                del self._zygotes[environment]
                self._given_up.append(zygote)

    async def aclose(self) -> None:
        """End all zygotes and what they run."""
        for starting in list(self._starting.values()):
            await asyncio.wait([starting])
        closing = [zygote.aclose() for zygote in [*self._zygotes.values(), *self._given_up]]
        self._zygotes.clear()
        self._given_up.clear()
        await asyncio.gather(*closing, *self._ending)

    async def _start(self, environment: Path | None) -> Zygote:
        try:
            zygote = await Zygote.start(self._configure(environment))
            self._zygotes[environment] = zygote
            self._zygotes.move_to_end(environment)
            self._give_up_oldest(keep=environment)
            return zygote
        finally:
            del self._starting[environment]

    def _give_up_oldest(self, keep: Path | None) -> None:
        idle = [e for e, z in self._zygotes.items() if e not in {None, keep} and z.is_idle]
        for environment in idle[: max(len(self._zygotes) - _KEPT_IDLE, 0)]:
            self._end(self._zygotes.pop(environment))
        for zygote in [z for z in self._given_up if z.is_idle]:
            self._given_up.remove(zygote)
            self._end(zygote)

    def _end(self, zygote: Zygote) -> None:
        ending = asyncio.create_task(zygote.aclose(), name="zygote-end")
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
