"""Unprivileged users for jobs, one per running job, when the worker is root.

The ids have no names in /etc/passwd. With a user of its own a job cannot signal or inspect another, and a
limit on processes per user is a limit on the job.
"""

import os
import socket
import sys
from collections import OrderedDict
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
    whatever mode its tools chose.
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

    def acquire(self, shared_dir: Path | None) -> int:
        """A user id for one job; jobs running at the same time with the same `shared_dir` get the same."""
        if shared_dir is None:
            return self._free.popitem(last=False)[0]
        user_id, count = self._sharers.get(shared_dir) or (self._owner_or_next(shared_dir), 0)
        self._sharers[shared_dir] = (user_id, count + 1)
        return user_id

    def release(self, user_id: int, shared_dir: Path | None) -> None:
        """Give the id of an ended job back."""
        if shared_dir is not None:
            count = self._sharers[shared_dir][1] - 1
            if count:
                self._sharers[shared_dir] = (user_id, count)
                return
            del self._sharers[shared_dir]
        self._free[user_id] = None

    def close(self) -> None:
        """Let another worker have the block."""
        if self._claim is not None:
            self._claim.close()

    def _owner_or_next(self, shared_dir: Path) -> int:
        owner = shared_dir.lstat().st_uid
        if owner in self._free:
            del self._free[owner]
            return owner
        return self._free.popitem(last=False)[0]
