"""Expressions that take their time, and the processes that evaluate them."""

import os
from pathlib import Path

from tests.chaos.eventually import eventually
from tests.chaos.processes import Process
from tests.chaos.served_instance import ServedInstance

EVALUATES = "millpond.expressions.child"
WORKED_SECS = 0.3


def slow(gives: str, seconds: float = 1) -> str:
    """An expression that takes its time; with a semicolon it would be a body of statements."""
    return f"[(end => {{ while (Date.now() < end) {{}} }})(Date.now() + {seconds * 1000}), {gives}][1]"


async def evaluating(served: ServedInstance) -> Process:
    """A process that evaluates, once it has worked for a while under our eyes: not one that only starts, or is idle."""
    first_seen: dict[int, float] = {}

    async def look() -> Process | None:
        for process in served.processes():
            if EVALUATES in process.command:
                spent = _cpu_secs(process)
                if spent - first_seen.setdefault(process.pid, spent) >= WORKED_SECS:
                    return process
        return None

    found = await eventually(look, 60, "a process evaluates")
    assert found is not None
    return found


def _cpu_secs(process: Process) -> float:
    try:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) / os.sysconf("SC_CLK_TCK")
