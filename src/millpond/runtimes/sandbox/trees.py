"""Walks directory trees that jobs made and may change meanwhile: of any depth and size, with links and traps in them.

One directory is open at a time and no path is put together, so that neither depth nor renaming leads astray.
"""

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_BLOCK_BYTES = 512
# Gone, replaced by something else, replaced by a link, closed to this process.
_NOT_TO_BE_ENTERED = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES}

Identity = tuple[int, int]


class TreeMovedError(OSError):
    """A directory was moved while the walk was in it: what is above it is not where the walk came from."""


class Entry(NamedTuple):
    """Something in a directory; `parent` is that directory, open until the next entry is asked for."""

    parent: int
    name: str
    status: os.stat_result


def entries_below(path: Path) -> Iterator[Entry]:
    """Everything in the tree but its top; links are entries, and never followed.

    What vanishes meanwhile or may not be entered is left out. Raises `TreeMovedError`.
    """
    walk = _Walk(path)
    try:
        yield from walk.entries()
        while walk.advance():
            yield from walk.entries()
    finally:
        walk.close()


def disk_usage(path: Path) -> int:
    """The bytes that all in the tree takes on disk, as `du` counts them: holes are free, a file with two names counts once.

    Of a tree that is being moved about it is what was seen of it; of one that is gone, 0.
    """
    total = 0
    seen: set[Identity] = set()
    try:
        for entry in entries_below(path):
            status = entry.status
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                if _identity(status) in seen:
                    continue
                seen.add(_identity(status))
            # Also what is empty takes room, in the tables of the file system.
            total += max(status.st_blocks, 1) * _BLOCK_BYTES
    except (TreeMovedError, FileNotFoundError):
        return total
    return total


class _Level(NamedTuple):
    identity: Identity
    unvisited: list[str]


class _Walk:
    """Where a walk stands: in a directory, with the way back up."""

    def __init__(self, path: Path) -> None:
        self._directory = os.open(path, _DIRECTORY)
        self._levels = [_Level(_identity(os.fstat(self._directory)), [])]

    def close(self) -> None:
        os.close(self._directory)

    def entries(self) -> Iterator[Entry]:
        """What is in this directory; those to be visited are noted."""
        unvisited = self._levels[-1].unvisited
        with os.scandir(self._directory) as found:
            for item in found:
                try:
                    status = item.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISDIR(status.st_mode):
                    unvisited.append(item.name)
                yield Entry(self._directory, item.name, status)

    def advance(self) -> bool:
        """Go to the next directory, depth first; False when all were visited."""
        while self._levels:
            if self._levels[-1].unvisited:
                if self._descend(self._levels[-1].unvisited.pop()):
                    return True
            else:
                self._levels.pop()
                if self._levels:
                    self._ascend(self._levels[-1].identity)
        return False

    def _descend(self, name: str) -> bool:
        try:
            below = os.open(name, _DIRECTORY, dir_fd=self._directory)
        except OSError as error:
            if error.errno in _NOT_TO_BE_ENTERED:
                return False
            raise
        self._go_to(below)
        self._levels.append(_Level(_identity(os.fstat(below)), []))
        return True

    def _ascend(self, expected: Identity) -> None:
        self._go_to(os.open("..", _DIRECTORY, dir_fd=self._directory))
        if _identity(os.fstat(self._directory)) != expected:
            raise TreeMovedError("The directory was moved during the walk")

    def _go_to(self, directory: int) -> None:
        os.close(self._directory)
        self._directory = directory


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino
