"""Measures flows: many steps one after the other, many at once, and long loops."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import Figure, timed
from instance import Instance

STEPS = 40
RUNS = 7
FAN_OUT = 200
SHORT_LOOP, LONG_LOOP = 1_000, 10_000
FIBONACCI = """
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
"""
STEP = FIBONACCI + "def main():\n    return fibonacci(10)\n"
FILE = FIBONACCI + "print(fibonacci(10))\n"


def sequential_steps(instance: Instance) -> list[Figure]:
    """40 trivial Python steps, a process each, against a shell loop over the same program in a file."""
    modules = [{"id": f"s{number}", "value": script(STEP)} for number in range(STEPS)]
    seconds = statistics.median(run_flow(instance, modules) for _ in range(RUNS))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "fib.py"
        file.write_text(FILE)
        loop = f'for n in $(seq {STEPS}); do "$0" "$1" > /dev/null; done'
        command = ["sh", "-c", loop, str(Path(sys.executable).resolve()), str(file)]
        bare = statistics.median(timed(lambda: subprocess.run(command, check=True)) for _ in range(RUNS))
    yardstick = "a shell loop of `python fib.py` (target 0.5)"
    return [
        Figure(f"flow of {STEPS} sequential Python steps", seconds, "s", "< 0.25", seconds / bare, yardstick)
    ]


def fan_out(instance: Instance) -> list[Figure]:
    """A parallel loop over 200 items, a process each."""
    body = [{"id": "b", "value": script(STEP)}]
    modules = [{"id": "a", "value": loop_over(FAN_OUT, body, parallel=True)}]
    seconds = statistics.median(run_flow(instance, modules) for _ in range(3))
    return [Figure(f"parallel loop of {FAN_OUT} Python jobs", seconds, "s", "< 1")]


def long_loop(instance: Instance) -> list[Figure]:
    """Loops whose items run nothing, one after the other: what the engine itself takes for each."""
    per_item = []
    for count in (SHORT_LOOP, LONG_LOOP):
        modules = [{"id": "a", "value": loop_over(count, [{"id": "b", "value": {"type": "identity"}}])}]
        per_item.append(run_flow(instance, modules) / count)
    name = f"item of a loop over {LONG_LOOP}"
    yardstick = f"an item of a loop over {SHORT_LOOP}"
    return [Figure(name, per_item[1] * 1000, "ms", "", per_item[1] / per_item[0], yardstick)]


def script(content: str) -> dict[str, object]:
    """An inline Python step without inputs or dependencies."""
    return {
        "type": "rawscript",
        "language": "python3",
        "content": content,
        "lock": "",
        "input_transforms": {},
    }


def loop_over(count: int, body: list[dict[str, object]], *, parallel: bool = False) -> dict[str, object]:
    """A loop over so many numbers."""
    iterator = {"type": "static", "value": list(range(count))}
    return {
        "type": "forloopflow",
        "iterator": iterator,
        "modules": body,
        "skip_failures": False,
        "parallel": parallel,
    }


def run_flow(instance: Instance, modules: list[dict[str, object]]) -> float:
    """Seconds from a flow's first turn to its end, by the engine's own record. Raises RuntimeError when it fails."""
    job_id = instance.call(
        "POST", "/w/main/jobs/run/preview_flow", {"value": {"modules": modules}, "args": {}}
    )
    while True:
        update = json.loads(instance.call("GET", f"/w/main/jobs_u/completed/get_result_maybe/{job_id}"))
        if update["completed"]:
            break
        # Asking without a pause would take a core from the flow.
        time.sleep(0.05)
    if not update["success"]:
        raise RuntimeError(f"the flow failed: {update['result']}")
    job = json.loads(instance.call("GET", f"/w/main/jobs_u/completed/get_timing/{job_id}"))
    return float(job["duration_ms"]) / 1000
