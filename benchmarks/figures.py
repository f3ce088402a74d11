"""Figures, their yardsticks, and how they are shown."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

BARE = "one `python -I -S -c pass`"


@dataclass(frozen=True)
class Figure:
    """One measurement: `yardstick` says what `ratio` compares with."""

    name: str
    value: float
    unit: str
    target: str
    ratio: float | None = None
    yardstick: str = ""


def bare_interpreter_seconds() -> float:
    """How long the interpreter takes to start and end, median of 15."""
    command = [sys.executable, "-I", "-S", "-c", "pass"]
    return statistics.median(timed(lambda: subprocess.run(command, check=True)) for _ in range(15))


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def show(figures: list[Figure]) -> None:
    """Print the table."""
    for figure in figures:
        compared = f"{figure.ratio:8.2f} x {figure.yardstick}" if figure.ratio is not None else ""
        print(f"{figure.name:42} {figure.value:10.2f} {figure.unit:7} {figure.target:8} {compared}")
