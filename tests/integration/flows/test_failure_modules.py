"""What handles failures: when it runs, what it sees, and what a flow comes to (compat facts, flows 2.4 and 6.A 18)."""

import pytest

from tests.integration.flows.building import (
    Json,
    branch,
    branch_all,
    branch_one,
    children,
    flow,
    identity,
    loop,
    py,
    raising,
    run_flow,
    step,
)
from tests.integration.flows.outside import Outside
from tests.integration.live_instance import Api


def accumulating() -> Json:
    """Three steps; the one whose number is `n` fails with what was gathered so far."""
    body = "import json\nif n == {k}:\n    raise Exception(json.dumps(l))\nreturn {{'l': [*l, {k}]}}"
    steps = [
        step(f"s{k}", py(body.format(k=k), n="flow_input.n", l="previous_result.l" if k else "[]"))
        for k in range(3)
    ]
    handler = py("return {'from failure module': error}", error="previous_result")
    return flow(*steps, failure_module=step("failure", handler))


@pytest.mark.parametrize(("n", "message"), [(0, "[]"), (1, "[0]"), (2, "[0, 1]")])
async def test_18_the_failure_module_sees_what_failed(api: Api, n: int, message: str) -> None:
    job = await run_flow(api, accumulating(), {"n": n})
    assert job["success"] is False
    error = job["result"]["from failure module"]["error"]
    assert (error["name"], error["message"], error["step_id"]) == ("Exception", message, f"s{n}")
    status = job["flow_status"]
    assert [module["type"] for module in status["modules"]] == (
        ["Success"] * n + ["Failure"] + ["WaitingForPriorSteps"] * (2 - n)
    )
    assert status["step"] == 3
    assert status["failure_module"]["type"] == "Success"
    assert status["failure_module"]["id"] == "failure"
    assert status["failure_module"]["parent_module"] == f"s{n}"


async def test_18_the_failure_module_is_left_alone_by_success(api: Api) -> None:
    job = await run_flow(api, accumulating(), {"n": 3})
    assert (job["success"], job["result"]) == (True, {"l": [0, 1, 2]})
    assert job["flow_status"]["failure_module"] == {"type": "WaitingForPriorSteps", "id": "failure"}


async def test_what_the_failure_module_is_told(api: Api) -> None:
    told = py(
        "return [n, error, result, flow_job, started]",
        n="flow_input.n",
        error="error.message",
        result="previous_result.error.message",
        flow_job="flow_job_id",
        started="started_at",
    )
    job = await run_flow(api, flow(step("a", raising()), failure_module=step("failure", told)), {"n": 5})
    n, error, result, flow_job, started = job["result"]
    assert (n, error, result, flow_job) == (5, "no", "no", job["id"])
    assert started is not None


@pytest.mark.parametrize(
    ("result", "success"),
    [
        ({"recover": True, "x": 1}, True),
        ({"recover": False}, False),
        ({"recover": "true"}, False),
        ([{"recover": True}], False),
        (None, False),
    ],
)
async def test_a_flow_has_failed_unless_its_failure_module_recovers(
    api: Api, result: object, success: bool
) -> None:
    handler = step("failure", py(f"return {result!r}"))
    job = await run_flow(api, flow(step("a", raising()), step("b", identity()), failure_module=handler))
    assert (job["success"], job["result"]) == (success, result)


async def test_a_failing_failure_module_is_the_end(api: Api) -> None:
    definition = flow(step("a", raising()), failure_module=step("failure", raising("neither")))
    job = await run_flow(api, definition)
    assert (job["success"], job["result"]["error"]["message"]) == (False, "neither")
    assert job["result"]["error"]["step_id"] == "failure"
    assert job["flow_status"]["failure_module"]["type"] == "Failure"


NESTED: list[tuple[str, Json, str]] = [
    ("a branch", branch_one(default=[step("a", raising())]), "failure-b"),
    ("a loop", loop([1], step("a", raising()), skip_failures=False), "failure-b-0"),
    (
        "a parallel loop",
        loop([1], step("a", raising()), step("z", identity()), skip_failures=False, parallel=True),
        "failure-b-0",
    ),
    ("branches", branch_all(branch(step("a", raising()))), "failure-b-0"),
]


@pytest.mark.parametrize(
    ("value", "module_id"), [case[1:] for case in NESTED], ids=[case[0] for case in NESTED]
)
async def test_the_failure_module_runs_once_and_where_it_failed(
    api: Api, outside: Outside, value: Json, module_id: str
) -> None:
    handler = outside.step("visit('handled')\nreturn {'handled': e}", e="error.message")
    job = await run_flow(
        api, flow(step("b", value), step("after", identity()), failure_module=step("failure", handler))
    )
    assert outside.visits == ["handled"]
    assert job["success"] is False
    (inner,) = await children(api, job["id"])
    (handled,) = [entry for entry in await children(api, inner["id"]) if entry["flow_step_id"] != "a"]
    assert handled["flow_step_id"] == module_id
    assert (await api.job(handled["id"]))["result"] == {"handled": "no"}
    handled_result = {"handled": "no"}
    assert job["result"] == (handled_result if module_id == "failure-b" else [handled_result])
