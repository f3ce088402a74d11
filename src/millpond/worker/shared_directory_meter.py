"""Measures a flow's shared directory, seldom enough that even a huge one costs little.

No file system limits a directory without quotas of its own, which need privilege and preparation: what a step
writes is noticed afterwards, within a second or so.
"""

import asyncio
import time
from concurrent.futures import Executor
from pathlib import Path
from typing import NamedTuple

from millpond.base.log import get_logger
from millpond.runtimes.sandbox.trees import disk_usage

log = get_logger()

MEASURE_EVERY_SECS = 1.0
REST_FACTOR = 10.0
"""How many times as long as it took a measurement is followed by none: a tenth of one processor is the most it takes."""


class _Measurement(NamedTuple):
    used_bytes: int
    took_secs: float


class Meter:
    """The use of one directory, for all steps that run in it; those who ask at the same time share a measurement."""

    def __init__(self, path: Path, threads: Executor) -> None:
        self._path = path
        self._threads = threads
        self._running: asyncio.Future[_Measurement | None] | None = None
        self._begun = 0
        self._rests_until = 0.0
        self.used_bytes = 0
        """As of the last measurement."""

    async def measured(self) -> int:
        """The bytes in use at some moment after this call. A measurement whose caller is cancelled still counts."""
        begun_before = self._begun
        if self._running is not None:  # it may have passed by what was written just now
            await asyncio.shield(self._running)
        if self._begun == begun_before:
            self._begin()
        if self._running is not None:
            await asyncio.shield(self._running)
        return self.used_bytes

    async def exceeds(self, most_bytes: int) -> None:
        """Returns once more than this is in use."""
        while self.used_bytes <= most_bytes:
            rest = self._rests_until - time.monotonic()
            if rest > 0:
                await asyncio.sleep(rest)
            else:
                await self.measured()

    def _begin(self) -> None:
        self._begun += 1
        self._running = asyncio.get_running_loop().run_in_executor(self._threads, self._measure)
        self._running.add_done_callback(self._end)

    def _measure(self) -> _Measurement | None:
        began = time.monotonic()
        try:
            used_bytes = disk_usage(self._path)
        except OSError as error:
            log.warning("shared_directory_not_measured", path=str(self._path), reason=str(error))
            return None
        return _Measurement(used_bytes, time.monotonic() - began)

    def _end(self, running: "asyncio.Future[_Measurement | None]") -> None:
        self._running = None
        measurement = running.result()
        took_secs = 0.0 if measurement is None else measurement.took_secs
        self._rests_until = time.monotonic() + max(MEASURE_EVERY_SECS, REST_FACTOR * took_secs)
        if measurement is not None:
            self.used_bytes = measurement.used_bytes
