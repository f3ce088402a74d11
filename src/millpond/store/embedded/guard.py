"""Stops a server when its owner is gone, where the kernel cannot be asked to send a signal for that.

Run as a script. Standard input is a pipe whose other end the owner holds and never writes to; it ends with
the owner. The arguments are the pid of the server and its postmaster.pid. The standard library only is
importable here.
"""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

_STARTUP_SECS = 5.0
_POLL_SECS = 0.05


def main() -> None:
    """Wait for the end of the owner, then ask the server to shut down."""
    pid, postmaster_file = int(sys.argv[1]), Path(sys.argv[2])
    while os.read(0, 1):
        pass
    # The owner may have died before the server wrote its file.
    give_up = time.monotonic() + _STARTUP_SECS
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < give_up:
            # The file keeps a process that was given the pid of an ended server from being signalled.
            if _noted_pid(postmaster_file) == str(pid).encode():
                os.kill(pid, signal.SIGINT)
                return
            os.kill(pid, 0)
            time.sleep(_POLL_SECS)


def _noted_pid(postmaster_file: Path) -> bytes:
    with contextlib.suppress(OSError):
        return postmaster_file.read_bytes().split(b"\n", 1)[0].strip()
    return b""


if __name__ == "__main__":
    main()
