"""Failing steps: what is tried again, handled, passed over, and how errors look (compat facts, flows 2.4, 6.A 18, 6.C)."""

from typing import Any

import pytest

from tests.integration.flows.building import (
    Json,
    branch,
    branch_all,
    child,
    children,
    failure_of,
    flow,
    identity,
    loop,
    modules_of,
    py,
    raising,
    result_of,
    run_flow,
    start_flow,
    step,
)
from tests.integration.flows.outside import Outside
from tests.integration.live_instance import Api, eventually

TWICE = {"constant": {"attempts": 2, "seconds": 0}}
ONCE = {"constant": {"attempts": 1, "seconds": 0}}


def flaky(outside: Outside) -> Json:
    """A loop of three and a last step that ask outside what becomes of them; both are tried three times."""
    body = outside.step("return visit(n) + n", n="flow_input.iter.index")
    last = outside.step("return [*loop, [visit('ff')][0]]", loop="results.a")
    loop_of_three = loop([0, 1, 2], step("i", body), skip_failures=False)
    return flow(step("a", loop_of_three, retry=TWICE), step("l", last, retry=TWICE))


async def test_44_a_loop_is_tried_again_from_its_first_item(api: Api, outside: Outside) -> None:
    outside.answer(1, None, 1, 2, None, 3, 4, 5, None, 9)
    job = await run_flow(api, flaky(outside))
    assert outside.visits == ["0", "1", "0", "1", "2", "0", "1", "2", "ff", "ff"]
    assert (job["success"], job["result"]) == (True, [3, 5, 7, 9])
    assert len(modules_of(job)["a"]["flow_jobs"]) == 3
    assert len(modules_of(job)["l"]["failed_retries"]) == 1
    assert "retry" not in job["flow_status"]


async def test_45_a_loop_fails_after_its_last_try(api: Api, outside: Outside) -> None:
    outside.answer(1, None, 1, None, 1, None)
    job = await run_flow(api, flaky(outside))
    assert outside.visits == ["0", "1", "0", "1", "0", "1"]
    assert (job["success"], len(job["result"])) == (False, 2)
    assert job["result"][1]["error"]["message"] == "read"
    assert modules_of(job)["a"]["type"] == "Failure"


async def test_46_a_step_after_a_loop_fails_after_its_last_try(api: Api, outside: Outside) -> None:
    outside.answer(1, None, 1, 1, 1)
    definition = flaky(outside)
    definition["modules"][1]["value"] = py("return [][1]")
    error = (await failure_of(api, definition))["error"]
    assert (error["name"], error["step_id"]) == ("IndexError", "l")
    assert "index out of range" in error["message"]


async def test_47_the_failure_module_has_tries_of_its_own(api: Api, outside: Outside) -> None:
    outside.answer(1, 1, None, 42)
    failing = outside.step("visit('a')\nreturn [][1]")
    handler = outside.step("return {'recv': visit('f'), 'from failure module': e}", e="previous_result")
    job = await run_flow(
        api, flow(step("a", failing, retry=ONCE), failure_module=step("failure", handler, retry=ONCE))
    )
    assert outside.visits == ["a", "a", "f", "f"]
    assert (job["success"], job["result"]["recv"]) == (False, 42)
    assert job["result"]["from failure module"]["error"]["name"] == "IndexError"
    assert modules_of(job)["a"]["type"] == "Failure"
    assert len(modules_of(job)["a"]["failed_retries"]) == 1


async def test_a_retry_takes_the_arguments_of_the_first_try(api: Api, outside: Outside) -> None:
    outside.answer(None, None, 7)
    body = "answer = visit(given)\nreturn [given, answer]"
    definition = flow(step("a", outside.step(body, given="`drawn ${Math.random()}`"), retry=TWICE))
    job = await run_flow(api, definition)
    first, second, third = outside.visits
    assert first == second == third
    assert job["result"] == [first, 7]
    tries = await children(api, job["id"])
    assert [entry["success"] for entry in tries] == [False, False, True]
    module = modules_of(job)["a"]
    assert module["failed_retries"] == [entry["id"] for entry in tries[:2]]
    assert (module["type"], module["job"]) == ("Success", tries[2]["id"])


async def test_a_step_that_keeps_failing_is_run_once_more_than_it_has_tries(
    api: Api, outside: Outside
) -> None:
    retry = {**ONCE, "exponential": {"attempts": 1, "multiplier": 1, "seconds": 1}}
    outside.answer(None, None, None, None)
    error = (await failure_of(api, flow(step("a", outside.step("visit('a')"), retry=retry))))["error"]
    assert outside.visits == ["a", "a", "a"]
    assert (error["name"], error["message"]) == ("ConnectionError", "read")


async def test_between_two_tries_the_status_tells_what_failed(api: Api) -> None:
    retry = {"constant": {"attempts": 1, "seconds": 3600}}
    job_id = await start_flow(api, flow(step("a", raising(), retry=retry)))

    async def waits() -> bool:
        return "retry" in (await api.job(job_id)).get("flow_status", {})

    await eventually(waits)
    (failed,) = await children(api, job_id)
    status = (await api.job(job_id))["flow_status"]
    assert status["retry"] == {"fail_count": 1, "failed_jobs": [failed["id"]]}
    assert (await api.cancel(job_id)).text == job_id
    assert (await api.ended(job_id))["canceled"] is True
    assert len(await children(api, job_id)) == 1


@pytest.mark.parametrize(
    ("condition", "tries"),
    [
        ("error.message == 'no'", 3),
        ("result.error.name == 'ValueError' && previous_result.error.step_id == 'a'", 3),
        ("flow_input.wanted", 3),
        ("error.message == 'yes'", 1),
        ("results.nope", 1),
        ("no such expression", 1),
    ],
)
async def test_only_failures_worth_it_are_tried_again(
    api: Api, outside: Outside, condition: str, tries: int
) -> None:
    failing = outside.step("visit('a')\nraise ValueError('no')")
    retry = {**TWICE, "retry_if": {"expr": condition}}
    error = (await failure_of(api, flow(step("a", failing, retry=retry)), {"wanted": True}))["error"]
    assert outside.visits == ["a"] * tries
    assert error["message"] == "no"


async def test_an_error_of_python_keeps_its_shape(api: Api) -> None:
    body = "error = ValueError('what')\nerror.code = 7\nraise error"
    error = (await failure_of(api, flow(step("a", py(body)))))["error"]
    assert error.pop("stack")
    assert error == {"name": "ValueError", "message": "what", "extra": {"code": 7}, "step_id": "a"}


async def test_an_input_that_breaks_is_the_failure_of_a_job(api: Api) -> None:
    definition = flow(step("a", py("return n", n="nope.nothing")))
    job = await run_flow(api, definition)
    error = job["result"]["error"]
    assert error["message"].startswith("Error during isolated evaluation of expression `nope.nothing`:")
    made = await child(api, job["id"], "a")
    assert (made["success"], made["result"]) == (False, job["result"])
    assert modules_of(job)["a"] == {"type": "Failure", "id": "a", "job": made["id"]}


async def test_an_input_that_breaks_is_tried_again_and_handled(api: Api) -> None:
    definition = flow(
        step("a", py("return n", n="nope.nothing"), retry=ONCE),
        failure_module=step("failure", py("return {'recover': True, 'seen': m}", m="error.message")),
    )
    job = await run_flow(api, definition)
    assert job["success"] is True
    assert "`nope.nothing`" in job["result"]["seen"]
    assert len(modules_of(job)["a"]["failed_retries"]) == 1


async def test_a_step_over_its_time_fails_by_name(api: Api, outside: Outside) -> None:
    outside.hold("a")
    definition = flow(step("a", outside.step("visit('a')"), timeout={"type": "javascript", "expr": "0 + 1"}))
    error = (await failure_of(api, definition))["error"]
    assert (error["name"], error["step_id"]) == ("ExecutionErr", "a")
    assert "1 s" in error["message"]


async def test_going_on_after_an_error(api: Api, outside: Outside) -> None:
    outside.answer(None, None, None)
    reads = py("return [e, p, r]", e="error", p="previous_result", r="results.a")
    definition = flow(
        step("a", outside.step("visit('a')"), retry=TWICE, continue_on_error=True),
        step("b", reads),
        failure_module=step("failure", py("return 'handled'")),
    )
    job = await run_flow(api, definition)
    assert (job["success"], outside.visits) == (True, ["a"] * 3)
    error, previous, by_id = job["result"]
    assert previous == by_id == {"error": error}
    assert (error["message"], error["step_id"]) == ("read", "a")
    assert [modules_of(job)[name]["type"] for name in "ab"] == ["Failure", "Success"]


async def test_going_on_after_the_last_step_has_nowhere_to_go(api: Api) -> None:
    definition = flow(
        step("a", raising(), continue_on_error=True), failure_module=step("failure", py("return 1"))
    )
    job = await run_flow(api, definition)
    assert (job["success"], job["result"]["error"]["message"]) == (False, "no")
    assert job["flow_status"]["failure_module"]["type"] == "WaitingForPriorSteps"


ERRORS: list[tuple[str, Json, Any]] = [
    ("no error", py("return {'x': 1}"), "UnknownError"),
    ("no object", py("return 'text'"), "UnknownError"),
    ("an error", py("return {'error': {'name': 'N', 'message': 'm'}}"), "N"),
    ("one in an array", py("return [1, {'error': {'name': 'N', 'message': 'm'}}]"), "N"),
]


@pytest.mark.parametrize(("value", "name"), [case[1:] for case in ERRORS], ids=[case[0] for case in ERRORS])
async def test_the_name_error_is_derived_from_the_previous_result(api: Api, value: Json, name: str) -> None:
    assert (await result_of(api, flow(step("a", value), step("b", py("return e", e="error")))))[
        "name"
    ] == name


async def test_the_name_error_stands_for_many(api: Api) -> None:
    body = py("raise ValueError(f'no {n}')", n="flow_input.iter.value")
    definition = flow(step("a", loop([0, 1], step("b", body))), step("c", py("return e", e="error")))
    error = await result_of(api, definition)
    assert error["name"] == "MultipleErrors"
    assert "[b] no 0; [b] no 1" in error["message"]
    assert [entry["message"] for entry in error["errors"]] == ["no 0", "no 1"]


async def test_a_failed_branch_ends_branches_in_order(api: Api, outside: Outside) -> None:
    second = branch(step("d", outside.step("visit('d')")))
    branches = branch_all(branch(step("c", raising())), second, parallel=False)
    result = await failure_of(api, flow(step("b", branches)))
    assert [entry["error"]["step_id"] for entry in result] == ["c"]
    assert outside.visits == []


async def test_a_failed_branch_lets_parallel_ones_end(api: Api, outside: Outside) -> None:
    second = branch(step("d", outside.step("return visit('d')")))
    result = await failure_of(api, flow(step("b", branch_all(branch(step("c", raising())), second))))
    assert (result[0]["error"]["message"], result[1]) == ("no", "ok")


async def test_iterations_that_fail_are_passed_over_unless_told_otherwise(api: Api) -> None:
    body = py("return 10 // n", n="flow_input.iter.value")
    job = await run_flow(api, flow(step("a", loop([1, 0, 2], step("b", body))), step("c", identity())))
    first, failed, last = job["result"]
    assert (job["success"], first, last) == (True, 10, 5)
    assert failed["error"]["name"] == "ZeroDivisionError"
    module = modules_of(job)["a"]
    assert (module["type"], module["flow_jobs_success"]) == ("Success", [True, False, True])
