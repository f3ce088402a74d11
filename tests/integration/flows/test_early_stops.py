"""Ending flows and loops before their last step (compat facts, flows 2.3)."""

from typing import Any

import pytest

from tests.integration.flows.building import (
    Json,
    branch,
    branch_all,
    branch_one,
    deploy_flow,
    flow,
    identity,
    loop,
    modules_of,
    py,
    raising,
    run_flow,
    step,
    sub_flow,
    while_loop,
)
from tests.integration.live_instance import Api

AFTER = step("z", py("return f'saw {p}'", p="previous_result"))
ITEM = "flow_input.iter.value"
STOPS = step("s", py("return 4"), stop_after_if={"expr": "result == 4"})
SKIPS = step("s", py("return 4"), stop_after_if={"expr": "result == 4", "skip_if_stopped": True})
STOPS_AT_2 = step("s", py("return n", n=ITEM), stop_after_if={"expr": "result == 2"})
NUMBER = step("n", py("return n", n=ITEM))
HANDLER = step("failure", py("return ['handled', e]", e="previous_result"))


def stop(expr: str = "true", **more: Any) -> Json:
    return {"expr": expr, **more}


ENDS: list[tuple[str, Json, Any]] = [
    ("a stop", flow(STOPS, AFTER), 4),
    ("no stop", flow(step("s", py("return 4"), stop_after_if=stop("result == 5")), AFTER), "saw 4"),
    ("a stop by the arguments", flow(step("s", py("return 4"), stop_after_if=stop("flow_input.n == 1")), AFTER), 4),
    ("a stop of the last step", flow(STOPS), 4),
    ("in a loop it breaks the loop", flow(step("a", loop([1, 2, 3], STOPS_AT_2)), AFTER), "saw [1, 2]"),
    ("in a loop of many steps",
     flow(step("a", loop([1, 2, 3], STOPS_AT_2, step("o", py("return n * 10", n="previous_result")))), AFTER),
     "saw [10, 2]"),
    ("of a loop it looks at each iteration",
     flow(step("a", loop([1, 2, 3], NUMBER), stop_after_if=stop("result == 2")), AFTER), "saw [1, 2]"),
    ("in a chosen branch", flow(step("a", branch_one(default=[STOPS, step("q", raising())])), AFTER), 4),
    ("in branches in order",
     flow(step("a", branch_all(branch(STOPS, step("q", raising())), branch(step("r", raising())), parallel=False)), AFTER),
     [4]),
    ("in parallel branches it ends its own",
     flow(step("a", branch_all(branch(STOPS, step("q", raising())), branch(step("r", py("return 5"))))), AFTER),
     "saw [4, 5]"),
    ("in a parallel loop it ends its own",
     flow(step("a", loop([1, 2, 3], STOPS_AT_2, step("o", py("return n * 10", n="previous_result")), parallel=True)), AFTER),
     "saw [10, 2, 30]"),
    ("of a parallel loop it is not looked at",
     flow(step("a", loop([1, 2], NUMBER, parallel=True), stop_after_if=stop()), AFTER), "saw [1, 2]"),
    ("of branches it is not looked at",
     flow(step("a", branch_all(branch(step("b", py("return 1")))), stop_after_if=stop()), AFTER), "saw [1]"),
    ("in a while loop", flow(step("a", while_loop(
        step("s", py("return i", i="flow_input.iter.index"), stop_after_if=stop("result == 2")))), AFTER), "saw [0, 1, 2]"),
    ("in two branches, one in the other",
     flow(step("a", branch_one(default=[step("b", branch_one(default=[STOPS])), step("q", raising())])), AFTER), 4),
    ("after all iterations", flow(step("a", loop([1, 2], NUMBER), stop_after_all_iters_if=stop("result.length == 2")),
                                  AFTER), [1, 2]),
    ("after all iterations, not", flow(step("a", loop([1, 2], NUMBER), stop_after_all_iters_if=stop("result.length == 3")),
                                       AFTER), "saw [1, 2]"),
    ("after all iterations of a parallel loop",
     flow(step("a", loop([1, 2], NUMBER, parallel=True), stop_after_all_iters_if=stop("result[1] == 2")), AFTER), [1, 2]),
    ("after all branches",
     flow(step("a", branch_all(branch(step("b", py("return 1")))), stop_after_all_iters_if=stop("result[0] == 1")), AFTER),
     [1]),
    ("after the iteration that broke the loop",
     flow(step("a", loop([1, 2, 3], NUMBER), stop_after_if=stop("result == 1"),
               stop_after_all_iters_if=stop("result.length == 1")), AFTER), [1]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("definition", "result"), [case[1:] for case in ENDS], ids=[case[0] for case in ENDS]
)
async def test_a_stop_ends(api: Api, definition: Json, result: Any) -> None:
    job = await run_flow(api, definition, {"n": 1})
    assert (job["success"], job["is_skipped"], job["result"]) == (True, False, result)


@pytest.mark.parametrize(
    "first", [SKIPS, step("a", branch_one(default=[SKIPS]))], ids=["at the top", "in a branch"]
)
async def test_a_flow_may_count_as_skipped(api: Api, first: Json) -> None:
    job = await run_flow(api, flow(first, AFTER))
    assert (job["success"], job["is_skipped"], job["result"]) == (True, True, 4)
    (listed,) = [
        entry
        for entry in (await api.get("jobs/completed/list", status="skipped")).json()
        if entry["id"] == job["id"]
    ]
    assert listed["is_skipped"] is True
    module = modules_of(job)[first["id"]]
    assert module["type"] == "Success"
    if first is SKIPS:
        assert module["skipped"] is True
    assert modules_of(job)["z"]["type"] == "WaitingForPriorSteps"


ERRORS: list[tuple[Json, Any]] = [
    (stop(error_message="enough"), {"error": {"name": "EarlyStopError", "message": "enough"}}),
    (
        stop("1 < 2", error_message=""),
        {"error": {"name": "EarlyStopError", "message": "stop after if: 1 < 2"}},
    ),
    (
        stop(error_message="m", error_include_result=True),
        {"error": {"name": "EarlyStopError", "message": "m", "result": 9}},
    ),
]


@pytest.mark.parametrize(("condition", "result"), ERRORS)
async def test_a_stop_may_be_an_error(api: Api, condition: Json, result: Any) -> None:
    job = await run_flow(api, flow(step("a", py("return 9"), stop_after_if=condition), AFTER))
    assert (job["success"], job["is_skipped"], job["result"]) == (False, False, result)
    assert modules_of(job)["a"]["type"] == "Failure"


async def test_a_stop_that_is_an_error_is_handled(api: Api) -> None:
    first = step("a", py("return 9"), stop_after_if=stop(error_message="enough"))
    job = await run_flow(api, flow(first, AFTER, failure_module=HANDLER))
    error = {"error": {"name": "EarlyStopError", "message": "enough"}}
    assert (job["success"], job["result"]) == (False, ["handled", error])


async def test_a_stop_after_all_iterations_may_be_an_error(api: Api) -> None:
    first = step("a", loop([1], NUMBER), stop_after_all_iters_if=stop(error_message="enough"))
    job = await run_flow(api, flow(first, AFTER))
    assert (job["success"], job["result"]) == (
        False,
        {"error": {"name": "EarlyStopError", "message": "enough"}},
    )


async def test_both_skipped_and_an_error_is_skipped_with_the_error_as_result(api: Api) -> None:
    condition = stop(skip_if_stopped=True, error_message="m")
    job = await run_flow(api, flow(step("a", py("return 9"), stop_after_if=condition), AFTER))
    assert (job["success"], job["is_skipped"]) == (True, True)
    assert job["result"] == {"error": {"name": "EarlyStopError", "message": "m"}}


async def test_a_failed_step_is_not_asked_whether_to_stop(api: Api) -> None:
    first = step("a", raising(), stop_after_if=stop(skip_if_stopped=True))
    job = await run_flow(api, flow(first, AFTER))
    assert (job["success"], job["result"]["error"]["message"]) == (False, "no")


async def test_a_stop_ends_only_the_flow_it_is_in(api: Api) -> None:
    await deploy_flow(api, "u/admin/stops_early", flow(STOPS, step("q", raising())))
    job = await run_flow(api, flow(step("a", sub_flow("u/admin/stops_early")), AFTER))
    assert (job["success"], job["result"]) == (True, "saw 4")


async def test_a_skipped_sub_flow_does_not_skip_its_parent(api: Api) -> None:
    await deploy_flow(api, "u/admin/skips_early", flow(SKIPS, step("q", raising())))
    job = await run_flow(api, flow(step("a", sub_flow("u/admin/skips_early")), step("b", identity())))
    assert (job["success"], job["is_skipped"], job["result"]) == (True, False, 4)
