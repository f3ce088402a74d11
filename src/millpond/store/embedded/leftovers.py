"""Ends what a killed instance left behind, so that the next one can start at once.

Everything here supposes that the caller holds the instance's lock: a server found on the cluster then has no
owner.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from millpond.base.errors import StartupRefused
from millpond.store.embedded.layout import Layout

_HAS_PROC = sys.platform == "linux"

SETTLE_SECS = 10.0
POLL_SECS = 0.01


def end_previous_server(layout: Layout) -> None:
    """Wait for the server of a killed instance to end, asking it to, and more firmly after half of the time.

    Raises StartupRefused when it is still there after `SETTLE_SECS`.
    """
    pid = postmaster_pid(layout)
    if pid is None:
        return
    give_up = time.monotonic() + SETTLE_SECS
    firmly = time.monotonic() + SETTLE_SECS / 2
    order = signal.SIGINT
    while _is_postmaster(pid, layout.cluster):
        if time.monotonic() >= give_up:
            raise StartupRefused(
                f"The PostgreSQL of an earlier instance still runs on {layout.cluster} (process {pid}) "
                "and does not shut down. End that process, or choose another folder with --data-dir."
            )
        if time.monotonic() >= firmly:
            order = signal.SIGQUIT
        _send(pid, order)
        time.sleep(POLL_SECS)
    _forget_reused_pid(layout, pid)


def end_orphaned_backends(cluster: Path) -> None:
    """End sessions that outlived their postmaster: a busy one does not notice, and blocks the next start.

    They are found by name and working directory, on Linux only; elsewhere the next start waits for them.
    """
    for process in _processes():
        with suppress(OSError):
            is_server = (process / "comm").read_text(encoding="utf-8", errors="replace") == "postgres\n"
            if is_server and (process / "cwd").samefile(cluster):
                os.kill(int(process.name), signal.SIGQUIT)


def postmaster_pid(layout: Layout) -> int | None:
    """The pid in postmaster.pid, whether or not it lives."""
    with suppress(FileNotFoundError, ValueError):
        return int(layout.postmaster_file.read_bytes().split(b"\n", 1)[0])
    return None


def _forget_reused_pid(layout: Layout, pid: int) -> None:
    """Remove the note of a dead server whose pid now belongs to another process.

    PostgreSQL would take that process for itself and refuse; containers, with their small pids, run into it.
    It still refuses when the shared memory of the cluster is in use, so a server is never doubled.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return
    except PermissionError:
        pass
    layout.postmaster_file.unlink(missing_ok=True)


def _is_postmaster(pid: int, cluster: Path) -> bool:
    arguments = _command_line(pid)
    if "-D" not in arguments[:-1]:
        return False
    with suppress(OSError):
        return Path(arguments[arguments.index("-D") + 1]).samefile(cluster)
    return False


def _send(pid: int, order: signal.Signals) -> None:
    # One that ended meanwhile, or that is another user's: the caller finds out by asking again.
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, order)


def _command_line(pid: int) -> list[str]:
    """The arguments of a process; empty when it has ended, also when nobody has reaped it yet."""
    if _HAS_PROC:
        with suppress(OSError):
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
            return os.fsdecode(arguments).split("\0")[:-1]
        return []
    ps = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    line = subprocess.run(ps, capture_output=True, text=True, check=False).stdout.strip()
    # ps joins arguments with spaces, which a path may hold too; ours is followed by the first setting.
    program, mark, rest = line.partition(" -D ")
    return [program, mark.strip(), rest.partition(" -c ")[0]]


def _processes() -> list[Path]:
    return [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()] if _HAS_PROC else []
