"""Unprivileged users for jobs, one per running job, when the worker is root.

The ids have no names in /etc/passwd. With a user of its own a job cannot signal or inspect another, and a
limit on processes per user is a limit on the job.
"""

import os
import socket
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

_BLOCK_SIZE = 4096
_BLOCKS = 16
# Unused by distributions, systemd and container runtimes; the second lies within the 65,536 ids that a
# user namespace, such as rootless Podman's, commonly maps.
_BASES = (2_000_000_000, 50_000)


def first_user_id() -> int:
    """The first id of the range in use; 0 when this process is not root or the range is not mapped here."""
    if sys.platform != "linux" or os.getuid() != 0:
        return 0
    lines = Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()
    mapped = [(int(start), int(length)) for start, _, length in (line.split() for line in lines)]
    for base in _BASES:
        if any(start <= base and base + _BLOCK_SIZE <= start + length for start, length in mapped):
            return base
    return 0


class UserPool:
    """Hands out user ids; each worker process on a machine holds a block of its own.

    Jobs that share a directory run as the same user, so that what one step writes the next can change,
    whatever mode its tools chose. Nobody else gets that user for as long as the directory is there: where
    there is no Landlock, its mode is what keeps it private.
    """

    def __init__(self) -> None:
        base = first_user_id()
        self._claim: socket.socket | None = None
        start = base
        # An abstract socket is a lock that the kernel gives back however the worker ends.
        for block in range(_BLOCKS if base > 50_000 else 1):
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                claim.bind(f"\0millpond-job-users-{base}-{block}")
            except OSError:
                claim.close()
                continue
            self._claim = claim
            start = base + block * _BLOCK_SIZE
            break
        # Oldest first: an id rests as long as possible before it is used again.
        self._free: OrderedDict[int, None] = OrderedDict.fromkeys(range(start + 1, start + _BLOCK_SIZE))
        self._sharers: dict[Path, tuple[int, int]] = {}

    @property
    def free_count(self) -> int:
        """How many users are in nobody's hands."""
        return len(self._free)

    def acquire(self, shared_dir: Path | None) -> int:
        """A user id for one job; jobs with the same `shared_dir` get the same."""
        if shared_dir is None:
            return self._next()
        self.keep(shared_dir)
        user_id, count = self._sharers[shared_dir]
        self._sharers[shared_dir] = (user_id, count + 1)
        return user_id

    def release(self, user_id: int, shared_dir: Path | None) -> None:
        """Give the id of an ended job back."""
        if shared_dir is None:
            self._free[user_id] = None
            return
        self._sharers[shared_dir] = (user_id, self._sharers[shared_dir][1] - 1)

    def keep(self, shared_dir: Path) -> None:
        """Set a user aside for the jobs of a directory, its owner if possible."""
        if shared_dir not in self._sharers:
            self._forget(lambda other: not other.exists())
            self._sharers[shared_dir] = (self._owner_or_next(shared_dir), 0)

    def close(self) -> None:
        """Let another worker have the block."""
        if self._claim is not None:
            self._claim.close()

    def _owner_or_next(self, shared_dir: Path) -> int:
        owner = shared_dir.lstat().st_uid
        if owner in self._free:
            del self._free[owner]
            return owner
        return self._next()

    def _next(self) -> int:
        if not self._free:
            # A worker with thousands of flows that wait: each gets another user when it goes on.
            self._forget(lambda _: True)
        return self._free.popitem(last=False)[0]

    def _forget(self, is_over: Callable[[Path], bool]) -> None:
        for directory, (user_id, count) in list(self._sharers.items()):
            if count == 0 and is_over(directory):
                del self._sharers[directory]
                self._free[user_id] = None
