"""Runs that go on from earlier ones: compat facts, flows 2.9."""

from typing import Any

import pytest

from millpond.base.errors import InvalidInput
from millpond.engine.restarting import PastRun, restarted_status
from millpond.engine.status import RestartedFrom
from tests.unit.engine_flows import branch, branch_all, flow, loop, py
from tests.unit.engine_interpreter import Run, World

ITEM = {"n": "flow_input.iter.value"}
LOOP = flow(
    py("a", "lambda: visits.append('a') or [1, 2, 3]"),
    loop("l", "results.a", py("b", "lambda n: visits.append(n) or n * 10", ITEM)),
    py("z", "lambda l: [*l, visits.append('z')]", {"l": "results.l"}),
)


def again(world: World, past: Run, definition: Any, step: str, number: int | None = None) -> Run:
    world.visits.clear()
    point = RestartedFrom(past.id, step, number)
    status = restarted_status(past.flow, PastRun(past.id, past.flow, past.status), point)
    return world.run(definition, past.arguments, status=status)


@pytest.mark.parametrize(
    ("step", "number", "visits"),
    [
        ("a", None, ["a", 1, 2, 3, "z"]),
        ("l", None, [1, 2, 3, "z"]),
        ("l", 0, [1, 2, 3, "z"]),
        ("l", 2, [3, "z"]),
        ("z", None, ["z"]),
    ],
)
def test_what_came_before_is_taken_over(step: str, number: int | None, visits: list[Any]) -> None:
    world = World()
    past = world.run(LOOP)
    run = again(world, past, LOOP, step, number)
    assert run.result == past.result == [10, 20, 30, None]
    assert world.visits == visits
    # A restart of a restart reaches back to the run that did the work.
    assert again(world, run, LOOP, "l", 1).result == past.result
    assert world.visits == [2, 3, "z"]


def test_branches_are_taken_over() -> None:
    steps = [branch(py(f"b{n}", f"lambda: visits.append({n}) or {n}")) for n in range(3)]
    definition = flow(branch_all("x", *steps, parallel=False))
    world = World()
    past = world.run(definition)
    assert again(world, past, definition, "x", 2).result == [0, 1, 2]
    assert world.visits == [2]


def test_the_wait_before_the_restart_is_not_repeated() -> None:
    definition = flow(py("a", "lambda: 1", suspend={"required_events": 1}), py("b", "lambda: 2"))
    world = World()
    past = world.run(definition)
    world.approve(past, "a")
    world.settle()
    assert again(world, past, definition, "b").result == 2
    assert len(world.suspended) == 1


@pytest.mark.parametrize(
    ("definition", "step", "number", "message"),
    [
        (LOOP, "nope", None, "restarted from step nope as it could not be found"),
        (LOOP, "a", 1, "not a loop"),
        (LOOP, "l", 3, "did not come that far"),
        (LOOP, "l", -1, "iteration -1"),
        (flow(loop("l", [1], py("b", "lambda: 1"), over={"parallel": True})), "l", 1, "at the same time"),
        (flow(py("a", "lambda: fail(1)"), py("b", "lambda: 1")), "b", None, "non successful module"),
    ],
)
def test_impossible_restarts_are_refused(
    definition: Any, step: str, number: int | None, message: str
) -> None:
    world = World()
    past = world.run(definition)
    with pytest.raises(InvalidInput, match=message):
        again(world, past, definition, step, number)
