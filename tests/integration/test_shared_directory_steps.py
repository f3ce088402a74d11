"""The directory that jobs share, with real processes, at every level of isolation this machine can give."""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import pytest

from millpond.runtimes.python.runtime import PythonRuntime
from millpond.runtimes.sandbox import policy
from millpond.runtimes.sandbox.policy import SandboxLevel, SandboxPolicy
from tests.integration.runtime_harness import FolderEnvironments, Harness, Printed, runtime_in

FULL = policy.detect()
LESS: dict[str, dict[str, object]] = {
    "full": {},
    "no own root": {"own_root": False},
    "no mounts": {"mount_namespace": False, "own_root": False},
    "no Landlock": {"landlock_abi": 0},
    "only users": {
        "landlock_abi": 0,
        "seccomp": False,
        "pid_namespace": False,
        "user_namespace": False,
        "mount_namespace": False,
        "own_root": False,
    },
    "off": {},
}
"""What this machine's level is reduced by, by name."""

needs_own_root = pytest.mark.skipif(not FULL.own_root, reason="namespaces are not permitted here")
needs_users = pytest.mark.skipif(not FULL.user_switch, reason="the tests do not run as root")

HINT = "hint: switch on 'Shared Directory' in the flow's settings (same_worker: true)"


def level_named(name: str) -> SandboxLevel:
    return SandboxLevel() if name == "off" else msgspec.structs.replace(FULL, **LESS[name])


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder that users of jobs can pass, as a data folder is; pytest's own are closed."""
    folder = Path(tempfile.mkdtemp(prefix="millpond-shared-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(params=list(LESS))
async def harness(request: pytest.FixtureRequest, root: Path) -> AsyncIterator[Harness]:
    """A runtime at each level."""
    environments = FolderEnvironments(root / "environments")
    mode = "off" if request.param == "off" else "auto"
    runtime = PythonRuntime(
        work_dir=root / "jobs",
        environments=environments,
        sandbox=SandboxPolicy(mode=mode),  # type: ignore[arg-type]
        client_path=_client(root),
        grace_seconds=0.5,
    )
    runtime.level = level_named(request.param)
    await runtime.start()
    yield Harness(runtime, root, environments)
    await runtime.aclose()


def _client(root: Path) -> Path:
    folder = root / "client"
    folder.mkdir()
    (folder / "wmill.py").touch()
    return folder


@pytest.fixture
def shared(root: Path) -> Path:
    """As the worker makes it."""
    folder = root / "shared"
    folder.mkdir(mode=0o700)
    return folder


async def test_a_step_changes_what_the_one_before_wrote_whatever_its_mode(
    harness: Harness, shared: Path
) -> None:
    write = """
        import os
        def main():
            os.umask(0o077)
            os.makedirs("shared/closed")
            with open("shared/closed/f", "w") as file:
                file.write("a")
            os.chmod("shared/closed/f", 0o400)
            os.chmod("shared/closed", 0o500)
    """
    change = """
        import os
        def main():
            os.chmod("shared/closed", 0o700)
            os.chmod("shared/closed/f", 0o600)
            with open("shared/closed/f", "a") as file:
                file.write("b")
            os.rename("shared/closed/f", "shared/g")
            os.rmdir("shared/closed")
            return open("shared/g").read()
    """
    await harness.value(write, shared_dir=shared)
    await harness.value("def main(): return 1")
    assert await harness.value(change, shared_dir=shared) == "ab"


async def test_steps_that_run_at_the_same_time_see_each_other_s_files(harness: Harness, shared: Path) -> None:
    meet = """
        import os, time
        def main(me, other):
            open(f"shared/{me}", "w").write(me)
            while not os.path.exists(f"shared/{other}"):
                time.sleep(0.005)
            os.chmod(f"shared/{other}", 0o600)
            return os.getuid()
    """
    first, second = await asyncio.gather(
        harness.runtime.run(harness.execution(meet, {"me": "a", "other": "b"}, shared_dir=shared), Printed()),
        harness.runtime.run(harness.execution(meet, {"me": "b", "other": "a"}, shared_dir=shared), Printed()),
    )
    assert first.success, first.result
    assert json.loads(first.result) == json.loads(second.result)


async def test_other_jobs_reach_it_only_where_nothing_keeps_them(harness: Harness, shared: Path) -> None:
    await harness.value("def main(): open('shared/secret', 'w').write('x')", shared_dir=shared)
    outcome = await harness.run("def main(path): return open(path).read()", {"path": f"{shared}/secret"})
    is_kept = harness.runtime.level.landlock_abi > 0 or harness.runtime.level.user_switch
    assert outcome.success is not is_kept
    again = await harness.run("import os\ndef main(path): os.listdir(path)", {"path": str(shared)})
    assert again.success is not is_kept


async def test_the_directory_is_slash_shared_too_or_the_error_says_that_it_is_not(
    harness: Harness, shared: Path
) -> None:
    if Path("/shared").exists():
        pytest.skip("this machine has a /shared of its own")
    write = """
        def main():
            with open("/shared/state.json", "w") as file:
                file.write("1")
            return open("shared/state.json").read()
    """
    outcome = await harness.run(write, shared_dir=shared)
    if harness.runtime.level.own_root:
        assert json.loads(outcome.result) == "1"
        return
    message = json.loads(outcome.result)["error"]["message"]
    assert message.startswith("[Errno 2] No such file or directory: '/shared/state.json' — hint: ")
    assert "use ./shared" in message


async def test_without_it_the_ordinary_error_names_the_setting(harness: Harness) -> None:
    if Path("/shared").exists():
        pytest.skip("this machine has a /shared of its own")
    for name in ("./shared/x", "shared/a/b", "shared", "/shared/x"):
        error = await harness.error("def main(name): open(name)", {"name": name})
        assert error["name"] == "FileNotFoundError"
        assert error["message"] == f"[Errno 2] No such file or directory: '{name}' — {HINT}"
    for name in ("x", "sharedx", "/sharedx/y", "./other/shared/x"):
        error = await harness.error("def main(name): open(name)", {"name": name})
        assert error["message"] == f"[Errno 2] No such file or directory: '{name}'"
    error = await harness.error("def main(): raise FileNotFoundError(2, 'gone')")
    assert error["message"] == "[Errno 2] gone"


async def test_with_it_a_file_nobody_wrote_is_just_missing(harness: Harness, shared: Path) -> None:
    error = await harness.error("def main(): open('./shared/x')", shared_dir=shared)
    assert error["message"] == "[Errno 2] No such file or directory: './shared/x'"


async def test_a_link_out_of_it_leads_no_further_than_the_job_itself(harness: Harness, shared: Path) -> None:
    outside = harness.root / "outside"
    outside.mkdir(mode=0o700)
    (outside / "secret").write_text("secret")
    (outside / "secret").chmod(0o600)
    link = "import os\ndef main(path): os.symlink(path, 'shared/link')"
    await harness.value(link, {"path": str(outside)}, shared_dir=shared)
    outcome = await harness.run("def main(): return open('shared/link/secret').read()", shared_dir=shared)
    level = harness.runtime.level
    assert outcome.success is not (level.landlock_abi > 0 or level.user_switch)
    assert (outside.stat().st_uid, outside.stat().st_mode & 0o777) == (os.getuid(), 0o700)


async def test_nothing_of_the_directory_is_left_in_the_job_s(harness: Harness, shared: Path) -> None:
    await harness.value("def main(): open('shared/f', 'w').write('kept')", shared_dir=shared)
    assert harness.leftovers() == []
    assert (shared / "f").read_text() == "kept"


@needs_users
async def test_a_worker_that_starts_anew_goes_on_with_the_same_user(root: Path, shared: Path) -> None:
    write = "import os\ndef main(n):\n    open(f'shared/{n}', 'w')\n    return os.getuid()"
    alone = "import os\ndef main(): return os.getuid()"
    async with runtime_in(root) as before:
        for _ in range(3):
            await before.value(alone)
        owner = await before.value(write, {"n": 1}, shared_dir=shared)
    runtime = PythonRuntime(
        work_dir=root / "jobs",
        environments=before.environments,
        sandbox=SandboxPolicy(),
        client_path=root / "client",
        shared_dirs=[shared],
    )
    after = Harness(runtime, root, before.environments)
    try:
        others = {await after.value(alone) for _ in range(6)}
        assert owner not in others
        assert await after.value(write, {"n": 2}, shared_dir=shared) == owner
    finally:
        await runtime.aclose()


@needs_users
async def test_steps_that_run_at_the_same_time_each_have_their_processes(root: Path, shared: Path) -> None:
    """The limit is the kernel's per user, and they are one user."""
    first = """
        import os, subprocess, time
        def main():
            children = [subprocess.Popen(["/bin/sleep", "60"]) for _ in range(12)]
            open("shared/full", "w")
            while not os.path.exists("shared/done"):
                time.sleep(0.005)
            return len(children)
    """
    second = """
        import subprocess
        def main():
            children = [subprocess.Popen(["/bin/sleep", "60"]) for _ in range(12)]
            open("shared/done", "w")
            return len(children)
    """
    async with runtime_in(root) as harness:
        waiting = asyncio.create_task(
            harness.runtime.run(harness.execution(first, shared_dir=shared, processes=16), Printed())
        )
        async with asyncio.timeout(10):
            while not (shared / "full").exists():
                await asyncio.sleep(0.01)
        assert await harness.value(second, shared_dir=shared, processes=16) == 12
        assert (await waiting).success
