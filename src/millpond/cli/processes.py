"""What the processes of an instance share: dying with their supervisor, and the environment they are given."""

import ctypes
import os
import signal
import sys

SUPERVISOR = "MILLPOND_SUPERVISOR_PID"
LISTEN_FD = "MILLPOND_LISTEN_FD"
_PR_SET_PDEATHSIG = 1


def die_with_supervisor() -> None:
    """Ask the kernel for SIGTERM when the supervisor dies, so that a killed `serve` leaves nothing behind.

    Only Linux can do this; elsewhere the parts find their database gone and end.
    """
    supervisor = os.environ.get(SUPERVISOR)
    if supervisor is None or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    # The supervisor may have died before the request was made.
    if os.getppid() != int(supervisor):
        sys.exit(1)
