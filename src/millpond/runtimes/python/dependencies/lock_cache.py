"""Locks already resolved, in memory and on disk, so that a script tested again is not resolved again."""

import sys
import sysconfig
from collections import OrderedDict
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile

import msgspec

from millpond.base.clock import Clock
from millpond.runtimes.python.dependencies.requirements import Requirements
from millpond.runtimes.python.dependencies.specifiers import is_pinned

_FRESH_SECONDS = 24 * 3600
_IN_MEMORY = 1000


class _Entry(msgspec.Struct, frozen=True):
    resolved_at: float
    lock: str


def interpreter_identity() -> str:
    """What decides whether a compiled package fits: interpreter, its version and the platform."""
    soabi = sysconfig.get_config_var("SOABI") or sys.implementation.cache_tag
    return f"{sys.version_info.major}.{sys.version_info.minor} {soabi} {sysconfig.get_platform()}"


def requirements_key(requirements: Requirements) -> str:
    """The name under which the lock of `requirements` is kept."""
    return sha256("\n".join([interpreter_identity(), *requirements.packages]).encode()).hexdigest()


class LockCache:
    """Locks by requirement set. Where a requirement leaves the version open they are good for a day."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._recent: OrderedDict[str, _Entry] = OrderedDict()

    def get(self, requirements: Requirements) -> str | None:
        """The kept lock, or None when there is none, or none fresh enough."""
        key = requirements_key(requirements)
        entry = self._recent.get(key) or self._read(key)
        if entry is None or not self._is_fresh(entry, requirements):
            return None
        self._remember(key, entry)
        return entry.lock

    def put(self, requirements: Requirements, lock: str) -> None:
        """Keep a lock. A disk that cannot be written costs the next start some time, and nothing else."""
        key = requirements_key(requirements)
        entry = _Entry(self._clock.now().timestamp(), lock)
        self._remember(key, entry)
        with suppress(OSError):
            self._write(key, entry)

    def _is_fresh(self, entry: _Entry, requirements: Requirements) -> bool:
        age = self._clock.now().timestamp() - entry.resolved_at
        return age < _FRESH_SECONDS or all(is_pinned(package) for package in requirements.packages)

    def _remember(self, key: str, entry: _Entry) -> None:
        self._recent[key] = entry
        self._recent.move_to_end(key)
        while len(self._recent) > _IN_MEMORY:
            self._recent.popitem(last=False)

    def _read(self, key: str) -> _Entry | None:
        try:
            return msgspec.json.decode((self._folder / f"{key}.json").read_bytes(), type=_Entry)
        except (OSError, msgspec.DecodeError):
            return None

    def _write(self, key: str, entry: _Entry) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o755)
        with NamedTemporaryFile(dir=self._folder, prefix=".partial-", delete=False) as file:
            partial = Path(file.name)
            try:
                file.write(msgspec.json.encode(entry))
                file.close()
                partial.replace(self._folder / f"{key}.json")
            except OSError:
                partial.unlink(missing_ok=True)
                raise
