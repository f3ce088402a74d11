"""Two ways to start a job so that nothing of it can survive: in a PID namespace, or under supervision.

Both answer the same three calls; a job's end is announced only when its whole tree is gone.
"""

import os
import resource
import signal
import struct
from collections.abc import Callable
from typing import NamedTuple, NoReturn, Protocol

from millpond.runtimes.python.job_supervisor import supervise
from millpond.runtimes.sandbox.namespaces import PidNamespaces

_REPORT = struct.Struct("=iQ")


class Ended(NamedTuple):
    """A job that is over: its number, `waitpid` status and peak resident memory (None when unknown)."""

    number: int
    status: int
    memory_peak_bytes: int | None


class Launcher(Protocol):
    """What the zygote needs to know of either way."""

    def start(self, number: int, job: Callable[[], NoReturn]) -> None:
        """Fork a process for `job`; raises `OSError` when the machine has none left."""
        ...

    def signal(self, number: int, *, kill: bool) -> None:
        """End the job's processes: at once, or by asking. A number that is over already is ignored."""
        ...

    def reaped(self, pid: int, status: int, usage: resource.struct_rusage) -> Ended | None:
        """Take note of an ended child; answers when a job is over with it."""
        ...

    def forget(self) -> None:
        """In a child: close what only the zygote may hold."""
        ...


class _Contained:
    def __init__(self, number: int, process: int, keeper: int) -> None:
        self.number, self.process, self.keeper = number, process, keeper
        self.status: int | None = None
        self.memory_peak_bytes: int | None = None


class NamespaceLauncher:
    """Each job in a PID namespace of its own, whose first process does nothing but keep it.

    The keeper costs next to nothing and runs no Python; when the job has ended it is killed, and with it
    whatever the job left behind. The job itself is the second process, so that signals have their ordinary
    effect on it.
    """

    def __init__(self, spaces: PidNamespaces) -> None:
        self._spaces = spaces
        self._jobs: dict[int, _Contained] = {}
        self._by_pid: dict[int, _Contained] = {}

    def start(self, number: int, job: Callable[[], NoReturn]) -> None:
        """Fork a process for `job`; raises `OSError` when the machine has none left."""
        keeper = self._spaces.open_new()
        try:
            process = os.fork()
            if process == 0:
                job()
        except OSError:
            os.kill(keeper, signal.SIGKILL)
            raise
        finally:
            self._spaces.return_to_own()
        contained = _Contained(number, process, keeper)
        self._jobs[number] = self._by_pid[process] = self._by_pid[keeper] = contained

    def signal(self, number: int, *, kill: bool) -> None:
        """End the job's processes: at once, or, those of its process group, by asking."""
        contained = self._jobs.get(number)
        if contained is None or contained.status is not None:
            return
        if kill:
            os.kill(contained.keeper, signal.SIGKILL)
            return
        try:
            os.killpg(contained.process, signal.SIGTERM)
        except ProcessLookupError:  # not a group's leader yet
            os.kill(contained.process, signal.SIGTERM)

    def reaped(self, pid: int, status: int, usage: resource.struct_rusage) -> Ended | None:
        """Take note of an ended child; the keeper's end is the end of all."""
        contained = self._by_pid.pop(pid, None)
        if contained is None:
            return None
        if pid == contained.process:
            contained.status, contained.memory_peak_bytes = status, usage.ru_maxrss * 1024
            if contained.keeper in self._by_pid:
                os.kill(contained.keeper, signal.SIGKILL)
                return None
        elif contained.status is None:
            return None
        del self._jobs[contained.number]
        return Ended(contained.number, contained.status or 0, contained.memory_peak_bytes)

    def forget(self) -> None:
        """In a child: nothing is held."""


class _Supervised(NamedTuple):
    number: int
    report: int


class SupervisedLauncher:
    """Each job under a supervisor that, as a subreaper, inherits and kills all its descendants."""

    def __init__(self) -> None:
        self._jobs: dict[int, _Supervised] = {}

    def start(self, number: int, job: Callable[[], NoReturn]) -> None:
        """Fork a supervisor that forks `job`; raises `OSError` when the machine has no process left."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            supervisor = os.fork()
            if supervisor == 0:
                os.close(reader)
                supervise(job, report=writer)
        except OSError:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        self._jobs[supervisor] = _Supervised(number, reader)

    def signal(self, number: int, *, kill: bool) -> None:
        """Have the supervisor end the job's processes: it must outlive them to find them all."""
        for supervisor, job in self._jobs.items():
            if job.number == number:
                os.kill(supervisor, signal.SIGUSR1 if kill else signal.SIGTERM)

    def reaped(self, pid: int, status: int, usage: resource.struct_rusage) -> Ended | None:
        """Take note of an ended supervisor."""
        job = self._jobs.pop(pid, None)
        if job is None:
            return None
        report = os.read(job.report, _REPORT.size)
        os.close(job.report)
        if len(report) == _REPORT.size:
            return Ended(job.number, *_REPORT.unpack(report))
        return Ended(job.number, status or signal.SIGKILL, usage.ru_maxrss * 1024)

    def forget(self) -> None:
        """In a child: let go of the reports of the others."""
        for job in self._jobs.values():
            os.close(job.report)
