"""Locks and environments made by the real uv, from the package index this machine is set up for."""

import asyncio
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from millpond.base.errors import LockFailed
from millpond.runtimes.python.dependencies.environments import Environments

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


class Printed:
    """Keeps what is written to it."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, chunk: bytes) -> None:
        self.text += chunk.decode()


class MovableClock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.time = datetime(2030, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


AddWheel = Callable[..., None]


@pytest.fixture
def local_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AddWheel:
    """Makes uv see a folder of wheels and nothing else; returns what adds one."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))

    def add(name: str, version: str, *, requires: str | None = None, source: str = "") -> None:
        needs = f"Requires-Dist: {requires}\n" if requires else ""
        info = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(wheels / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}.py", source or f"version = {version!r}\n")
            wheel.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
            )
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")

    return add


def run(folder: Path, code: str) -> str:
    """What `code` prints in an isolated interpreter that sees `folder`."""
    program = f"import sys; sys.path.insert(0, sys.argv[1])\n{code}"
    return subprocess.run(
        [sys.executable, "-I", "-c", program, str(folder)], check=True, capture_output=True, text=True
    ).stdout.strip()


async def test_imports_are_locked_with_what_they_need_and_installed(
    local_index: AddWheel, tmp_path: Path
) -> None:
    local_index("pond", "1.0", requires="lily>=2")
    local_index("lily", "1.0")
    local_index("lily", "2.5")
    environments, output = Environments(tmp_path / "cache"), Printed()
    lock = await environments.resolve("import pond, os, wmill", output)
    assert lock == f"# py: {PYTHON}\nlily==2.5\npond==1.0"
    assert "pond" in output.text
    folder = await environments.ensure(lock)
    assert folder is not None
    assert run(folder, "import pond, lily; print(pond.version, lily.version)") == "1.0 2.5"
    assert list(folder.glob("__pycache__/pond.*.pyc"))


async def test_a_script_without_packages_has_no_lock_and_no_environment(tmp_path: Path) -> None:
    environments = Environments(tmp_path / "cache")
    assert await environments.resolve("import os, wmill", Printed()) == ""
    assert await environments.ensure("") is None
    assert await environments.ensure("# py: 3.11\n# nothing\n") is None
    assert not (tmp_path / "cache").exists()


async def test_what_cannot_be_resolved_fails_with_the_resolvers_words(
    local_index: AddWheel, tmp_path: Path
) -> None:
    environments = Environments(tmp_path / "cache")
    with pytest.raises(LockFailed, match="no-such-package-here"):
        await environments.resolve("import no_such_package_here", Printed())
    with pytest.raises(LockFailed, match="pond"):
        await environments.ensure("pond==9.9")


async def test_another_python_than_this_one_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(LockFailed, match=rf"asks for Python 3\.99, and this worker has Python {PYTHON}"):
        await Environments(tmp_path / "cache").resolve("# py: 3.99\nimport pond", Printed())


async def test_a_malformed_header_fails_as_a_lock(tmp_path: Path) -> None:
    with pytest.raises(LockFailed, match="line 2: '-r /etc/passwd'"):
        await Environments(tmp_path / "cache").resolve("#requirements:\n#-r /etc/passwd", Printed())


async def test_messages_hold_no_address_no_host_and_no_credential(
    local_index: AddWheel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://reader:hunter2@127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(LockFailed) as caught:
        await Environments(tmp_path / "cache").resolve("import pond", Printed())
    for secret in ("hunter2", "reader", "127.0.0.1", str(tmp_path)):
        assert secret not in caught.value.message


async def test_a_source_distribution_is_not_built_unless_the_instance_allows_it(
    local_index: AddWheel, tmp_path: Path
) -> None:
    """Its build backend runs as the worker: with builds off it must never start."""
    witness = tmp_path / "built"
    source = tmp_path / "pond-1.0"
    source.mkdir()
    (source / "backend.py").write_text(f"open({str(witness)!r}, 'w')\n")
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (source / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: pond\nVersion: 1.0\n")
    shutil.make_archive(str(tmp_path / "wheels" / "pond-1.0"), "gztar", tmp_path, "pond-1.0")
    environments = Environments(tmp_path / "cache")
    with pytest.raises(LockFailed, match="this instance does not allow"):
        await environments.resolve("import pond", Printed())
    with pytest.raises(LockFailed, match="this instance does not allow"):
        await environments.ensure("pond==1.0")
    assert not witness.exists()
    with pytest.raises(LockFailed):
        await Environments(tmp_path / "cache", builds=True).resolve("import pond", Printed())
    assert witness.exists()


async def test_callers_of_one_lock_share_one_install(local_index: AddWheel, tmp_path: Path) -> None:
    local_index("pond", "1.0")
    first, second = Environments(tmp_path / "cache"), Environments(tmp_path / "cache")
    folders = await asyncio.gather(*(one.ensure("pond==1.0") for one in (first, second, first, second)))
    assert len(set(folders)) == 1
    assert [path.name for path in (tmp_path / "cache" / "environments").iterdir() if path.is_dir()] == [
        folders[0].name if folders[0] else ""
    ]


async def test_a_half_installed_folder_is_never_used_and_is_removed(
    local_index: AddWheel, tmp_path: Path
) -> None:
    local_index("pond", "1.0")
    folder = await Environments(tmp_path / "cache").ensure("pond==1.0")
    assert folder is not None
    # What a worker killed in the middle leaves: a folder beside the target, or one without its marker.
    (folder / ".millpond-complete").unlink()
    (folder / "pond.py").unlink()
    abandoned = folder.with_name(f".partial-{folder.name}-abandoned")
    abandoned.mkdir()
    again = await Environments(tmp_path / "cache").ensure("pond==1.0")
    assert again == folder
    assert run(folder, "import pond; print(pond.version)") == "1.0"
    assert not abandoned.exists()


async def test_a_deleted_environment_is_installed_again(local_index: AddWheel, tmp_path: Path) -> None:
    local_index("pond", "1.0")
    environments = Environments(tmp_path / "cache")
    folder = await environments.ensure("pond==1.0")
    assert folder is not None
    shutil.rmtree(folder)
    assert await environments.ensure("pond==1.0") == folder
    assert run(folder, "import pond; print(pond.version)") == "1.0"


async def test_every_user_can_read_an_environment_whatever_the_workers_umask(
    local_index: AddWheel, tmp_path: Path
) -> None:
    local_index("pond", "1.0")
    before = os.umask(0o077)
    try:
        folder = await Environments(tmp_path / "cache").ensure("pond==1.0")
    finally:
        os.umask(before)
    assert folder is not None
    for path in [folder, *folder.rglob("*")]:
        wanted = 0o555 if path.is_dir() else 0o444
        assert stat.S_IMODE(path.stat().st_mode) & wanted == wanted, path
        assert stat.S_IMODE(path.stat().st_mode) & 0o022 == 0, path


async def test_cancelling_the_only_caller_kills_uv_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index that accepts and never answers keeps uv waiting."""
    asked = asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{port}/simple")
    async with server:
        task = asyncio.create_task(Environments(tmp_path / "cache").ensure("pond==1.0"))
        async with asyncio.timeout(30):
            await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not [path for path in (tmp_path / "cache" / "environments").iterdir() if path.is_dir()]
    assert not list((tmp_path / "cache").glob("uv-run-*"))
    cache = str(tmp_path / "cache").encode()
    commands = [
        path for path in Path("/proc").glob("[0-9]*/environ") if _mentions(path, b"UV_CACHE_DIR=" + cache)
    ]
    assert commands == []


def _mentions(path: Path, words: bytes) -> bool:
    try:
        return words in path.read_bytes()
    except OSError:
        return False


async def test_a_caller_that_goes_away_does_not_stop_the_install_of_another(
    local_index: AddWheel, tmp_path: Path
) -> None:
    local_index("pond", "1.0")
    environments = Environments(tmp_path / "cache")
    leaving = asyncio.create_task(environments.ensure("pond==1.0"))
    staying = asyncio.create_task(environments.ensure("pond==1.0"))
    while not (tmp_path / "cache" / "uv").exists():
        await asyncio.sleep(0)
    leaving.cancel()
    assert await staying is not None
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_open_versions_are_resolved_anew_after_a_day_and_pins_are_not(
    local_index: AddWheel, tmp_path: Path
) -> None:
    local_index("pond", "1.0")
    clock = MovableClock()
    environments = Environments(tmp_path / "cache", clock=clock)
    assert "pond==1.0" in await environments.resolve("import pond", Printed())
    pinned = await environments.resolve("import pond # pin: pond==1.0", Printed())
    local_index("pond", "2.0")
    # Kept on disk as well: another worker process finds them.
    for reader in (environments, Environments(tmp_path / "cache", clock=clock)):
        silent = Printed()
        assert "pond==1.0" in await reader.resolve("import pond", silent)
        assert silent.text == ""
    clock.time += timedelta(days=1, seconds=1)
    assert "pond==2.0" in await environments.resolve("import pond", Printed())
    shutil.rmtree(tmp_path / "wheels")
    assert await environments.resolve("import pond # pin: pond==1.0", Printed()) == pinned


async def test_a_lock_made_for_another_python_gets_what_it_lacks_for_this_one(
    local_index: AddWheel, tmp_path: Path
) -> None:
    local_index("pond", "1.0", requires="lily")
    local_index("lily", "2.5")
    environments = Environments(tmp_path / "cache")
    folder = await environments.ensure("# py: 3.99\npond==1.0")
    assert folder is not None
    assert (folder / "lily.py").exists()
    exact = await environments.ensure(f"# py: {PYTHON}\npond==1.0")
    assert exact is not None
    assert not (exact / "lily.py").exists()


async def test_a_lock_with_a_wrong_hash_is_not_installed(local_index: AddWheel, tmp_path: Path) -> None:
    local_index("pond", "1.0")
    with pytest.raises(LockFailed, match="Hash mismatch"):
        await Environments(tmp_path / "cache").ensure(f"pond==1.0 \\\n    --hash=sha256:{'0' * 64}\n")


@pytest.mark.needs_registry
async def test_the_published_wmill_is_installed_when_a_version_is_asked_for_and_again_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environments = Environments(tmp_path / "cache")
    lock = await environments.resolve("#requirements:\n#wmill==1.297.0\nimport wmill\n", Printed())
    assert "\nwmill==1.297.0" in lock
    assert "\nhttpx==0.24." in lock
    assert "://" not in lock
    folder = await environments.ensure(lock)
    assert folder is not None
    assert run(folder, "import wmill; print(wmill.__file__)") == str(folder / "wmill" / "__init__.py")
    shutil.rmtree(folder)
    monkeypatch.setenv("UV_OFFLINE", "1")
    assert await Environments(tmp_path / "cache").ensure(lock) == folder
    assert (folder / "wmill").is_dir()
