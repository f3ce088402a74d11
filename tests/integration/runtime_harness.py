"""A Python runtime with real processes, and the few lines tests of it share."""

import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from textwrap import dedent
from uuid import UUID, uuid4

from msgspec.structs import replace

from millpond.runtimes.contract import Execution, Limits, Outcome, OutputSink
from millpond.runtimes.python.runtime import PythonRuntime
from millpond.runtimes.sandbox.policy import SandboxPolicy


class Printed:
    """A sink that keeps the last megabyte and counts all."""

    def __init__(self) -> None:
        self.kept = bytearray()
        self.total_bytes = 0
        self.largest_chunk = 0

    def write(self, chunk: bytes) -> None:
        self.total_bytes += len(chunk)
        self.largest_chunk = max(self.largest_chunk, len(chunk))
        self.kept = (self.kept + chunk)[-(1024**2) :]

    @property
    def text(self) -> str:
        return self.kept.decode()


class FolderEnvironments:
    """Environments by name: the lock is the name of a folder, as a stand-in for the resolver's work."""

    def __init__(self, root: Path) -> None:
        self.root = root

    async def ensure(self, lock: str) -> Path | None:
        return self.root / lock if lock else None

    async def resolve(self, code: str, output: OutputSink) -> str:
        output.write(b"resolving\n")
        return ""


@dataclass
class Harness:
    """The runtime under test and where it works."""

    runtime: PythonRuntime
    root: Path
    environments: FolderEnvironments
    printed: Printed = field(default_factory=Printed)

    def execution(
        self,
        code: str,
        args: object = None,
        *,
        env: dict[str, str] | None = None,
        timeout_seconds: float = 30,
        lock: str | None = "",
        entrypoint: str = "main",
        shared_dir: Path | None = None,
        job_id: UUID | None = None,
        raw_args: bytes | None = None,
        **limits: int,
    ) -> Execution:
        return Execution(
            job_id=job_id or uuid4(),
            language="python3",
            code=dedent(code),
            args=json.dumps(args or {}).encode() if raw_args is None else raw_args,
            env=env or {},
            limits=replace(Limits(timeout=timedelta(seconds=timeout_seconds)), **limits),
            entrypoint=entrypoint,
            lock=lock,
            shared_dir=shared_dir,
        )

    async def run(self, code: str, args: object = None, **options: object) -> Outcome:
        self.printed = Printed()
        execution = self.execution(code, args, **options)  # type: ignore[arg-type]
        return await self.runtime.run(execution, self.printed)

    async def value(self, code: str, args: object = None, **options: object) -> object:
        outcome = await self.run(code, args, **options)
        assert outcome.success, outcome.result
        return json.loads(outcome.result)

    async def error(self, code: str, args: object = None, **options: object) -> dict[str, object]:
        outcome = await self.run(code, args, **options)
        assert not outcome.success, outcome.result
        error: dict[str, object] = json.loads(outcome.result)["error"]
        return error

    def leftovers(self) -> list[str]:
        """Job directories that still exist."""
        return [path.name for path in (self.root / "jobs").iterdir()]


@asynccontextmanager
async def runtime_in(
    root: Path, policy: SandboxPolicy | None = None, grace_seconds: float = 0.5, kill_seconds: float = 10.0
) -> AsyncIterator[Harness]:
    """A started runtime that works below `root` and is closed afterwards."""
    client = root / "client"
    client.mkdir(exist_ok=True)
    (client / "wmill.py").write_text("ORIGIN = 'injected'\n")
    (root / "jobs").mkdir(exist_ok=True)
    environments = FolderEnvironments(root / "environments")
    runtime = PythonRuntime(
        work_dir=root / "jobs",
        environments=environments,
        sandbox=policy or SandboxPolicy(),
        client_path=client,
        grace_seconds=grace_seconds,
        kill_seconds=kill_seconds,
    )
    try:
        await runtime.start()
        yield Harness(runtime, root, environments)
    finally:
        await runtime.aclose()


def processes_with(marker: str) -> list[int]:
    """Pids whose command line or environment holds `marker`: how a test finds what a job left behind."""
    return [pid for pid in _pids() if _mentions(pid, marker)]


def _pids() -> Iterator[int]:
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and int(path.name) != os.getpid():
            yield int(path.name)


def _mentions(pid: int, marker: str) -> bool:
    try:
        return any(
            marker.encode() in Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")
        )
    except OSError:
        return False
