"""Where PID namespaces are not permitted: the process between the zygote and a job, which runs no user code.

It is a subreaper: orphans become its children, however they were detached, and it kills until there are none.
"""

import os
import select
import signal
import struct
from collections.abc import Callable
from typing import NoReturn

from millpond.runtimes.sandbox import kernel

_REPORT = struct.Struct("=iQ")


def supervise(job: Callable[[], NoReturn], *, report: int) -> NoReturn:
    """Fork the job, wait for it, report `waitpid` status and peak memory into `report`; never returns."""
    exit_code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, lambda *_: _signal_descendants(signal.SIGTERM))
        signal.signal(signal.SIGUSR1, lambda *_: _signal_descendants(signal.SIGKILL))
        kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
        _end_with_the_zygote(report)
        process = os.fork()
        if process == 0:
            os.close(report)
            job()
        if _is_unwatched(report):  # the signal may have come when there was nothing to end yet
            _signal_descendants(signal.SIGKILL)
        while True:
            ended, status, usage = os.wait4(-1, 0)
            if ended == process:
                break
        _sweep()
        os.write(report, _REPORT.pack(status, usage.ru_maxrss * 1024))
        exit_code = 0
    finally:
        os._exit(exit_code)


def _end_with_the_zygote(report: int) -> None:
    # Not SIGKILL: killed outright the supervisor could no longer find its descendants.
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGUSR1)
    if _is_unwatched(report):  # the zygote died before the signal was asked for
        os._exit(0)


def _is_unwatched(report: int) -> bool:
    """Whether the reading end of the pipe is gone, and with it the zygote."""
    poll = select.poll()
    poll.register(report, 0)
    return bool(poll.poll(0))


def _sweep() -> None:
    """Kill and reap until no descendant is left."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                _signal_descendants(signal.SIGKILL)
                os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _signal_descendants(number: signal.Signals) -> None:
    for process in _descendants(os.getpid()):
        try:
            os.kill(process, number)
        except ProcessLookupError:
            continue


def _descendants(process: int) -> list[int]:
    found: list[int] = []
    pending = [process]
    while pending:
        parent = pending.pop()
        try:
            with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as file:  # noqa: PTH123
                children = [int(child) for child in file.read().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue
        found += children
        pending += children
    return found
