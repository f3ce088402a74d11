"""The shared directory of one flow while steps of it run on this worker."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Executor
from pathlib import Path

import msgspec

from millpond.base.errors import SharedDirectoryQuotaExceeded
from millpond.runtimes.contract import Execution, Outcome, OutputSink, Runtime
from millpond.worker.shared_directory_meter import Meter

LONGEST_MEASUREMENT_SECS = 0.5
"""How long a step's end waits to be measured: what takes longer is charged to the steps that follow."""


class SharedDirectory:
    """Lent to steps, one or many at a time. `quota_bytes` None sets no limit.

    `lost_with` names the worker that has what the steps before put in; this one is empty and stands in for it.
    """

    def __init__(
        self, path: Path, quota_bytes: int | None, threads: Executor, lost_with: str | None = None
    ) -> None:
        self.path = path
        self.quota_bytes = quota_bytes
        self.lost_with = lost_with
        self.borrowers = 0
        self._meter = Meter(path, threads)

    async def measured(self) -> int:
        """The bytes in use now; of a directory that takes long to measure, those of the last time."""
        try:
            async with asyncio.timeout(LONGEST_MEASUREMENT_SECS):
                return await self._meter.measured()
        except TimeoutError:
            return self._meter.used_bytes

    async def lend(self, run: Coroutine[object, object, Outcome]) -> Outcome:
        """Let a step run in it.

        Raises SharedDirectoryQuotaExceeded, the step's processes ended, once the directory holds more than its
        quota. Where it held more before the step began, that is the step's limit: a failure handler still runs,
        and may make room.
        """
        self.borrowers += 1
        try:
            if self.quota_bytes is None:
                return await run
            return await self._run_within(max(self.quota_bytes, self._meter.used_bytes), run)
        finally:
            run.close()
            self.borrowers -= 1

    async def _run_within(self, most_bytes: int, run: Coroutine[object, object, Outcome]) -> Outcome:
        step = asyncio.create_task(run, name="run in shared directory")
        excess = asyncio.create_task(self._meter.exceeds(most_bytes), name="watch shared directory")
        try:
            await asyncio.wait([step, excess], return_when=asyncio.FIRST_COMPLETED)
            if not step.done():
                raise self._exceeded()
            outcome = step.result()
            if outcome.success and await self.measured() > most_bytes:
                raise self._exceeded()
            return outcome
        finally:
            await _end(step, excess)

    def _exceeded(self) -> SharedDirectoryQuotaExceeded:
        return SharedDirectoryQuotaExceeded(
            f"The flow's shared directory uses {self._meter.used_bytes} bytes, the limit is {self.quota_bytes}. "
            "Remove files that later steps do not need, or raise the flow's 'shared_directory.quota_bytes'"
        )


class RuntimeInDirectory:
    """A runtime whose jobs see the directory. Raises SharedDirectoryQuotaExceeded from `run`."""

    def __init__(self, runtime: Runtime, directory: SharedDirectory) -> None:
        self._runtime = runtime
        self._directory = directory

    async def run(self, execution: Execution, output: OutputSink) -> Outcome:
        """Run a step in the directory to its end."""
        within = msgspec.structs.replace(execution, shared_dir=self._directory.path)
        return await self._directory.lend(self._runtime.run(within, output))

    async def lock(self, code: str, output: OutputSink) -> str:
        """Resolve a script's dependencies."""
        return await self._runtime.lock(code, output)

    async def aclose(self) -> None:
        """End every process the runtime keeps warm."""
        await self._runtime.aclose()


async def _end(*tasks: asyncio.Task[object]) -> None:
    """Cancel tasks and wait until they have ended, a step's with all its processes."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
