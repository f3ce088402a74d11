"""The process of one job, from the fork to its end: made unlike the zygote, confined, then the script's.

Nothing of the worker is left in it: descriptors, environment and signal handlers are replaced before user
code runs.
"""

import atexit
import gc
import io
import os
import signal
import site
import sys
import threading
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from millpond.runtimes.python import protocol
from millpond.runtimes.python.wrapper import results, script
from millpond.runtimes.sandbox.confinement import Confinement, Job

# The zygote opens a few dozen files before it forks, and its children close those of other jobs by name;
# where the C library lacks close_range, a bound without reason would cost a system call for each number below
# it.
_MOST_DESCRIPTORS = 1024


class Assignment(NamedTuple):
    """The job a process is to be."""

    files: protocol.JobFiles
    user_id: int | None


def run(
    assigned: Callable[[], Assignment], *, confinement: Confinement, packages: protocol.Packages
) -> NoReturn:
    """Be the job that `assigned` tells, which may wait for one; never returns."""
    status = 70
    try:
        os.setsid()
        _restore_signals()
        os.environ.clear()
        _be_the_job(assigned(), confinement, packages)
        status = 0
    finally:
        os._exit(status)


def rehearse() -> None:
    """Go through what every job does, for nothing; the memory that it changes is copied now and not then."""
    os.environ["PATH"] = os.defpath
    del os.environ["PATH"]
    _line_buffered(1)
    script.run(
        *(b"def main(): pass", b"{}"),
        file="rehearsal.py",
        entrypoint="main",
        package="",
        result_bytes=len("null"),
        step_id=None,
    )
    del sys.modules["script"]
    gc.freeze()


def _be_the_job(assignment: Assignment, confinement: Confinement, packages: protocol.Packages) -> None:
    files, user_id = assignment
    try:
        process = os.getpid()
        os.dup2(files.output, 1)
        os.dup2(files.output, 2)
        header, code, args = protocol.read_payload(files.payload)
        confinement.enter(_job(header, user_id))
        _close_all_but(files.result)
        _become_script_host(header, packages)
        file = f"{header['directory']}/script.py"
        _write_script(file, code)
        result = script.run(
            code,
            args,
            file=file,
            entrypoint=header["entrypoint"],
            package=header["package"],
            result_bytes=header["result_bytes"],
            step_id=header["env"].get("WM_FLOW_STEP_ID"),
        )
        if os.getpid() == process:
            protocol.write_all(files.result, result)
        # A child the script forked may come back here too: only the job's own process has the last word.
        _finish()
    except BaseException as error:  # noqa: BLE001 - the last frame of a process
        _report_unprepared(files.result, error)


def _report_unprepared(result: int, error: BaseException) -> None:
    message = f"The job's process could not be prepared: {type(error).__name__}: {error}"
    described = results.encode({"name": "ExecutionErr", "message": message})
    os.ftruncate(result, 0)
    os.lseek(result, 0, os.SEEK_SET)
    protocol.write_all(result, protocol.FAILURE + described)


def _job(header: protocol.Header, user_id: int | None) -> Job:
    return Job(
        directory=header["directory"],
        shared_directory=header["shared_directory"],
        user_id=user_id,
        processes=header["processes"],
        file_size_bytes=header["file_size_bytes"],
        open_files=header["open_files"],
        memory_bytes=header["memory_bytes"],
    )


def _close_all_but(result: int) -> None:
    os.closerange(3, result)
    os.closerange(result + 1, max(result + 1, _MOST_DESCRIPTORS))


def _restore_signals() -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:  # as under a supervisor
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def _become_script_host(header: protocol.Header, packages: protocol.Packages) -> None:
    os.environ.update(header["env"])
    os.umask(0o022)
    sys.stdout = _line_buffered(1)
    sys.stderr = _line_buffered(2)
    sys.argv = [f"{header['directory']}/script.py"]
    if packages["environment"]:
        # Also runs the .pth files of installed packages, which is why it happens here, confined.
        site.addsitedir(packages["environment"])
    # Our client comes last: a script that pins the real one gets the real one.
    sys.path += [header["directory"], packages["client"]]
    gc.enable()


def _line_buffered(descriptor: int) -> io.TextIOWrapper:
    # Whole lines, so that standard output and error keep their order in the one pipe they share. New objects:
    # the zygote's believe that they can seek.
    raw = io.FileIO(descriptor, "w", closefd=False)
    return io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", errors="backslashreplace", line_buffering=True)


def _write_script(file: str, code: bytes) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        protocol.write_all(descriptor, code)
    finally:
        os.close(descriptor)


def _finish() -> None:
    """End as an interpreter does, without the cost of taking it apart: threads, exit handlers, buffers."""
    wait_for_threads = getattr(threading, "_shutdown", None)
    if wait_for_threads is not None:
        wait_for_threads()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # closed or replaced by the script
            continue
