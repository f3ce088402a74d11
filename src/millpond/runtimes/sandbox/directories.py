"""The directories of jobs: made, given to a user, removed whatever a job left in them."""

import contextlib
import os
import stat
from pathlib import Path
from uuid import uuid4

from millpond.runtimes.sandbox.trees import TreeMovedError, entries_below

TEMPORARY = "tmp"


def create_job_directory(path: Path, *, user_id: int | None, shared_dir: Path | None) -> None:
    """Make `path` with a `tmp` in it and, when given, a link `shared` to the shared directory."""
    os.mkdir(path, 0o700)  # noqa: PTH102 - one system call in the hot path of every job
    temporary = f"{path}/{TEMPORARY}"
    os.mkdir(temporary, 0o700)  # noqa: PTH102
    if shared_dir is not None:
        os.symlink(shared_dir, f"{path}/shared")  # noqa: PTH211
    if user_id is not None:
        os.chown(temporary, user_id, user_id)
        os.chown(path, user_id, user_id)


def give_tree_to(path: Path, user_id: int) -> None:
    """Make `user_id` the owner of a directory and of what its owner has in it, following no symbolic link.

    Does nothing when the directory is theirs already, as it is for every step of a flow after the first. What
    belongs to somebody else stays theirs: it can only be a hard link to a file from elsewhere.
    """
    owner = path.lstat().st_uid
    if owner == user_id:
        return
    try:
        for entry in entries_below(path):
            if entry.status.st_uid == owner:
                with contextlib.suppress(FileNotFoundError):
                    os.chown(entry.name, user_id, user_id, dir_fd=entry.parent, follow_symlinks=False)
    except TreeMovedError:
        # A step that runs at the same time, and moves things, got the whole tree before it began.
        if path.lstat().st_uid != user_id:
            raise
    # Last, so that a run interrupted half way starts over.
    os.chown(path, user_id, user_id, follow_symlinks=False)


def remove_untouched(path: Path) -> bool:
    """Remove a directory that holds only what every job's does, the common case; False when there is more."""
    try:
        for name in ("script.py", "shared"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{path}/{name}")  # noqa: PTH108
        os.rmdir(f"{path}/{TEMPORARY}")  # noqa: PTH106
        os.rmdir(path)  # noqa: PTH106
    except OSError:
        return False
    return True


def remove_tree(path: Path) -> None:
    """Remove a directory whose processes have all ended; a missing one is fine.

    Follows no symbolic link and needs neither recursion nor long paths: deeper directories are first moved up
    to the top, so depth costs nothing and modes a script took away are given back one directory at a time. Root
    needs no modes, and changes none: by name that would follow a link put there at the last moment.
    """
    try:
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return
    except PermissionError:
        path.chmod(0o700)
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchmod(top, 0o700)
        while names := os.listdir(top):  # noqa: PTH208 - by descriptor
            for name in names:
                _remove_entry(top, name)
    finally:
        os.close(top)
    path.rmdir()


def _is_directory(name: str, parent: int) -> bool:
    return stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode)


def _make_writable(name: str, parent: int) -> None:
    if os.geteuid() != 0:
        os.chmod(name, 0o700, dir_fd=parent)


def _remove_entry(top: int, name: str) -> None:
    if not _is_directory(name, top):
        os.unlink(name, dir_fd=top)
        return
    _make_writable(name, top)
    directory = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    try:
        for child in os.listdir(directory):  # noqa: PTH208 - by descriptor
            if _is_directory(child, directory):
                # Moving a directory rewrites its `..`, for which it must be writable.
                _make_writable(child, directory)
                os.rename(child, uuid4().hex, src_dir_fd=directory, dst_dir_fd=top)
            else:
                os.unlink(child, dir_fd=directory)
    finally:
        os.close(directory)
    os.rmdir(name, dir_fd=top)
