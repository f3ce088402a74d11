"""Chooses the operating system account that the server runs as.

PostgreSQL refuses to run as root. Started by root it runs under a user id of its own, one that needs no entry
in the user database and that nothing else on the machine uses: under `nobody` it would share its files with
every other program that was told to have no rights.
"""

import os
import pwd
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec

from millpond.base.errors import StartupRefused
from millpond.store.embedded.layout import ADVICE

# Between the ids Debian hands out to packages and those systemd hands out to services: unused by either.
DEDICATED_ID = 60871

_READ_SEARCH_AND_SETPCAP = 1 << 2 | 1 << 8


class Account(msgspec.Struct, frozen=True):
    """A user and group id to change to, or None for both to stay who we are.

    `read_search` asks for the Linux capability to pass through folders, and read files, that are closed to
    this user: the programs and the data of a root installation are usually below /root, which nobody else can
    enter.
    """

    uid: int | None = None
    gid: int | None = None
    read_search: bool = False

    def own(self, path: Path | str, folder: int | None = None) -> None:
        """Make this account the owner of a file or folder, relative to the open `folder` if one is given."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid, dir_fd=folder, follow_symlinks=False)


def server_account(cluster: Path, needed: Iterable[Path]) -> Account:
    """The account for a server on `cluster` that needs to reach the `needed` paths.

    An existing cluster keeps its owner. Raises StartupRefused when a path is closed to the account and the
    capability that would open it cannot be had.
    """
    if os.geteuid() != 0:
        return Account()
    uid, gid = DEDICATED_ID, DEDICATED_ID
    if cluster.is_dir() and (found := cluster.stat()).st_uid != 0:
        uid, gid = found.st_uid, found.st_gid
    closed = [path for path in needed if not _can_reach(path, uid, gid)]
    if closed and not _can_grant_read_search():
        raise StartupRefused(
            f"Started by root, the embedded PostgreSQL runs as user id {uid}, which cannot reach {closed[0]} "
            f"because of the permissions of the folders above it. {ADVICE}"
        )
    return Account(uid, gid, read_search=bool(closed))


def named_account(account: Account) -> Account:
    """`account`, or `nobody` when its id has no name: initdb asks for the name of the user it runs as."""
    if account.uid is None:
        return account
    try:
        pwd.getpwuid(account.uid)
    except KeyError:
        stand_in = _nobody()
        return Account(stand_in.pw_uid, stand_in.pw_gid, account.read_search)
    return account


def _nobody() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise StartupRefused(
            "Started by root, the embedded PostgreSQL needs the system account 'nobody' to set up its files, "
            "and there is none. Start millpond as another user, or set DATABASE_URL."
        ) from None


def _can_reach(path: Path, uid: int, gid: int) -> bool:
    """Whether the permission bits let this user enter every folder above `path`."""
    return all(_may_enter(folder.stat(), uid, gid) for folder in path.resolve().parents)


def _may_enter(folder: os.stat_result, uid: int, gid: int) -> bool:
    if folder.st_uid == uid:
        return bool(folder.st_mode & stat.S_IXUSR)
    if folder.st_gid == gid:
        return bool(folder.st_mode & stat.S_IXGRP)
    return bool(folder.st_mode & stat.S_IXOTH)


def _can_grant_read_search() -> bool:
    """Whether this process holds what the launcher needs to pass the capability on."""
    if sys.platform != "linux":
        return False
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16) & _READ_SEARCH_AND_SETPCAP == _READ_SEARCH_AND_SETPCAP
    return False
