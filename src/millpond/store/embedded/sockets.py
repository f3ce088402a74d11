"""The private folder of the server's Unix socket.

The folder is `<data directory>/run`. Where that cannot be (the path of a socket holds about a hundred bytes)
it is one in the system's folder for temporary files, remembered in the data directory for the next start.
"""

import os
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from millpond.store.embedded.account import Account
from millpond.store.embedded.layout import Layout

PORT = 5432

_SOCKET = f".s.PGSQL.{PORT}"
_PATH_LIMIT_BYTES = 107 if sys.platform == "linux" else 103


def socket_folder(layout: Layout, account: Account) -> Path:
    """The folder, made if need be: owned by the server's account and closed to all others."""
    inside = layout.data_dir / "run"
    if _is_usable(inside):
        inside.mkdir(mode=0o700, exist_ok=True)
        inside.chmod(0o700)
        account.own(inside)
        return inside
    note = layout.data_dir / "postgres.socket"
    remembered = _remembered(note, account)
    return remembered or _make(note, account)


def clear_sockets(folder: Path) -> None:
    """Remove what an ended server left, whose pid in the lock file may belong to another process by now."""
    for name in (_SOCKET, f"{_SOCKET}.lock"):
        (folder / name).unlink(missing_ok=True)


def _is_usable(folder: Path) -> bool:
    # In the host of a connection URL a comma separates several servers.
    return len(os.fsencode(folder / _SOCKET)) <= _PATH_LIMIT_BYTES and "," not in str(folder)


def _remembered(note: Path, account: Account) -> Path | None:
    """The folder of an earlier start, if it is still ours: others can make names in a temporary folder."""
    owner = os.geteuid() if account.uid is None else account.uid
    with suppress(OSError):
        folder = Path(note.read_text(encoding="utf-8"))
        found = folder.lstat()
        if (
            stat.S_ISDIR(found.st_mode)
            and found.st_uid == owner
            and not found.st_mode & 0o077
            and _is_usable(folder)
        ):
            return folder
    return None


def _make(note: Path, account: Account) -> Path:
    base = tempfile.gettempdir()
    if not _is_usable(Path(base) / "millpond-12345678"):
        base = "/tmp"  # noqa: S108 - mkdtemp makes an unguessable, private folder in it
    folder = Path(tempfile.mkdtemp(prefix="millpond-", dir=base))
    account.own(folder)
    note.unlink(missing_ok=True)
    note.write_text(str(folder), encoding="utf-8")
    return folder
