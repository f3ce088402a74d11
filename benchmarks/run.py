"""Measures an instance on this machine: `python benchmarks/run.py [NAME…] [--json FILE]`. Prints a table, writes JSON.

Each figure stands beside a yardstick taken in the same run, since machines differ and drift: the ratio is what compares.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from figures import BARE, Figure, bare_interpreter_seconds, show, timed
from flows import fan_out, long_loop, sequential_steps
from instance import Instance, resident_bytes

JOBS_NOOP = 20_000
JOBS_PYTHON = 500
CALLS = 200
PAIRS = 300


def noop_drain(instance: Instance) -> list[Figure]:
    """No-op jobs through the queue, one worker."""
    ids = instance.batch("noop", JOBS_NOOP)
    seconds = instance.seconds_of(ids)
    return [Figure("no-op jobs", JOBS_NOOP / seconds, "jobs/s", "> 5000")]


def python_jobs(instance: Instance) -> list[Figure]:
    """Independent Python jobs, a process each, against a shell loop of the bare interpreter."""
    instance.deploy("u/admin/bench_trivial", "def main():\n    return 1\n")
    instance.run_wait("u/admin/bench_trivial", {})
    seconds = instance.seconds_of(instance.batch("script", JOBS_PYTHON, "u/admin/bench_trivial"))
    bare = bare_interpreter_seconds()
    rate = JOBS_PYTHON / seconds
    return [Figure("Python jobs, a process each", rate, "jobs/s", "> 300", 1 / rate / bare, BARE)]


def webhook(instance: Instance) -> list[Figure]:
    """Synchronous runs of a trivial deployed script over one connection."""
    instance.deploy("u/admin/bench_trivial", "def main():\n    return 1\n")
    for _ in range(20):
        instance.run_wait("u/admin/bench_trivial", {})
    times = [timed(lambda: instance.run_wait("u/admin/bench_trivial", {})) for _ in range(CALLS)]
    p50 = statistics.median(times)
    return [
        Figure("synchronous webhook, p50", p50 * 1000, "ms", "< 10", p50 / bare_interpreter_seconds(), BARE),
        Figure("synchronous webhook, p95", sorted(times)[int(CALLS * 0.95)] * 1000, "ms", ""),
    ]


STATE_SCRIPT = """
import time
import wmill

def main(pairs: int):
    wmill.set_state({"n": 0})
    wmill.get_state()
    times = []
    for _ in range(pairs):
        start = time.perf_counter()
        state = wmill.get_state()
        wmill.set_state({"n": state["n"] + 1})
        times.append(time.perf_counter() - start)
    assert wmill.get_state() == {"n": pairs}
    return sorted(times)
"""


def state_pairs(instance: Instance) -> list[Figure]:
    """get_state and set_state inside a job."""
    instance.deploy("u/admin/bench_state", STATE_SCRIPT)
    times = json.loads(instance.run_wait("u/admin/bench_state", {"pairs": PAIRS}))
    return [Figure("get+set of a state in a job, p50", statistics.median(times) * 1000, "ms", "< 1.5")]


def memory(instance: Instance) -> list[Figure]:
    """Proportional set size of all processes of the instance, after a while without work."""
    time.sleep(5)
    return [Figure("memory, idle", resident_bytes(instance.pid) / 1024**2, "MB", "< 250")]


def start_up() -> list[Figure]:
    """From nothing to the first finished run, and again on the same data."""
    with tempfile.TemporaryDirectory(prefix="millpond-bench-") as folder:
        Path(folder).chmod(0o711)
        data = Path(folder) / "data"
        seconds = []
        for _ in range(2):
            started = time.perf_counter()
            with Instance(data) as instance:
                instance.preview("def main():\n    return 1\n")
                seconds.append(time.perf_counter() - started)
    return [
        Figure("start to first finished run, new data", seconds[0], "s", "< 3"),
        Figure("start to first finished run, again", seconds[1], "s", "< 1.5"),
    ]


ON_ONE_INSTANCE: dict[str, Callable[[Instance], list[Figure]]] = {
    "memory": memory,
    "noop": noop_drain,
    "python": python_jobs,
    "webhook": webhook,
    "state": state_pairs,
    "steps": sequential_steps,
    "fan-out": fan_out,
    "loop": long_loop,
}


def main() -> None:
    """Run the benchmarks that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=[*ON_ONE_INSTANCE, "start", []], help="which to run; all by default"
    )
    parser.add_argument("--json", type=Path, default=None, help="where to write the figures")
    options = parser.parse_args()
    names = options.names or ["start", *ON_ONE_INSTANCE]
    figures = start_up() if "start" in names else []
    with tempfile.TemporaryDirectory(prefix="millpond-bench-") as folder:
        Path(folder).chmod(0o711)
        with Instance(Path(folder) / "data") as instance:
            for name, measure in ON_ONE_INSTANCE.items():
                if name in names:
                    figures += measure(instance)
    show(figures)
    if options.json:
        machine = {"python": platform.python_version(), "system": platform.platform()}
        report = {"machine": machine, "figures": [asdict(figure) for figure in figures]}
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
