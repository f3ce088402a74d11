"""Installed environments: one folder per lock, shared by all jobs that have this lock.

A folder is used only when its marker, written last, is there; so an install that was killed or ran out of
disk is never run, and is removed by the next one. Jobs read these folders and must not be able to write
them: their files are hard links into uv's cache.
"""

import asyncio
import shutil
import sys
from contextlib import suppress
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp

from millpond.base.clock import Clock, SystemClock
from millpond.base.errors import InvalidInput, LockFailed
from millpond.runtimes.contract import OutputSink
from millpond.runtimes.python.dependencies import locks
from millpond.runtimes.python.dependencies.file_lock import file_lock
from millpond.runtimes.python.dependencies.lock_cache import LockCache, interpreter_identity, requirements_key
from millpond.runtimes.python.dependencies.requirements import Requirements, parse
from millpond.runtimes.python.dependencies.single_flight import SingleFlight
from millpond.runtimes.python.dependencies.uv_process import Uv

_INSTALL_TIMEOUT = timedelta(minutes=15)
_MARKER = ".millpond-complete"
_REMEMBERED = 10_000


class Environments:
    """Resolves scripts to locks and locks to installed folders below `cache_dir`.

    Several workers may share a `cache_dir`. `builds` allows packages that have no wheel: building one runs
    code of its author with the worker's rights, outside the sandbox of jobs, so it is off unless the owner
    of the instance turns it on.
    """

    def __init__(self, cache_dir: Path, *, builds: bool = False, clock: Clock | None = None) -> None:
        self._uv = Uv(cache_dir, builds=builds)
        self._folder = cache_dir / "environments"
        self._locks = LockCache(cache_dir / "locks", clock or SystemClock())
        self._resolving: SingleFlight[str] = SingleFlight()
        self._installing: SingleFlight[Path] = SingleFlight()
        self._installed: dict[str, Path] = {}

    async def resolve(self, code: str, output: OutputSink) -> str:
        """The lock of a Python script, "" when it needs no packages; says on `output` what is resolved.

        Raises `LockFailed` for headers that are not understood, for another Python than this one, and with
        uv's own words when the packages cannot be resolved.
        """
        try:
            requirements = parse(code)
        except InvalidInput as error:
            raise LockFailed(error.message) from None
        locks.check_interpreter(requirements)
        if not requirements.packages:
            return ""
        if (kept := self._locks.get(requirements)) is not None:
            return kept
        output.write(f"resolving dependencies: {', '.join(requirements.packages)}\n".encode())
        lock = await self._resolving.run(requirements_key(requirements), lambda: self._resolve(requirements))
        output.write(f"resolved to:\n{lock}\n".encode())
        return lock

    async def _resolve(self, requirements: Requirements) -> str:
        lock = await locks.resolve(requirements, self._uv)
        self._locks.put(requirements, lock)
        return lock

    async def ensure(self, lock: str) -> Path | None:
        """The folder with the packages of `lock`, to be put on the module path; None when the lock has none.

        Installs it when it is not there (or no longer); callers of the same lock share one install. A lock
        made for another Python keeps its versions, and what it lacks for this one is added. Raises
        `LockFailed` for a malformed lock, and with uv's own words.
        """
        if not lock:
            return None
        known = self._installed.get(lock)
        if known is not None and _is_complete(known):
            return known
        if not locks.read_lock(lock).requirements:
            return None
        key = _environment_key(lock)
        folder = await self._installing.run(key, lambda: self._install_once(key, lock))
        if len(self._installed) >= _REMEMBERED:
            self._installed.clear()
        self._installed[lock] = folder
        return folder

    async def _install_once(self, key: str, lock: str) -> Path:
        target = self._folder / key
        if _is_complete(target):
            return target
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o755)
            async with file_lock(self._folder / f".{key}.lock"):
                # Another worker may have finished it while this one waited.
                if not _is_complete(target):
                    await self._install(target, locks.read_lock(lock))
        except OSError as error:
            raise LockFailed(f"The environment cannot be written: {error.strerror}") from None
        return target

    async def _install(self, target: Path, lock: locks.Lock) -> None:
        """Fill a folder beside `target` and move it there. The caller holds the file lock of `target`."""
        await asyncio.to_thread(_remove_remains, target)
        partial = Path(mkdtemp(prefix=_partial_prefix(target), dir=self._folder))
        try:
            await self._uv.run(
                _install_arguments(partial, lock), stdin=_text(lock), time_limit=_INSTALL_TIMEOUT
            )
            await asyncio.to_thread(_publish, partial, target)
        except BaseException:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True))
            raise


def _install_arguments(target: Path, lock: locks.Lock) -> list[str]:
    complete = lock.python in {None, locks.running_python()}
    return [
        *("install", "--quiet", "--python", sys.executable, "--target", str(target)),
        *(["--no-deps"] if complete else []),
        *("--link-mode", "hardlink", "--compile-bytecode", "-r", "-"),
    ]


def _text(lock: locks.Lock) -> str:
    return "".join(f"{requirement}\n" for requirement in lock.requirements)


def _environment_key(lock: str) -> str:
    checked = locks.read_lock(lock)
    described = [interpreter_identity(), checked.python or "", *sorted(checked.requirements)]
    return sha256("\n".join(described).encode()).hexdigest()


def _is_complete(folder: Path) -> bool:
    return (folder / _MARKER).exists()


def _partial_prefix(target: Path) -> str:
    return f".partial-{target.name}-"


def _remove_remains(target: Path) -> None:
    """Remove what killed installs of the same environment left; its file lock says that none is running."""
    shutil.rmtree(target, ignore_errors=True)
    for partial in target.parent.glob(f"{_partial_prefix(target)}*"):
        shutil.rmtree(partial, ignore_errors=True)


def _publish(folder: Path, target: Path) -> None:
    """Let every user read the folder, mark it complete and move it to where it is looked for."""
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        wanted = mode | (0o555 if path.is_dir() or mode & 0o100 else 0o444)
        if wanted != mode and not path.is_symlink():
            path.chmod(wanted & 0o7777)
    with suppress(FileNotFoundError):
        (folder / ".lock").unlink()
    marker = folder / _MARKER
    marker.write_text("")
    marker.chmod(0o444)
    folder.rename(target)
