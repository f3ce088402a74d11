"""Sleeping flows, flows that wait for approvals, and ending flows before their time (compat facts, flows 2.6, 2.7, 2.10)."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.integration.flows.approving import approve, waiting_for
from tests.integration.flows.building import (
    Input,
    Json,
    branch,
    branch_all,
    children,
    failure_of,
    flow,
    identity,
    js,
    loop,
    module_comes_to,
    modules_of,
    py,
    run_flow,
    start_flow,
    static,
    step,
    sub_flow,
)
from tests.integration.flows.outside import Outside
from tests.integration.live_instance import Api, LiveInstance, eventually

LONG = static(3600)
HANDLER = step("failure", py("return 'handled'"))


def instant(job: Json, name: str) -> datetime:
    return datetime.fromisoformat(job[name])


@pytest.mark.parametrize(
    ("sleep", "seconds"), [(static(1), 1.0), (js("flow_input.n / 4"), 0.25), (js("result.s"), 0.5)]
)
async def test_a_sleep_comes_between_its_step_and_the_next(api: Api, sleep: Input, seconds: float) -> None:
    definition = flow(step("a", py("return {'s': 0.5}"), sleep=sleep), step("b", py("return 'b'")))
    job = await run_flow(api, definition, {"n": 1})
    assert (job["success"], job["result"]) == (True, "b")
    first, second = await children(api, job["id"])
    assert instant(second, "started_at") - instant(first, "completed_at") >= timedelta(
        seconds=seconds - 0.001
    )


async def test_no_sleep_is_no_sleep(api: Api) -> None:
    for sleep in (static(0), static(None), js("undefined")):
        definition = flow(step("a", py("return 1"), sleep=sleep), step("b", identity()))
        job = await run_flow(api, definition)
        assert (job["success"], job["result"]) == (True, 1)


@pytest.mark.parametrize(
    "sleep", [static(-1), static("x"), static(True), static({"s": 1}), js("'1'"), js("-0.5"), js("[1]")]
)
async def test_a_sleep_that_is_no_time_fails_the_flow(api: Api, outside: Outside, sleep: Input) -> None:
    definition = flow(step("a", py("return 1"), sleep=sleep), step("b", outside.step("visit('b')")))
    error = (await failure_of(api, definition))["error"]
    assert "Expected an integer, found: " in error["message"]
    assert outside.visits == []


async def test_a_sleep_of_the_last_step_takes_effect(api: Api) -> None:
    job = await run_flow(api, flow(step("a", py("return 3"), sleep=js("0.5"))))
    assert (job["success"], job["result"]) == (True, 3)
    assert [module["id"] for module in job["flow_status"]["modules"]] == ["a", "a-v"]
    (first, _) = await children(api, job["id"])
    assert instant(job, "completed_at") - instant(first, "completed_at") >= timedelta(seconds=0.499)


async def test_a_loop_after_a_sleep_sleeps_once(api: Api) -> None:
    body = step("c", py("return n", n="flow_input.iter.value"))
    definition = flow(step("a", py("return 1"), sleep=js("0.5")), step("b", loop(list(range(9)), body)))
    job = await run_flow(api, definition)
    assert job["result"] == list(range(9))
    _, *items = await children(api, job["id"])
    assert instant(items[-1], "completed_at") - instant(items[0], "created_at") < timedelta(seconds=4.5)


async def test_a_sleeping_flow_holds_no_worker_and_is_cancelled_at_once(api: Api) -> None:
    sleeps = flow(step("a", py("return 1"), sleep=LONG), step("b", identity()))
    ids = [await start_flow(api, sleeps) for _ in range(12)]
    for job_id in ids:
        await module_comes_to(api, job_id, "a", "Success")
    assert (await run_flow(api, flow(step("a", py("return 1")))))["result"] == 1
    for job_id in ids:
        assert (await api.cancel(job_id)).text == job_id
        job = await api.ended(job_id)
        assert (job["success"], job["canceled"], job["canceled_by"]) == (False, True, "admin")
        assert job["result"]["error"]["name"] == "Canceled"
        assert [each["flow_step_id"] for each in await children(api, job_id)] == ["a"]


async def test_a_running_flow_is_cancelled_with_its_steps(api: Api, outside: Outside) -> None:
    outside.hold("a")
    definition = flow(
        step("a", outside.step("visit('a')"), retry={"constant": {"attempts": 3}}, continue_on_error=True),
        step("b", outside.step("visit('b')")),
        failure_module=HANDLER,
    )
    job_id = await start_flow(api, definition)
    await outside.visited("a")
    answer = await api.cancel(job_id, "changed my mind")
    assert (answer.status_code, answer.text) == (200, job_id)
    job = await api.ended(job_id)
    assert (job["success"], job["canceled"], job["canceled_by"], job["canceled_reason"]) == (
        False, True, "admin", "changed my mind",
    )  # fmt: skip
    assert job["result"] == {
        "error": {
            "name": "Canceled",
            "message": "Job canceled: changed my mind by admin",
            "reason": "changed my mind",
            "canceler": "admin",
        }
    }
    (ended,) = [await api.ended(each["id"]) for each in await children(api, job_id)]
    assert (ended["flow_step_id"], ended["canceled"]) == ("a", True)
    assert outside.visits == ["a"]


NESTINGS: list[tuple[str, Any]] = [
    ("in a loop", lambda leaf: loop([1], leaf, step("o", identity()))),
    ("in a parallel loop", lambda leaf: loop([1, 2], leaf, step("o", identity()), parallel=True)),
    ("in branches", lambda leaf: branch_all(branch(leaf), branch(step("o", identity())))),
]


@pytest.mark.parametrize("nested", [case[1] for case in NESTINGS], ids=[case[0] for case in NESTINGS])
async def test_a_cancellation_reaches_every_depth(api: Api, outside: Outside, nested: Any) -> None:
    outside.hold("a")
    leaf = step("a", outside.step("visit('a')"))
    job_id = await start_flow(api, flow(step("n", nested(leaf)), step("z", outside.step("visit('z')"))))
    await outside.visited("a")
    await api.cancel(job_id)
    assert (await api.ended(job_id))["canceled"] is True

    for inner in await children(api, job_id):
        assert (await api.ended(inner["id"]))["type"] == "CompletedJob"
        for leaf_job in await children(api, inner["id"]):
            assert (await api.ended(leaf_job["id"]))["type"] == "CompletedJob"
    assert "z" not in outside.visits


async def test_a_cancelled_step_ends_its_flow(api: Api, outside: Outside) -> None:
    outside.hold("a")
    job_id = await start_flow(
        api, flow(step("a", outside.step("visit('a')")), step("b", outside.step("visit('b')")))
    )
    await outside.visited("a")
    (running,) = await children(api, job_id)
    await api.cancel(running["id"], "this step")
    job = await api.ended(job_id)
    assert (job["success"], job["result"]["error"]["name"]) == (False, "Canceled")
    assert "this step" in job["result"]["error"]["message"]
    assert outside.visits == ["a"]


async def test_a_step_cancelled_by_force_takes_the_whole_flow(api: Api, outside: Outside) -> None:
    outside.hold("a")
    inner = branch(step("a", outside.step("visit('a')")))
    job_id = await start_flow(api, flow(step("n", branch_all(inner))))
    await outside.visited("a")
    (body,) = await children(api, job_id)
    (running,) = await children(api, body["id"])
    answer = await api.post(f"jobs_u/queue/force_cancel/{running['id']}", {"reason": "by force"})
    assert answer.status_code == 200, answer.text
    for ended in (job_id, body["id"], running["id"]):
        assert (await api.ended(ended))["canceled"] is True


async def test_a_waiting_flow_is_cancelled_at_once(api: Api, outside: Outside) -> None:
    definition = flow(
        step("a", py("return 1"), suspend={"required_events": 1}),
        step("b", outside.step("visit('b')")),
        failure_module=HANDLER,
    )
    job_id = await start_flow(api, definition)
    await waiting_for(api, job_id, "b")
    await api.cancel(job_id)
    job = await api.ended(job_id)
    assert (job["canceled"], job["result"]["error"]["name"]) == (True, "Canceled")
    assert outside.visits == []


async def test_a_flow_that_has_not_begun_is_cancelled_at_once(api: Api, outside: Outside) -> None:
    definition = flow(step("a", outside.step("visit('a')")))
    job_id = await start_flow(api, definition, query={"scheduled_in_secs": 3600})
    assert (await api.cancel(job_id)).text == job_id
    job = await api.job(job_id)
    assert (job["type"], job["canceled"], outside.visits) == ("CompletedJob", True, [])
    assert (await api.cancel(job_id)).text == f"queued job id {job_id} is already completed"


async def test_a_cancellation_reaches_a_sub_flow_that_waits(live: LiveInstance, api: Api) -> None:
    waits = flow(step("a", py("return 1"), suspend={"required_events": 1}), step("b", identity()))
    body = {"path": "u/admin/waits_below", "summary": "", "value": waits, "schema": {}}
    assert (await api.post("flows/create", body)).status_code == 201
    job_id = await start_flow(api, flow(step("s", sub_flow("u/admin/waits_below"))))

    async def has_begun() -> bool:
        return bool(await children(api, job_id))

    await eventually(has_begun)
    (below,) = await children(api, job_id)
    await waiting_for(api, below["id"], "b")
    await api.cancel(job_id)
    for ended in (job_id, below["id"]):
        assert (await api.ended(ended))["canceled"] is True


async def test_a_flow_goes_on_at_another_worker(idle: LiveInstance) -> None:
    definition = flow(
        step("a", py("return 1"), suspend={"required_events": 1}),
        step("b", py("return [p, r]", p="results.a", r="resume")),
    )
    async with idle.worker("first"):
        job_id = await start_flow(idle.api, definition)
        await waiting_for(idle.api, job_id, "b")
    assert (await approve(idle, job_id, "b", "between two workers")).status_code == 201
    async with idle.worker("second"):
        assert (await idle.api.ended(job_id))["result"] == [1, "between two workers"]
    assert modules_of(await idle.api.job(job_id))["a"]["approvers"] == [
        {"resume_id": 0, "approver": "anonymous"}
    ]
