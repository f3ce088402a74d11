"""No process of a job outlives it: whatever it forks, however it ends, whoever dies first."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
import pytest_asyncio

from millpond.runtimes.contract import Outcome
from millpond.runtimes.sandbox.policy import SandboxPolicy

from .runtime_harness import Harness, Printed, processes_with, runtime_in

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")

DAEMON = """
    import os, subprocess, sys, time
    def main(marker, then):
        # Twice forked and in sessions of their own: nobody's children any more.
        for _ in range(3):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    os.execv("/bin/sleep", [marker, "1000"])
                os._exit(0)
        subprocess.Popen(["/bin/sh", "-c", "trap '' TERM; while true; do sleep 1; done", marker])
        print("started", flush=True)
        if then == "wait":
            time.sleep(1000)
        if then == "crash":
            os._exit(9)
        return os.getpid()
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["auto", "off"])
async def harness(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Harness]:
    """With PID namespaces, and the way it goes without them."""
    async with runtime_in(
        tmp_path_factory.mktemp("processes"), SandboxPolicy(mode=request.param), grace_seconds=0.3
    ) as started:
        yield started


async def until(condition: Callable[[], bool], timeout_seconds: float = 10) -> None:
    """Wait for a condition of the outside world that nothing announces."""
    async with asyncio.timeout(timeout_seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def start(harness: Harness, code: str, args: object) -> "asyncio.Task[Outcome]":
    """Start a run and return once it has printed something."""
    harness.printed = Printed()
    task = asyncio.create_task(harness.runtime.run(harness.execution(code, args), harness.printed))
    await until(lambda: harness.printed.total_bytes > 0 or task.done())
    assert not task.done(), task.result()
    return task


@pytest.mark.parametrize("then", ["return", "crash"])
async def test_daemons_end_with_the_job(harness: Harness, then: str) -> None:
    marker = f"left-{uuid4().hex}"
    outcome = await harness.run(DAEMON, {"marker": marker, "then": then})
    assert outcome.success == (then == "return"), outcome.result
    assert processes_with(marker) == []
    assert harness.leftovers() == []


async def test_a_cancelled_run_takes_its_daemons_along(harness: Harness) -> None:
    marker = f"left-{uuid4().hex}"
    task = await start(harness, DAEMON, {"marker": marker, "then": "wait"})
    await until(lambda: len(processes_with(marker)) >= 4)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert processes_with(marker) == []
    assert harness.leftovers() == []


async def test_a_run_over_its_time_is_ended_and_says_so(harness: Harness) -> None:
    marker = f"left-{uuid4().hex}"
    error = await harness.error(DAEMON, {"marker": marker, "then": "wait"}, timeout_seconds=0.7)
    assert error["name"] == "ExecutionErr"
    assert "timed out after 0.7 s" in str(error["message"])
    assert processes_with(marker) == []


async def test_an_endless_loop_is_ended(harness: Harness) -> None:
    started = time.monotonic()
    error = await harness.error("def main():\n    while True: pass", timeout_seconds=0.3)
    assert "timed out" in str(error["message"])
    assert time.monotonic() - started < 5


async def test_a_job_that_ignores_sigterm_is_killed_after_the_grace(harness: Harness) -> None:
    code = """
        import signal, time
        def main():
            signal.signal(signal.SIGTERM, lambda *_: print("not now", flush=True))
            while True: time.sleep(0.05)
    """
    await harness.error(code, timeout_seconds=0.5)
    assert harness.printed.text == "not now\n"


@pytest.mark.parametrize("by", ["its time", "cancellation"])
async def test_a_job_that_no_kill_ends_is_given_up_and_cleaned_away_when_it_is_gone(
    tmp_path: Path, by: str
) -> None:
    async with runtime_in(tmp_path, grace_seconds=0.1, kill_seconds=0.3) as harness:
        harness.printed = Printed()
        zygote = await harness.runtime._zygotes.get(None)
        code = "import time\ndef main():\n    print('on', flush=True)\n    time.sleep(1000)"
        timeout_seconds = 0.5 if by == "its time" else 100
        execution = harness.execution(code, timeout_seconds=timeout_seconds)
        task = asyncio.create_task(harness.runtime.run(execution, harness.printed))
        await until(lambda: harness.printed.total_bytes > 0)
        users = harness.runtime._users
        free = users.free_count if users else 0
        # What it does not hear it cannot do: as with a process that hangs in the kernel.
        deaf = [zygote.pid, *_children(zygote.pid)]
        for pid in deaf:
            os.kill(pid, signal.SIGSTOP)
        try:
            if by == "its time":
                outcome = await asyncio.wait_for(task, 5)
                assert b"was killed and had not ended 0.3 s later" in outcome.result
            else:
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asyncio.wait_for(task, 5)
            # Its directory and its user are nobody else's yet.
            assert harness.leftovers() == [str(execution.job_id)]
            assert users is None or users.free_count == free
            assert await harness.value("def main(): return 1") == 1
        finally:
            for pid in deaf:
                os.kill(pid, signal.SIGCONT)
        await until(lambda: harness.leftovers() == [])
        await until(lambda: users is None or users.free_count == free + 1)


async def test_what_an_earlier_run_took_counts_against_the_timeout(harness: Harness) -> None:
    execution = harness.execution("import time\ndef main(): time.sleep(30)", timeout_seconds=31)
    limits = msgspec.structs.replace(execution.limits, spent=timedelta(seconds=30.6))
    started = time.monotonic()
    outcome = await harness.runtime.run(msgspec.structs.replace(execution, limits=limits), Printed())
    assert b"timed out after 31 s" in outcome.result
    assert time.monotonic() - started < 5


async def test_a_killed_zygote_fails_its_jobs_and_is_replaced(harness: Harness) -> None:
    marker = f"left-{uuid4().hex}"
    task = await start(harness, DAEMON, {"marker": marker, "then": "wait"})
    zygote = await harness.runtime._zygotes.get(None)
    os.kill(zygote.pid, signal.SIGKILL)
    outcome = await task
    assert b"process that starts Python jobs ended (killed by SIGKILL)" in outcome.result
    await until(lambda: not processes_with(marker))
    assert await harness.value("def main(): return 1") == 1


async def test_fifty_jobs_at_once_keep_apart(harness: Harness) -> None:
    code = "import time\ndef main(n):\n    print(n)\n    time.sleep(0.05)\n    return n"

    async def one(n: int) -> tuple[bytes, str]:
        printed = Printed()
        outcome = await harness.runtime.run(harness.execution(code, {"n": n}), printed)
        return outcome.result, printed.text

    results = await asyncio.gather(*(one(n) for n in range(50)))
    assert results == [(str(n).encode(), f"{n}\n") for n in range(50)]
    assert harness.leftovers() == []


async def test_what_a_job_leaves_on_disk_is_removed(harness: Harness, tmp_path: Path) -> None:
    outside = tmp_path / "kept"
    outside.mkdir()
    (outside / "file").touch()
    code = """
        import os
        def main(outside):
            os.symlink(outside, "link")
            os.symlink(outside, "tmp/link")
            os.mkdir("closed"); open("closed/f", "w").close(); os.chmod("closed", 0)
            for _ in range(3000):
                os.mkdir("d"); os.chdir("d")
            os.mkfifo("fifo")
    """
    await harness.value(code, {"outside": str(outside)})
    assert harness.leftovers() == []
    assert (outside / "file").exists()


async def test_what_an_earlier_attempt_left_does_not_stop_the_next(harness: Harness) -> None:
    job_id = uuid4()
    left = harness.root / "jobs" / str(job_id) / "tmp" / "deep"
    left.mkdir(parents=True)
    assert await harness.value("import os\ndef main(): return os.listdir('tmp')", job_id=job_id) == []
    assert harness.leftovers() == []


WORKER = """
import asyncio, sys
from contextlib import suppress
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from runtime_harness import Harness, runtime_in
from millpond.runtimes.contract import Outcome
from millpond.runtimes.sandbox.policy import SandboxPolicy
async def main():
    async with runtime_in(Path(sys.argv[2]), SandboxPolicy(mode=sys.argv[3])) as harness:
        class Sink:
            def write(self, chunk): print(chunk.decode(), flush=True)
        code = Path(sys.argv[4]).read_text()
        await harness.runtime.run(harness.execution(code, {"marker": sys.argv[5], "then": "wait"}), Sink())
asyncio.run(main())
"""


@pytest.mark.parametrize("everything_at_once", [False, True])
@pytest.mark.parametrize("mode", ["auto", "off"])
async def test_nothing_survives_a_worker_killed_outright(
    tmp_path: Path, mode: str, everything_at_once: bool
) -> None:
    marker = f"left-{uuid4().hex}"
    (tmp_path / "worker.py").write_text(WORKER)
    (tmp_path / "script.py").write_text(DAEMON)
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, tmp_path / "worker.py", Path(__file__).parent, tmp_path, mode),
        *(tmp_path / "script.py", marker),
        stdout=asyncio.subprocess.PIPE,
    )
    assert worker.stdout is not None
    async with asyncio.timeout(20):
        assert await worker.stdout.readline() == b"started\n"
    descendants = _descendants(worker.pid)
    assert len(descendants) >= 3
    if everything_at_once:
        for zygote in _children(worker.pid):
            os.kill(zygote, signal.SIGKILL)
    worker.kill()
    await worker.wait()
    await until(
        lambda: not processes_with(marker) and not any(Path(f"/proc/{p}").exists() for p in descendants)
    )


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _descendants(pid: int) -> list[int]:
    return [found for child in _children(pid) for found in (child, *_descendants(child))]


def zygote_leaves() -> list[int]:
    """Processes below the zygotes of this process that have no children: idle spares, and what holds their namespaces."""

    def children(pid: int) -> list[int]:
        try:
            return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except FileNotFoundError:
            return []

    def leaves(pid: int, depth: int) -> list[int]:
        below = children(pid)
        return (
            [leaf for child in below for leaf in leaves(child, depth + 1)] if below else [pid] * (depth > 1)
        )

    own = [pid for pid in children(os.getpid()) if "zygote_main" in Path(f"/proc/{pid}/cmdline").read_text()]
    return [leaf for zygote in own for leaf in leaves(zygote, 1)]


async def test_a_spare_that_was_killed_while_idle_costs_no_job(harness: Harness) -> None:
    assert await harness.value("def main():\n    return 1") == 1
    await until(lambda: bool(zygote_leaves()))
    for pid in (killed := zygote_leaves()):
        with suppress(ProcessLookupError):  # went with the namespace of the one before
            os.kill(pid, signal.SIGKILL)
    await until(lambda: not set(killed) & set(zygote_leaves()))
    assert [await harness.value("def main():\n    return 2") for _ in range(3)] == [2, 2, 2]


async def test_no_two_jobs_share_a_process(harness: Harness) -> None:
    code = "import builtins\ndef main():\n    seen = getattr(builtins, 'seen', 0)\n    builtins.seen = 1\n    return seen"
    assert {await harness.value(code) for _ in range(5)} == {0}
