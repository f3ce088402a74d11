"""The lock that keeps a data directory to one running instance."""

import fcntl
import os
from pathlib import Path

from millpond.base.errors import StartupRefused


class InstanceLock:
    """An exclusive lock on a file, held until `release` or the end of this process, however it ends.

    The descriptor is closed on exec, so that no child that outlives a killed parent keeps the lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._descriptor is not None

    def acquire(self) -> None:
        """Take the lock, unless this object has it. Raises StartupRefused when another one does."""
        if self._descriptor is not None:
            return
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StartupRefused(
                f"The data directory {self._path.parent} is in use by a running instance (process {holder}). "
                "Stop that one first, or choose another folder with --data-dir."
            ) from None
        except OSError:
            os.close(descriptor)
            raise
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Let another instance start. The file stays: removing it would let two processes lock two files."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
