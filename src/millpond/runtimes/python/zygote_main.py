"""A warm interpreter that forks a process for each job. A program of its own: python -I -S zygote_main.py FD

It runs nothing but this package's code, has a single thread, holds no secret, and ends, with all its jobs, as
soon as the worker's end of the control socket is closed, which the kernel does however the worker ends.
"""

import contextlib
import gc
import json
import os
import select
import signal
import site
import socket
import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import NoReturn

# Garbage collected now would leave holes for each job to fill, a page to copy for each.
gc.disable()

_PACKAGE_ROOT = os.path.abspath(f"{__file__}/../../../..")  # noqa: PTH100

sys.path.insert(0, _PACKAGE_ROOT)
from millpond.runtimes.python import job_process, protocol, spare  # noqa: E402
from millpond.runtimes.python.launchers import (  # noqa: E402
    Ended,
    Launcher,
    NamespaceLauncher,
    SupervisedLauncher,
)
from millpond.runtimes.sandbox import kernel, namespaces  # noqa: E402
from millpond.runtimes.sandbox.confinement import Confinement  # noqa: E402

# The worker's packages are not the script's.
sys.path.remove(_PACKAGE_ROOT)


class Zygote:
    """Takes orders from the control socket, forks, reaps and reports."""

    def __init__(self, control: socket.socket, configuration: protocol.Configuration) -> None:
        self._control = control
        self._packages = configuration["packages"]
        self._confinement = Confinement(configuration["confinement"])
        spaces = self._confinement.pid_namespaces
        self._launcher: Launcher = NamespaceLauncher(spaces) if spaces else SupervisedLauncher()
        self._last_process = 0
        self._processes: dict[int, int] = {}  # by job
        self._jobs: dict[int, int] = {}  # by process
        self._spare: spare.Spare | None = None
        # Once for each job, not whenever there is none: what a spare dies of, the next would die of too.
        self._wants_spare = True
        self._wakeup, self._wakeup_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._wakeup_writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at a terminal is the worker's to handle

    def serve(self) -> None:
        """Work until the worker is gone, then end what still runs."""
        poll = select.poll()
        poll.register(self._control.fileno(), select.POLLIN)
        poll.register(self._wakeup, select.POLLIN)
        self._report({"event": "ready"})
        connected = True
        while connected or self._jobs or self._spare:
            # Only when there is nothing else to do: in a burst, the jobs that wait are forked first.
            ready = {descriptor for descriptor, _ in poll.poll(0 if self._wants_spare else None)}
            if not ready:
                self._make_spare()
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
                self._reap()
            if self._control.fileno() in ready and not self._obey():
                connected = False
                poll.unregister(self._control.fileno())
                self._wants_spare = False
                self._end_all()

    def _end_all(self) -> None:
        for process in self._jobs:
            self._launcher.signal(process, kill=True)
        if self._spare:
            self._spare.dismiss()

    def _obey(self) -> bool:
        received = protocol.receive(self._control)
        if received is None:
            return False
        request: protocol.Request = json.loads(received[0])
        if request["order"] == "run":
            self._start(request, protocol.JobFiles(*received[1]))
        elif request["id"] in self._processes:
            self._launcher.signal(self._processes[request["id"]], kill=request["order"] == "kill")
        return True

    def _start(self, request: protocol.Request, files: protocol.JobFiles) -> None:
        try:
            process = self._assign_to_spare(request, files)
            if process is None:
                assignment = job_process.Assignment(files, request.get("user_id"))
                process = self._fork(lambda: assignment)
            self._processes[request["id"]] = process
            self._jobs[process] = request["id"]
        except OSError as error:
            self._report({"event": "ended", "id": request["id"], "status": None, "reason": str(error)})
        files.close()
        self._wants_spare = self._spare is None

    def _assign_to_spare(self, request: protocol.Request, files: protocol.JobFiles) -> int | None:
        candidate, self._spare = self._spare, None
        return candidate.number if candidate and candidate.assign(request, files) else None

    def _make_spare(self) -> None:
        self._wants_spare = False
        try:
            ours, theirs = socket.socketpair()
        except OSError:  # too many files: the next job may find fewer
            return
        with theirs:
            try:
                process = self._fork(lambda: spare.wait(theirs, self._confinement), ours)
            except OSError:  # as long as the machine has no process left, jobs report it
                ours.close()
                return
        self._spare = spare.Spare(process, ours)

    def _fork(self, assigned: Callable[[], job_process.Assignment], *not_its: socket.socket) -> int:
        """Start a process that is the assigned job, and number it."""

        def job() -> NoReturn:
            self._forget()
            for descriptor in not_its:
                descriptor.close()
            job_process.run(assigned, confinement=self._confinement, packages=self._packages)

        self._last_process += 1
        self._launcher.start(self._last_process, job)
        return self._last_process

    def _forget(self) -> None:
        """In the child: let go of what only the zygote may hold."""
        signal.set_wakeup_fd(-1)
        self._control.close()
        os.close(self._wakeup)
        os.close(self._wakeup_writer)
        self._launcher.forget()

    def _reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            ended = self._launcher.reaped(pid, status, usage)
            if ended:
                self._report_end(ended)

    def _report_end(self, ended: Ended) -> None:
        if self._spare and self._spare.number == ended.number:
            self._spare.close()
            self._spare = None
        # A spare that died before it got its job was none of the worker's business.
        job = self._jobs.pop(ended.number, None)
        if job is None:
            return
        del self._processes[job]
        report: protocol.Report = {"event": "ended", "id": job, "status": ended.status}
        if ended.memory_peak_bytes is not None:
            report["memory_peak_bytes"] = ended.memory_peak_bytes
        self._report(report)

    def _report(self, report: protocol.Report) -> None:
        try:
            self._control.sendall(protocol.encode(report))
        except (BrokenPipeError, ConnectionResetError):
            return  # the worker is gone, which the next turn of the loop finds out


def _be_nobody() -> None:
    """Hide this program from what it forks: a script imports its own packages and is its own main module."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "millpond"]:
        del sys.modules[name]
    # Child processes of `multiprocessing` import the main module again: it must not be the zygote.
    sys.modules["__main__"] = ModuleType("__main__")


def _preload(configuration: protocol.Configuration) -> None:
    # Never anything from the environment: third-party code runs confined, in jobs, or not at all.
    sys.path.append(configuration["packages"]["client"])
    for name in configuration["preload"]:
        with contextlib.suppress(ImportError):
            import_module(name)
    sys.path.pop()


def _continue_in_own_namespaces(control: socket.socket, *, user_namespace: bool) -> None:
    """Go on as the first process of a PID namespace; the process the worker started only waits for it.

    The namespaces of the jobs lie within: however the zygote ends, the kernel ends them too.
    """
    if user_namespace:
        namespaces.enter_user_namespace()
    else:
        kernel.unshare(kernel.CLONE_NEWPID)
    zygote = os.fork()
    if zygote == 0:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        return
    control.close()
    _, status = os.waitpid(zygote, 0)
    os._exit(1 if status else 0)


def main() -> None:
    """Read the configuration, warm up, serve."""
    control = socket.socket(fileno=int(sys.argv[1]))
    control.set_inheritable(False)
    received = protocol.receive(control)
    if received is None:
        return
    configuration: protocol.Configuration = json.loads(received[0])
    means = configuration["confinement"]
    if means["pid_namespace"]:
        _continue_in_own_namespaces(control, user_namespace=means["user_namespace"])
    site.setquit()
    site.sethelper()
    zygote = Zygote(control, configuration)
    _preload(configuration)
    _be_nobody()
    # What is alive now stays for ever: collecting it again in each job would only copy its pages.
    gc.freeze()
    with control:
        zygote.serve()


if __name__ == "__main__":
    main()
