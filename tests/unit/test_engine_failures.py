"""Retries and failure modules: compat facts, flows 2.4 and 6.C."""

from typing import Any

import pytest

from millpond.engine.retries import jittered, retry_delay
from millpond.model.flow_settings import ConstantRetry, ExponentialRetry, Retry
from tests.unit.engine_flows import branch, branch_all, branch_one, flow, identity, js, loop, module, py
from tests.unit.engine_interpreter import World

RETRY = {"constant": {"attempts": 2, "seconds": 0}}
HANDLER = py("f", "lambda e: {'from failure module': e}", {"e": "previous_result"})


@pytest.mark.parametrize(
    ("retry", "delays"),
    [
        (Retry(), [None]),
        (Retry(constant=ConstantRetry(attempts=2, seconds=5)), [5, 5, None]),
        (Retry(exponential=ExponentialRetry(attempts=3, seconds=2)), [2, 4, 8, None]),
        (Retry(exponential=ExponentialRetry(attempts=2, seconds=3, multiplier=10)), [30, 90, None]),
        (
            Retry(
                constant=ConstantRetry(attempts=1, seconds=7),
                exponential=ExponentialRetry(attempts=1, seconds=2),
            ),
            [7, 4, None],
        ),
        (Retry(exponential=ExponentialRetry(attempts=500, seconds=9)), [9, 81, 729, 6561, 21600]),
        (Retry(exponential=ExponentialRetry(attempts=10**6, seconds=9)), [9]),
    ],
)
def test_retry_delays(retry: Retry, delays: list[float | None]) -> None:
    assert [retry_delay(retry, failures) for failures in range(len(delays))] == delays
    assert retry_delay(None, 0) is None
    assert (retry_delay(Retry(exponential=ExponentialRetry(attempts=10**6, seconds=9)), 10**5)) == 21600


def test_jitter_stays_within_its_percentage_and_the_cap() -> None:
    assert [jittered(100, 20, chance) for chance in (0, 0.5, 1)] == pytest.approx([80, 100, 120])
    assert jittered(21600, 50, 1) == 21600


def flaky(answers: list[Any]) -> tuple[World, dict[str, Any]]:
    """A loop of 3 and a last step, both asking a helper that says what goes wrong: `test_pass` and its kin."""
    world = World()
    world.answers = iter(answers)  # type: ignore[attr-defined]
    ask = "lambda n: (visits.append(n), next(world.answers) or fail('read'))[1] + n"
    body = py("i", ask, {"n": "flow_input.iter.index"})
    last = py(
        "l",
        "lambda loop: (visits.append('ff'), (next(world.answers) or fail('index out of range')) and [*loop, 9])[1]",
        {"loop": "results.a"},
        retry=RETRY,
    )
    return world, flow(loop("a", [0, 1, 2], body, over={"skip_failures": False}, retry=RETRY), last)


def test_a_loop_is_tried_again_from_its_first_item() -> None:
    world, definition = flaky([1, 0, 1, 2, 0, 3, 4, 5, 0, 1])
    run = world.run(definition)
    assert world.visits == [0, 1, 0, 1, 2, 0, 1, 2, "ff", "ff"]
    assert run.result == [3, 5, 7, 9]


def test_a_loop_fails_after_all_its_tries() -> None:
    world, definition = flaky([1, 0, 1, 0, 1, 0])
    run = world.run(definition)
    assert world.visits == [0, 1, 0, 1, 0, 1]
    assert run.finish is not None
    assert run.finish.status == "failure"
    assert run.result[1]["error"]["message"] == "read"
    assert run.status.modules[0].attempt == 2


def test_a_step_after_a_loop_fails_after_all_its_tries() -> None:
    world, definition = flaky([1, 0, 1, 1, 1, 0, 0, 0])
    assert "index out of range" in world.run(definition).result["error"]["message"]


def test_the_failure_module_has_tries_of_its_own() -> None:
    world = World()
    world.answers = iter([0, 0, 0, 42])  # type: ignore[attr-defined]
    once = {"constant": {"attempts": 1}}
    step = py("a", "lambda: next(world.answers) or [][1]", retry=once)
    handler = py(
        "f",
        "lambda e: {'recv': next(world.answers) or [][1], 'from failure module': e}",
        {"e": "previous_result"},
        retry=once,
    )
    run = world.run(flow(step, failure_module=handler))
    assert run.result["recv"] == 42
    assert run.result["from failure module"]["error"]["name"] == "IndexError"
    assert run.finish is not None
    assert run.finish.status == "failure"
    assert run.status.modules[0].state == "failure"
    assert run.status.failed_module == "a"


@pytest.mark.parametrize(("n", "message"), [(0, "[]"), (1, "[0]"), (2, "[0, 1]")])
def test_the_failure_module_sees_the_failed_result(n: int, message: str) -> None:
    result = _accumulate(n)
    assert result["from failure module"]["error"]["message"] == message


def test_the_failure_module_is_left_out_of_success() -> None:
    assert _accumulate(3) == [0, 1, 2]


def _accumulate(n: int) -> Any:
    steps = [
        py(
            f"s{k}",
            f"lambda n, l: fail(l) if n == {k} else [*l, {k}]",
            {"n": "flow_input.n", "l": "previous_result" if k else "[]"},
        )
        for k in range(3)
    ]
    return World().run(flow(*steps, failure_module=HANDLER), {"n": n}).result


def test_recover_makes_the_flow_succeed() -> None:
    handler = py("f", "lambda: {'recover': True, 'x': 1}")
    run = World().run(flow(py("a", "lambda: fail(1)"), identity("b"), failure_module=handler))
    assert run.finish is not None
    assert (run.finish.status, run.result["x"]) == ("success", 1)


def test_a_failure_module_runs_once_at_the_leaf() -> None:
    handler = py("f", "lambda: visits.append('handled')")
    failing = py("a", "lambda: fail('leaf')")
    for nested in (
        branch_one("b", default=[failing]),
        loop("b", [1], failing, over={"skip_failures": False}),
        loop("b", [1], failing, over={"skip_failures": False, "parallel": True}),
        branch_all("b", branch(branch_one("c", default=[failing]))),
    ):
        world = World()
        run = world.run(flow(nested, failure_module=handler))
        assert world.visits == ["handled"]
        assert run.finish is not None
        assert run.finish.status == "failure"


def test_a_retried_container_forgets_that_a_failure_module_ran() -> None:
    world = World()
    handler = py("f", "lambda: visits.append(1)")
    world.run(
        flow(branch_one("b", default=[py("a", "lambda: fail(1)")], retry=RETRY), failure_module=handler)
    )
    assert world.visits == [1, 1, 1]


def test_a_retry_uses_the_inputs_of_the_first_try() -> None:
    world = World()
    # Evaluating the input leaves a mark, so a second evaluation would be seen.
    step = py("a", "lambda n: fail(n)", {"n": "visits.append(0) or len(visits)"}, retry=RETRY)
    run = world.run(flow(step))
    assert (run.result["error"]["message"], len(world.visits)) == ("1", 1)


def test_inputs_that_broke_are_made_again() -> None:
    world = World()
    step = py(
        "a", "lambda n: n", {"n": "visits.append(0) or (5 if len(visits) == 2 else 1 / 0)"}, retry=RETRY
    )
    assert world.run(flow(step)).result == 5


@pytest.mark.parametrize(("wanted", "tries"), [("'yes'", 3), ("'no'", 1)])
def test_only_failures_worth_it_are_tried_again(wanted: str, tries: int) -> None:
    world = World()
    condition = {"expr": f"error.message == {wanted} and result.error.name == 'StepError'"}
    world.run(
        flow(py("a", "lambda: (visits.append(1), fail('yes'))", retry={**RETRY, "retry_if": condition}))
    )
    assert len(world.visits) == tries


def test_a_broken_retry_condition_leaves_the_steps_own_error() -> None:
    world = World()
    run = world.run(flow(py("a", "lambda: fail('own')", retry={**RETRY, "retry_if": {"expr": "1 / 0"}})))
    assert run.result["error"]["message"] == "own"
    assert "is not tried again" in world.logged[0]


def test_delays_between_tries_are_slept() -> None:
    world = World()
    retry = {"constant": {"attempts": 1, "seconds": 3}, "exponential": {"attempts": 1, "seconds": 2}}
    world.run(flow(py("a", "lambda: fail(1)", retry=retry)))
    assert world.slept == [3, 4]


def test_continue_on_error_comes_after_the_tries() -> None:
    world = World()
    step = py("a", "lambda: (visits.append(1), fail('x'))", retry=RETRY, continue_on_error=True)
    run = world.run(flow(step, identity("b"), failure_module=HANDLER))
    assert (len(world.visits), run.result["error"]["message"]) == (3, "x")
    assert run.finish is not None
    assert run.finish.status == "success"


def test_an_early_stop_error_goes_through_the_failure_module() -> None:
    stop = {"expr": "True", "error_message": "enough"}
    run = World().run(flow(identity("a", stop_after_if=stop), failure_module=HANDLER))
    assert run.result == {"from failure module": {"error": {"name": "EarlyStopError", "message": "enough"}}}


def test_a_broken_sleep_reaches_the_failure_module() -> None:
    run = World().run(flow(identity("a", sleep=js("'x'")), identity("b"), failure_module=HANDLER))
    assert "Expected an integer" in run.result["from failure module"]["error"]["message"]


def test_a_try_that_fails_before_it_starts_is_handled_though_the_one_before_was() -> None:
    world = World()
    handler = py("f", "lambda: visits.append('handled')")
    items = "visits.append('items') or ([1] if len(visits) == 1 else 1 / 0)"
    failing = loop(
        "l",
        items,
        py("a", "lambda: fail(1)"),
        over={"skip_failures": False},
        retry={"constant": {"attempts": 1}},
    )
    world.run(flow(failing, failure_module=handler))
    assert world.visits == ["items", "handled", "items", "handled"]


def test_a_failure_handled_within_a_sub_flow_is_handled_by_the_parent_too() -> None:
    world = World(flows={"f/sub": flow(py("a", "lambda: fail(1)"), failure_module=py("f", "lambda: 5"))})
    handler = py("f", "lambda r: visits.append(r)", {"r": "previous_result"})
    world.run(flow(module("s", "flow", {"path": "f/sub"}), failure_module=handler))
    assert world.visits == [5]
