"""Runs Python scripts: dependencies first, then a confined fork of a warm interpreter.

The worker trusts nothing a job can touch: arguments and results travel through files without a name that the
worker opened itself, and what a job left in its result file is checked before it is believed.
"""

import asyncio
import os
import time
from collections.abc import Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import msgspec
import structlog

from millpond.base.errors import LockFailed
from millpond.runtimes.contract import Execution, Outcome, OutputSink
from millpond.runtimes.python import outcomes, protocol
from millpond.runtimes.python.output_pipe import OutputPipe
from millpond.runtimes.python.protocol import JobFiles
from millpond.runtimes.python.zygote import ForkedJob, JobEnd, ZygoteEndedError
from millpond.runtimes.python.zygote_pool import ZygotePool
from millpond.runtimes.sandbox import directories
from millpond.runtimes.sandbox.policy import SandboxLevel, SandboxPolicy, settings_for, settle
from millpond.runtimes.sandbox.users import UserPool

log = structlog.get_logger(__name__)

_GRACE_SECONDS = 2.0
_KILL_SECONDS = 10.0
_LAST_OUTPUT_SECONDS = 2.0
# What scripts and our client commonly import. Loaded once here instead of in each job; asyncio, ssl and
# urllib.request are left out because each would add more to the cost of every fork than it saves the few jobs
# that use it.
_PRELOAD = ("base64", "datetime", "json", "typing", "traceback", "wmill")


class Environments(Protocol):
    """Where a script's packages come from."""

    async def ensure(self, lock: str) -> Path | None:
        """The folder to import the locked packages from; None for an empty lock. Raises `LockFailed`."""
        ...

    async def resolve(self, code: str, output: OutputSink) -> str:
        """The lock of a script's dependencies. Raises `LockFailed`."""
        ...


@dataclass
class _Place:
    """Where one job runs: what is given back after its end."""

    directory: Path
    shared_dir: Path | None
    user_id: int | None
    job: ForkedJob | None = None

    @property
    def is_left(self) -> bool:
        """Whether no process of the job can be there any more."""
        return self.job is None or self.job.ended.done()


class PythonRuntime:
    """The runtime of the language `python3`. Raises `SandboxUnavailable` when the policy cannot be met.

    `work_dir` must belong to this worker alone. `client_path` holds our `wmill` package, which a script gets
    unless its own packages bring one. `shared_dirs` are those that jobs shared before the worker started anew.
    """

    def __init__(
        self,
        *,
        work_dir: Path,
        environments: Environments,
        sandbox: SandboxPolicy,
        client_path: Path,
        grace_seconds: float = _GRACE_SECONDS,
        kill_seconds: float = _KILL_SECONDS,
        shared_dirs: Iterable[Path] = (),
    ) -> None:
        self.level: SandboxLevel = settle(sandbox)
        self._work_dir = work_dir.resolve()
        self._work_dir.mkdir(parents=True, exist_ok=True)
        self._environments = environments
        self._policy = sandbox
        self._client_path = client_path.resolve()
        self._grace_seconds = grace_seconds
        self._kill_seconds = kill_seconds
        self._users = UserPool() if self.level.user_switch else None
        for shared_dir in shared_dirs:
            if self._users:
                self._users.keep(shared_dir)
        self._zygotes = ZygotePool(self._configuration)
        self._files = ThreadPoolExecutor(max_workers=2, thread_name_prefix="job-directories")
        self._leaving: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Warm up, so that the first job does not wait for it."""
        await self._zygotes.get(None)

    async def run(self, execution: Execution, output: OutputSink) -> Outcome:
        """Run the script to its end and return how it ended."""
        step_id = execution.env.get("WM_FLOW_STEP_ID")
        try:
            environment = await self._environment(execution, output)
        except LockFailed as error:
            return outcomes.failed(error.message, step_id)
        user_id = self._users.acquire(execution.shared_dir) if self._users else None
        place = _Place(self._work_dir / str(execution.job_id), execution.shared_dir, user_id)
        try:
            await self._prepare(place.directory, place.shared_dir, user_id)
            return await self._run_in(place, environment, execution, output)
        except (ZygoteEndedError, OSError) as error:  # OSError: a full disk, too many files, TimeoutError
            return outcomes.failed(
                f"The job could not be run to its end: {error or 'no zygote in time'}", step_id
            )
        finally:
            if place.is_left:
                await self._vacate(place)
            else:
                self._vacate_later(place)

    async def lock(self, code: str, output: OutputSink) -> str:
        """Resolve the script's dependencies to a lock text."""
        return await self._environments.resolve(code, output)

    async def aclose(self) -> None:
        """End all zygotes and the jobs they still run."""
        await self._zygotes.aclose()
        for leaving in list(self._leaving):
            leaving.cancel()
        await asyncio.gather(*self._leaving, return_exceptions=True)
        self._files.shutdown(wait=False)
        if self._users:
            self._users.close()

    def _configuration(self, environment: Path | None) -> protocol.Configuration:
        readable = [self._client_path, *([environment] if environment else [])]
        brings_client = environment is not None and (environment / "wmill").exists()
        return {
            "confinement": settings_for(self._policy, self.level, readable=readable, work_dir=self._work_dir),
            "packages": {
                "environment": str(environment) if environment else None,
                "client": str(self._client_path),
            },
            "preload": [name for name in _PRELOAD if name != "wmill" or not brings_client],
        }

    async def _environment(self, execution: Execution, output: OutputSink) -> Path | None:
        lock = execution.lock
        if lock is None:
            lock = await self._environments.resolve(execution.code, output)
        return await self._environments.ensure(lock)

    async def _prepare(self, directory: Path, shared_dir: Path | None, user_id: int | None) -> None:
        try:
            directories.create_job_directory(directory, user_id=user_id, shared_dir=shared_dir)
        except FileExistsError:
            # Left by an earlier attempt of the same job, whose worker was killed.
            await self._remove(directory)
            directories.create_job_directory(directory, user_id=user_id, shared_dir=shared_dir)
        if shared_dir is not None and user_id is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._files, directories.give_tree_to, shared_dir, user_id)

    async def _vacate(self, place: _Place) -> None:
        # The directory goes before the user: another job with the same user must not find it.
        if not directories.remove_untouched(place.directory):
            await _finish_even_if_cancelled(self._remove(place.directory))
        if self._users and place.user_id is not None:
            self._users.release(place.user_id, place.shared_dir)

    def _vacate_later(self, place: _Place) -> None:
        """Keep the user and the directory of a job that could not be ended until it is gone."""
        log.error("job_not_ended", directory=str(place.directory), user_id=place.user_id)
        leaving = asyncio.create_task(self._vacate_at_end(place), name="await job that was killed")
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _vacate_at_end(self, place: _Place) -> None:
        assert place.job is not None
        await asyncio.wait([place.job.ended])
        log.info("job_ended_late", directory=str(place.directory))
        await self._vacate(place)

    async def _remove(self, directory: Path) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._files, directories.remove_tree, directory)
        except OSError as error:
            log.warning("job_directory_not_removed", path=str(directory), reason=str(error))

    async def _run_in(
        self, place: _Place, environment: Path | None, execution: Execution, output: OutputSink
    ) -> Outcome:
        zygote = await self._zygotes.get(environment)
        payload = _payload(execution, place.directory)
        result = os.memfd_create("result", os.MFD_CLOEXEC)
        pipe = OutputPipe(output)
        try:
            started = time.monotonic()
            place.job = zygote.fork(JobFiles(pipe.writer, payload, os.dup(result)), place.user_id)
            limits = execution.limits
            timeout = max(limits.timeout - limits.spent, timedelta())
            end, timed_out = await self._end_of(place.job, timeout.total_seconds())
            took = timedelta(seconds=time.monotonic() - started)
            pipe.drain()
            if end is None:
                return outcomes.not_ended(execution, self._kill_seconds)
            if timed_out:
                return outcomes.timed_out(execution, end)
            return msgspec.structs.replace(outcomes.from_end(end, result, execution), took=took)
        except ZygoteEndedError:
            # Its jobs die with it, only not at the same instant: the pipe's end says when they have.
            await pipe.ended(_LAST_OUTPUT_SECONDS)
            raise
        finally:
            if not place.is_left:
                # Either the kernel does not let the process go, or the zygote hears nothing: others get another one.
                self._zygotes.give_up(zygote)
            pipe.close()
            os.close(result)

    async def _end_of(self, job: ForkedJob, timeout_seconds: float) -> tuple[JobEnd | None, bool]:
        """Wait for the job's end, by force if need be; None when even a kill did not end it.

        The second value says whether its time ran out.
        """
        try:
            done, _ = await asyncio.wait([job.ended], timeout=timeout_seconds)
            if done:
                return await job.ended, False
            job.terminate()
            await asyncio.wait([job.ended], timeout=self._grace_seconds)
            job.kill()
            done, _ = await asyncio.wait([job.ended], timeout=self._kill_seconds)
            return (await job.ended if done else None), True
        except asyncio.CancelledError:
            job.kill()
            await _finish_even_if_cancelled(asyncio.wait([job.ended], timeout=self._kill_seconds))
            raise


async def _finish_even_if_cancelled(work: Coroutine[object, object, object]) -> None:
    """Do `work` to its end; a cancellation meanwhile is raised after it."""
    task = asyncio.ensure_future(work)
    cancellation = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is not None:
        raise cancellation
    task.result()


def _payload(execution: Execution, directory: Path) -> int:
    descriptor = os.memfd_create("payload", os.MFD_CLOEXEC)
    limits = execution.limits
    header: protocol.Header = {
        "entrypoint": execution.entrypoint,
        "env": _environment_of(execution.env, directory),
        "directory": str(directory),
        "shared_directory": str(execution.shared_dir) if execution.shared_dir else None,
        "package": _package(execution.env.get("WM_JOB_PATH", "")),
        "result_bytes": limits.result_bytes,
        "processes": limits.processes,
        "file_size_bytes": limits.file_size_bytes,
        "open_files": limits.open_files,
        "memory_bytes": limits.memory_bytes,
    }
    protocol.write_payload(descriptor, header, execution.code.encode("utf-8", "replace"), execution.args)
    return descriptor


def _environment_of(env: Mapping[str, str], directory: Path) -> dict[str, str]:
    return {
        "HOME": str(directory),
        "TMPDIR": f"{directory}/{directories.TEMPORARY}",
        "PATH": os.defpath,
        **env,
    }


def _package(script_path: str) -> str:
    """The package relative imports of the script at this workspace path start from; "" when it has none."""
    folders = script_path.split("/")[:-1]
    return ".".join(folders) if all(folder.isidentifier() for folder in folders) else ""
