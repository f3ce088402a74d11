"""Processes as the kernel shows them: who descends from whom, and who is gone."""

import os
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """A process, told from a later one of the same id by when it started."""

    pid: int
    parent: int
    state: str
    started: int
    command: str

    @property
    def is_gone(self) -> bool:
        """Whether it has ended; also when nobody has reaped it."""
        now = _read(self.pid)
        return now is None or now.started != self.started or now.state in "ZX"

    def send(self, order: int) -> None:
        """Send it a signal, unless it has ended."""
        if not self.is_gone:
            os.kill(self.pid, order)


def descendants(pid: int) -> list[Process]:
    """Every living process below a process, nearest first."""
    by_parent: dict[int, list[Process]] = {}
    for process in _all():
        by_parent.setdefault(process.parent, []).append(process)
    found: list[Process] = []
    parents = [pid]
    while parents:
        children = [
            child for parent in parents for child in by_parent.get(parent, []) if child.state not in "ZX"
        ]
        found += children
        parents = [child.pid for child in children]
    return found


def working_in(folder: Path) -> list[Process]:
    """Every living process that names a folder on its command line, or works below it."""
    return [process for process in _all() if process.state not in "ZX" and _concerns(process, str(folder))]


def _concerns(process: Process, folder: str) -> bool:
    try:
        return folder in process.command or str(Path(f"/proc/{process.pid}/cwd").readlink()).startswith(
            folder
        )
    except OSError:
        return False


def _all() -> list[Process]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [process for pid in pids if (process := _read(pid)) is not None]


def _read(pid: int) -> Process | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return None
    # The name, in brackets, may hold anything.
    fields = stat.rpartition(")")[2].split()
    return Process(pid, int(fields[1]), fields[0], int(fields[19]), command.strip())
