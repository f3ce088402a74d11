"""The contract between the worker and the languages it can run.

The worker owns the job (claim, arguments, logs, completion); a runtime owns one process: it starts it inside the
sandbox, feeds its output to a sink and turns however it ends into an `Outcome`. Runtimes know nothing of the
database, the queue or HTTP.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Protocol
from uuid import UUID

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one job may use. `None` means the instance does not limit it.

    `spent` is what an earlier run of the same job took of the timeout.
    """

    timeout: timedelta
    spent: timedelta = timedelta()
    memory_bytes: int | None = None
    processes: int = 512
    file_size_bytes: int = 10 * 1024**3
    open_files: int = 4096
    result_bytes: int = 512 * 1024**2


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one script: everything a runtime needs, all values already resolved.

    `args` is a JSON object in UTF-8, its key order the caller's. `env` is the whole environment of the job's
    process, nothing is inherited from the worker. `lock` is the text made by the language's resolver, None when the
    script was never locked (a preview): the runtime then resolves it itself. `shared_dir` is shown to the job as `./shared`.
    """

    job_id: UUID
    language: str
    code: str
    args: bytes
    env: Mapping[str, str]
    limits: Limits
    entrypoint: str = "main"
    lock: str | None = None
    shared_dir: Path | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a run ended.

    `result` is JSON in UTF-8: the returned value when `success`, else the object `{"error": {"name", "message", ...}}`
    (shapes: compat facts 3.6). `memory_peak_bytes` is the resident maximum of the job's process, `took` the
    time it ran, as the timeout counts it.
    """

    success: bool
    result: bytes
    memory_peak_bytes: int | None = None
    took: timedelta = timedelta()


class OutputSink(Protocol):
    """Takes what a job prints. Called from the event loop with undecoded chunks, in order; must not block."""

    def write(self, chunk: bytes) -> None: ...


class Runtime(Protocol):
    """One language. A runtime is shared by all slots of a worker and must be safe to use concurrently."""

    async def run(self, execution: Execution, output: OutputSink) -> Outcome:
        """Run the script to its end and return how it ended; never raises for anything the script does.

        A timeout is an `Outcome` like any other failure. When the awaiting task is cancelled the job's
        whole process tree is killed and reaped before `CancelledError` is re-raised; one that survives being killed
        is waited for a bounded time, and reported.
        """
        ...

    async def lock(self, code: str, output: OutputSink) -> str:
        """Resolve the script's dependencies to a lock text ("" when it has none).

        Raises `LockFailed` with the resolver's own words when they cannot be resolved.
        """
        ...

    async def aclose(self) -> None:
        """End every process the runtime keeps warm."""
        ...
