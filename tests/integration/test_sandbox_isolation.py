"""What a job cannot do: read what is not its own, reach other processes, gain privilege, fill the machine."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio

from millpond.base.errors import SandboxUnavailable
from millpond.runtimes.sandbox import policy
from millpond.runtimes.sandbox.policy import SandboxLevel, SandboxPolicy

from .runtime_harness import Harness, Printed, runtime_in

LEVEL = policy.detect()

needs_landlock = pytest.mark.skipif(not LEVEL.landlock_abi, reason="this kernel has no Landlock")
needs_seccomp = pytest.mark.skipif(not LEVEL.seccomp, reason="no seccomp filter here")
needs_users = pytest.mark.skipif(not LEVEL.user_switch, reason="the tests do not run as root")
needs_namespaces = pytest.mark.skipif(not LEVEL.mount_namespace, reason="namespaces are not permitted here")

TRY = """
    import os
    def attempt(action):
        try:
            return ["done", str(action())[:200]]
        except OSError as error:
            return [type(error).__name__, error.errno]
"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def harness(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Harness]:
    async with runtime_in(tmp_path_factory.mktemp("sandbox")) as started:
        yield started


async def attempted(harness: Harness, expression: str, args: object = None, **options: object) -> object:
    """`done` or the name of the error with which the job's attempt ended."""
    code = f"{TRY}\n    def main(**args):\n        return attempt(lambda: {expression})"
    outcome = await harness.value(code, args, **options)
    assert isinstance(outcome, list)
    return outcome[0]


@needs_landlock
@pytest.mark.parametrize(
    "path", ["/etc/shadow", "/etc/sudoers", str(Path.home() / ".bashrc"), "/var/log", "/home", "/"]
)
async def test_the_machine_s_private_files_are_refused(harness: Harness, path: str) -> None:
    if not Path(path).exists():
        pytest.skip(f"no {path} here")
    read = "os.listdir(args['path']) if os.path.isdir(args['path']) else open(args['path']).read()"
    assert await attempted(harness, read, {"path": path}) == "PermissionError"


@needs_landlock
async def test_files_beside_the_job_are_refused(harness: Harness) -> None:
    secret = harness.root / "secret"
    secret.write_text("the master key")
    secret.chmod(0o644)
    assert await attempted(harness, "open(args['path']).read()", {"path": str(secret)}) == "PermissionError"
    assert await attempted(harness, "open(args['path'], 'w')", {"path": str(secret)}) == "PermissionError"
    assert await attempted(harness, "os.listdir('..')") == "PermissionError"
    # By way of a link, of a shell, and of the file's own name in the job's directory.
    link = "(os.symlink(args['path'], 'l'), open('l').read())"
    assert await attempted(harness, link, {"path": str(secret)}) == "PermissionError"
    assert await attempted(harness, "os.link(args['path'], 'l')", {"path": str(secret)}) == "PermissionError"
    shell = "import subprocess\ndef main(path): return subprocess.call(['cat', path])"
    assert await harness.value(shell, {"path": str(secret)}) != 0
    assert secret.read_text() == "the master key"


@needs_landlock
async def test_the_interpreter_the_system_and_the_own_directory_are_usable(harness: Harness) -> None:
    code = """
        import ctypes, os, socket, ssl, subprocess, sqlite3, sys, tempfile
        def main():
            with tempfile.NamedTemporaryFile() as file:
                file.write(b"x")
            open(os.path.expanduser("~/f"), "w").write("x")
            open("/dev/null", "w").write("x")
            again = subprocess.run([sys.executable, "-c", "print(6 * 7)"], capture_output=True, text=True)
            ssl.create_default_context()
            sqlite3.connect("db").execute("create table t (a)")
            socket.getaddrinfo("localhost", 80)
            return again.stdout, again.stderr, os.path.exists("/proc/self/status")
    """
    assert await harness.value(code) == ["42\n", "", True]


async def test_another_job_s_directory_and_environment_are_refused(harness: Harness) -> None:
    victim_id = uuid4()
    printed = Printed()
    victim = asyncio.create_task(
        harness.runtime.run(
            harness.execution(
                """
                    import subprocess
                    def main():
                        open("mine", "w").write("x")
                        subprocess.run(["/bin/sh", "-c", "echo ready; sleep 60"])
                """,
                env={"VICTIM_SECRET": "hush"},
                job_id=victim_id,
            ),
            printed,
        )
    )
    async with asyncio.timeout(10):
        while not printed.total_bytes:
            await asyncio.sleep(0.01)
    try:
        path = str(harness.root / "jobs" / str(victim_id))
        assert await attempted(harness, "os.listdir(args['path'])", {"path": path}) == "PermissionError"
        assert await attempted(harness, "open(args['path'] + '/mine')", {"path": path}) == "PermissionError"
        pids = [pid for pid in _all_pids() if _has_environment(pid, b"VICTIM_SECRET")]
        assert pids
        for pid in (*pids, os.getpid()):
            read = "open(f'/proc/{args[\"pid\"]}/environ').read()"
            assert await attempted(harness, read, {"pid": pid}) in {"PermissionError", "FileNotFoundError"}
            kill = "os.kill(args['pid'], 9)"
            assert await attempted(harness, kill, {"pid": pid}) in {"PermissionError", "ProcessLookupError"}
        assert not victim.done()
    finally:
        victim.cancel()
        await asyncio.wait([victim])


@needs_namespaces
async def test_a_job_sees_no_process_but_its_own(harness: Harness) -> None:
    code = "import os\ndef main(): return os.getpid(), [p for p in os.listdir('/proc') if p.isdigit()]"
    assert await harness.value(code) == [2, ["1", "2"]]


@needs_namespaces
async def test_shared_memory_is_the_job_s_own(harness: Harness) -> None:
    write = "open('/dev/shm/left', 'w').write('x')"
    assert await attempted(harness, write) == "done"
    assert await attempted(harness, "os.listdir('/dev/shm')") == "done"
    assert await harness.value("import os\ndef main(): return os.listdir('/dev/shm')") == []
    assert not Path("/dev/shm/left").exists()


@needs_seccomp
@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("ptrace", "0, 0, 0, 0"),
        ("unshare", "0x10000000"),
        ("mount", "b'none', b'/tmp', b'tmpfs', 0, None"),
        ("setns", "0, 0"),
        ("chroot", "b'.'"),
        ("process_vm_readv", "1, None, 0, None, 0, 0"),
    ],
)
async def test_system_calls_of_attackers_are_refused(harness: Harness, call: str, arguments: str) -> None:
    code = f"""
        import ctypes
        def main():
            libc = ctypes.CDLL(None, use_errno=True)
            return libc.{call}({arguments}), ctypes.get_errno()
    """
    assert await harness.value(code) == [-1, 1]


@needs_seccomp
async def test_a_new_user_namespace_by_clone_is_refused(harness: Harness) -> None:
    number, third = (56, 435) if os.uname().machine == "x86_64" else (220, 435)
    code = f"""
        import ctypes
        def main():
            libc = ctypes.CDLL(None, use_errno=True)
            first = libc.syscall({number}, 0x10000000 | 17, 0, 0, 0, 0), ctypes.get_errno()
            return first, (libc.syscall({third}, 0, 0), ctypes.get_errno())
    """
    assert await harness.value(code) == [[-1, 1], [-1, 38]]


@needs_users
async def test_a_job_is_an_unprivileged_user_without_a_way_back(harness: Harness) -> None:
    code = """
        import os
        def main():
            status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines())
            try:
                os.setuid(0)
            except PermissionError:
                return [os.getuid() > 1000, os.getgroups(), status["NoNewPrivs"], int(status["CapEff"], 16)]
    """
    capabilities = 1 << 2 if LEVEL.landlock_abi and LEVEL.seccomp else 0
    assert await harness.value(code) == [True, [], "1", capabilities]


async def test_two_jobs_at_once_are_two_users(harness: Harness) -> None:
    if not LEVEL.user_switch:
        pytest.skip("the tests do not run as root")
    code = "import os, time\ndef main():\n    time.sleep(0.2)\n    return os.getuid()"
    assert len(set(await asyncio.gather(harness.value(code), harness.value(code)))) == 2


@needs_users
async def test_a_fork_bomb_meets_its_limit_and_leaves_nothing(harness: Harness) -> None:
    code = """
        import os, time
        def main():
            made = 0
            while True:
                try:
                    if os.fork() == 0:
                        os.setsid()
                        time.sleep(100)
                    made += 1
                except BlockingIOError:
                    return made
    """
    made = await harness.value(code, processes=40)
    assert isinstance(made, int)
    assert 20 <= made <= 40
    assert await harness.value("def main(): return 1") == 1


async def test_memory_and_file_size_are_limited(harness: Harness) -> None:
    error = await harness.error("def main(): return len(bytearray(2**30))", memory_bytes=256 * 1024**2)
    assert error["name"] == "MemoryError"
    write = "open('big', 'wb').write(b'x' * 2_000_000)"
    assert await attempted(harness, write, file_size_bytes=1_000_000) == "OSError"
    assert await attempted(harness, "[os.dup(1) for _ in range(100)]", open_files=50) == "OSError"


async def test_a_forged_result_is_not_believed(harness: Harness) -> None:
    code = """
        import os
        def main():
            for name in os.listdir("/proc/self/fd"):
                if int(name) > 2:
                    try:
                        os.write(int(name), b"Snot json")
                    except OSError:
                        pass
            os._exit(0)
    """
    error = await harness.error(code)
    assert error["name"] == "ResultInvalid"


async def test_off_is_recorded_as_none(tmp_path: Path) -> None:
    async with runtime_in(tmp_path, SandboxPolicy(mode="off")) as unconfined:
        assert unconfined.runtime.level.description == "none"
        assert await attempted(unconfined, "open('/etc/passwd').read()") == "done"


def test_required_refuses_a_machine_that_lacks_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy, "detect", lambda: SandboxLevel(landlock_abi=3))
    with pytest.raises(SandboxUnavailable, match="lacks seccomp"):
        policy.settle(SandboxPolicy(mode="required"))


UNPRIVILEGED = """
import asyncio, json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from runtime_harness import processes_with, runtime_in
code = '''
import os
def main(secret):
    try:
        open(secret).read()
        read = True
    except OSError:
        read = False
    for _ in range(2):
        if os.fork() == 0:
            os.setsid()
            os.execv("/bin/sleep", [secret, "1000"])
    return [os.getuid(), read]
'''
async def main():
    async with runtime_in(Path(sys.argv[2])) as harness:
        value = await harness.value(code, {"secret": sys.argv[3]})
        left = processes_with(sys.argv[3])
        bomb = await harness.error(
            "import os, time\\ndef main():\\n    while True: os.fork() or time.sleep(99)", processes=30
        )
        print(json.dumps([harness.runtime.level.description, value, bomb["name"], left, harness.leftovers()]))
asyncio.run(main())
"""


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory other users can enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


SETPRIV = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
# The interpreter of the tests may lie where only root enters: the worker keeps the right to read, and no other.
ABLE_TO_READ = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search")
SYSTEM_PYTHON = f"/usr/bin/python3.{sys.version_info.minor}"


@needs_users
@pytest.mark.parametrize(
    ("command", "namespaces"),
    [
        pytest.param((*SETPRIV, *ABLE_TO_READ, sys.executable), None, id="interpreter of the tests"),
        pytest.param((*SETPRIV, "--inh-caps=-all", SYSTEM_PYTHON), "pidns+mountns", id="system interpreter"),
    ],
)
async def test_a_worker_without_privilege_confines_too(
    open_path: Path, command: tuple[str, ...], namespaces: str | None
) -> None:
    root = open_path
    (root / "worker.py").write_text(UNPRIVILEGED)
    work = root / "work"
    work.mkdir()
    secret = root / "secret"
    secret.write_text("x")
    for path in (work, secret):
        os.chown(path, 65534, 65534)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": ":".join(sys.path),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    try:
        probe = subprocess.run([*command, "-c", "import msgspec, millpond"], env=environment, check=False)
    except FileNotFoundError:
        pytest.skip("setpriv is not installed")
    if probe.returncode != 0:
        pytest.skip(f"{command[-1]} cannot import what the worker needs as another user")
    answer = subprocess.run(
        [*command, root / "worker.py", Path(__file__).parent, work, secret],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )
    assert answer.returncode == 0, answer.stderr
    description, value, bomb, *left = json.loads(answer.stdout)
    assert "landlock+seccomp" in description
    assert "users" not in description
    if namespaces and _user_namespaces_are_permitted():
        assert namespaces in description
    assert value == [65534, False]
    assert bomb == "BlockingIOError"
    assert left == [[], []]


def _user_namespaces_are_permitted() -> bool:
    attempt = subprocess.run([*SETPRIV, "unshare", "--user", "--pid", "--fork", "true"], check=False)
    return attempt.returncode == 0


def _all_pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _has_environment(pid: int, marker: bytes) -> bool:
    try:
        return marker in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
