"""Becomes another program: gives up rights, ties itself to its parent's life, then executes.

Run as a script by `processes.launch_command`, in an interpreter of its own: the same steps between fork and
exec of a process with threads could deadlock. The standard library only, and nothing of the project, is
importable here.
"""

import ctypes
import json
import os
import struct
import sys

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_SET_SECUREBITS = 28
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, call: str) -> None:
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{call}: {os.strerror(error)}")


def _prctl(option: int, first: int, second: int = 0) -> None:
    zero = ctypes.c_ulong(0)
    arguments = (ctypes.c_ulong(first), ctypes.c_ulong(second), zero, zero)
    _checked(_libc.prctl(ctypes.c_int(option), *arguments), f"prctl({option}, {first})")


def _become(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setregid(gid, gid)
    os.setreuid(uid, uid)


def _become_with_read_search(uid: int, gid: int) -> None:
    """Change the user, keeping of all capabilities the one to read and search, also across exec."""
    # access(2) ignores the capabilities of a user other than root unless this bit is set, and PostgreSQL's
    # programs find each other with access(2). The bit also stops setuid from clearing capabilities: capset
    # does it instead.
    _prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP)
    _prctl(_PR_SET_KEEPCAPS, 1)
    _become(uid, gid)
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    bit = 1 << _CAP_DAC_READ_SEARCH
    _checked(_libc.capset(header, struct.pack("=6I", bit, bit, bit, 0, 0, 0)), "capset")
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_READ_SEARCH)


def main() -> None:
    """Read the orders from the first argument, then execute the rest."""
    orders = json.loads(sys.argv[1])
    os.umask(0o077)
    os.chdir("/")
    if orders["uid"] is not None:
        become = _become_with_read_search if orders["read_search"] else _become
        become(orders["uid"], orders["gid"])
    if sys.platform == "linux":
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        # After the change of user, which clears it.
        _prctl(_PR_SET_PDEATHSIG, orders["parent_death_signal"])
    # A parent that died before the signal was asked for will not send it.
    if os.getppid() != orders["parent"]:
        sys.exit("the process that starts PostgreSQL is gone")
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"cannot execute {sys.argv[2]}: {error}")
