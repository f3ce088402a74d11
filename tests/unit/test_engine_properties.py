"""What holds for every flow: it ends, each step is pushed and ends once, and order among equals changes nothing.

The interpreter asserts on its way that no place is pushed twice, no job or flow ends twice, that an ended flow stays as
it is, and that statuses can be stored; the engine asserts that phases and step states follow their tables.
"""

import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millpond.engine.advance import ANSWERED, STAGES
from millpond.engine.events import HEARD, CancelAsked
from millpond.engine.status import MODULE_STATES, PHASES, ModuleState, Phase, Stage
from tests.unit.engine_flows import (
    branch,
    branch_all,
    branch_one,
    flow,
    identity,
    loop,
    module,
    py,
    static,
    while_loop,
)
from tests.unit.engine_interpreter import Run, World

CODES = ["lambda: 1", "lambda: [1, 2]", "lambda: fail('x')", "lambda: {'k': 1}"]
SETTINGS: list[dict[str, Any]] = [
    {"retry": {"constant": {"attempts": 1}}},
    {"retry": {"exponential": {"attempts": 2, "seconds": 1}, "retry_if": {"expr": "True"}}},
    {"continue_on_error": True},
    {"skip_if": {"expr": "previous_result == 1"}},
    {"stop_after_if": {"expr": "result == 1"}},
    {"stop_after_if": {"expr": "True", "skip_if_stopped": True}},
    {"stop_after_if": {"expr": "True", "error_message": "m"}},
    {"stop_after_all_iters_if": {"expr": "len(result) > 1"}},
    {"sleep": static(0.5)},
    {"sleep": static("broken")},
    {"mock": {"enabled": True, "return_value": 7}},
    {"timeout": 5},
    {"suspend": {"required_events": 1, "continue_on_disapprove_timeout": True}},
]
OVER: list[dict[str, Any]] = [
    {},
    {"parallel": True},
    {"parallel": True, "parallelism": 2},
    {"skip_failures": False},
    {"skip_failures": False, "parallel": True},
]


STEPS = {"script", "identity", "subflow"}
ITERATING = {"loop", "while", "all"}


@st.composite
def modules(draw: st.DrawFn, names: Any, depth: int = 3) -> list[dict[str, Any]]:
    return [draw(a_module(names, depth)) for _ in range(draw(st.integers(0, 3)))]


@st.composite
def a_module(draw: st.DrawFn, names: Any, depth: int) -> dict[str, Any]:  # noqa: PLR0911 - one kind, one line
    name = f"m{next(names)}"
    kinds = ["script", "identity", "subflow"]
    kinds += ["loop", "while", "all", "one"] if depth else []
    kind = draw(st.sampled_from(kinds))
    chosen = draw(st.lists(st.sampled_from(SETTINGS), max_size=2))
    given_settings = {key: value for entry in chosen for key, value in entry.items() if _takes(kind, key)}

    def body() -> list[dict[str, Any]]:
        return draw(modules(names, depth - 1))

    match kind:
        case "script":
            return py(name, draw(st.sampled_from(CODES)), **given_settings)
        case "loop":
            over = draw(st.sampled_from(OVER))
            items: Any = draw(st.sampled_from([[], [1], [1, 2, 3], "previous_result"]))
            return loop(name, items, *body(), over=over, **given_settings)
        case "while":
            given_settings["stop_after_if"] = {"expr": "len(all_iters) >= 2"}
            return while_loop(name, *body(), **given_settings)
        case "all":
            branches = [
                branch(*body(), skip_failure=draw(st.booleans())) for _ in range(draw(st.integers(0, 3)))
            ]
            return branch_all(name, *branches, parallel=draw(st.booleans()), **given_settings)
        case "one":
            chooser = draw(st.sampled_from(["True", "False", "1 / 0", "previous_result == 1"]))
            return branch_one(name, branch(*body(), expr=chooser), default=body(), **given_settings)
        case "subflow":
            return module(name, "flow", {"path": draw(st.sampled_from(["good", "bad"]))}, **given_settings)
        case _:
            return identity(name, **given_settings)


def _takes(kind: str, setting: str) -> bool:
    """Whether a kind of step may have a setting; the others are refused."""
    refused = {"timeout": kind not in STEPS, "stop_after_all_iters_if": kind not in ITERATING}
    return not refused.get(setting, False)


@st.composite
def flows(draw: st.DrawFn) -> dict[str, Any]:
    definition = flow(*draw(modules(iter(range(1000)))))
    if draw(st.booleans()):
        definition["failure_module"] = py("f", draw(st.sampled_from([*CODES, "lambda: {'recover': True}"])))
    return definition


SUBFLOWS = {
    "good": flow(py("a", "lambda: 1", stop_after_if={"expr": "True"})),
    "bad": flow(py("a", "lambda: fail('sub')"), failure_module=py("f", "lambda: 2")),
}


def finished(definition: Any, chance: random.Random | None = None) -> Run:
    """Run to the end, approving whatever waits for approval."""
    world = World(flows=SUBFLOWS, chance=chance)
    run = world.start(definition)
    _settle(world)
    assert all(other.finish is not None for other in world.runs.values())
    assert all(job.status is not None for other in world.runs.values() for job in other.jobs.values())
    return run


def _settle(world: World) -> None:
    world.settle()
    while world.suspended:
        waiting, suspend = world.suspended.pop()
        world.approve(waiting, suspend.place.module, payload=1)
        world.settle()


@settings(max_examples=150, deadline=None)
@given(flows())
def test_flows_end_and_all_that_ran_has_ended(definition: dict[str, Any]) -> None:
    run = finished(definition)
    assert run.finish is not None
    assert all(state.state != ModuleState.ACTIVE for state in run.status.modules)


@settings(max_examples=100, deadline=None)
@given(flows(), st.integers(0, 2**32))
def test_the_order_of_events_does_not_change_the_result(definition: dict[str, Any], seed: int) -> None:
    first, other = finished(definition), finished(definition, random.Random(seed))
    assert first.finish is not None
    assert other.finish is not None
    assert (first.finish.status, first.result) == (other.finish.status, other.result)
    assert first.status.modules == other.status.modules


@settings(max_examples=100, deadline=None)
@given(flows(), st.integers(0, 30), st.booleans())
def test_a_cancelled_flow_ends_whenever_it_is_cancelled(
    definition: dict[str, Any], steps: int, force: bool
) -> None:
    world = World(flows=SUBFLOWS)
    run = world.start(definition)
    for _ in range(steps):
        if world.todo:
            entry = world.todo.pop(0)
            world.feed(*entry) if isinstance(entry, tuple) else world._execute(entry)
    world.feed(run, CancelAsked("henri", "enough", force=force))
    _settle(world)
    assert run.finish is not None
    assert all(other.finish is not None for other in world.runs.values())
    # Nothing is begun any more: a cancelled flow neither tries again nor handles the failure.
    assert run.status.canceled is None or run.finish.status == "canceled"


def test_every_stage_and_phase_has_its_place_in_the_tables() -> None:
    assert set(STAGES) | set(ANSWERED) == set(Stage)
    assert set(HEARD) == set(PHASES) == set(Phase)
    assert set(MODULE_STATES) == set(ModuleState)
    assert HEARD[Phase.ENDED] == frozenset()


@pytest.mark.parametrize("state", list(ModuleState))
def test_step_states_end_somewhere(state: ModuleState) -> None:
    reached, open_states = set(), [state]
    while open_states:
        here = open_states.pop()
        if here not in reached:
            reached.add(here)
            open_states.extend(MODULE_STATES[here])
    assert reached & {ModuleState.SUCCESS, ModuleState.FAILURE}


def test_the_diagram_has_the_arrows_of_the_table() -> None:
    page = Path(__file__).parents[2] / "docs" / "concepts" / "flow-engine.md"
    drawn = set(re.findall(r"^    (\w+) --> (\w+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert drawn == {(before.value, after.value) for before, afters in PHASES.items() for after in afters}
