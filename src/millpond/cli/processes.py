"""What the processes of an instance share: dying with their supervisor, and saying that they refuse to start."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from millpond.base.errors import SandboxUnavailable, StartupRefused

SUPERVISOR = "MILLPOND_SUPERVISOR_PID"
LISTEN_FD = "MILLPOND_LISTEN_FD"
REFUSED = 78
"""The exit code of a part that would refuse again if it were started again: EX_CONFIG of sysexits.h."""

_PR_SET_PDEATHSIG = 1
_LOOK_EVERY_SECS = 0.5


def die_with_supervisor() -> None:
    """End this process when the supervisor dies, so that a killed `serve` leaves nothing behind.

    At once, without a drain: the database ends with the supervisor, so that nothing could be recorded any more.
    """
    supervisor = os.environ.get(SUPERVISOR)
    if supervisor is None:
        return
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(int(supervisor),), name="watch supervisor", daemon=True).start()
    # The supervisor may have died before the request was made.
    if os.getppid() != int(supervisor):
        sys.exit(1)


@contextmanager
def refusals_told() -> Iterator[None]:
    """A refusal to start inside is said, and told the supervisor by the exit code; any other end is worth another try."""
    try:
        yield
    except (StartupRefused, SandboxUnavailable) as error:
        if SUPERVISOR not in os.environ:
            raise
        click.echo(f"millpond: {error.message}", err=True)
        sys.exit(REFUSED)


def _watch(supervisor: int) -> None:
    while os.getppid() == supervisor:
        time.sleep(_LOOK_EVERY_SECS)
    os.kill(os.getpid(), signal.SIGKILL)
