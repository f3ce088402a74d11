"""Flows that several workers move: what one of them remembers must not stand against what another did."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from tests.integration.flows.building import (
    deploy_flow,
    flow,
    loop,
    py,
    raw,
    start_flow,
    static,
    step,
    sub_flow,
)
from tests.integration.flows.outside import Outside
from tests.integration.live_instance import Api, LiveInstance, eventually

ITEM = "flow_input.iter.value"


@pytest.fixture
async def divided(idle: LiveInstance) -> AsyncIterator[Api]:
    """The API of an instance with two workers: one begins flows and runs steps tagged x, the other runs Python."""
    async with idle.worker("first", worker_tags="flow,x"), idle.worker("second", worker_tags="python3"):
        yield idle.api


def tagged(body: str, /, **inputs: object) -> dict[str, object]:
    """A Python step for the worker that begins flows."""
    return {**py(body, **inputs), "tag": "x"}  # type: ignore[arg-type]


async def test_a_step_that_ends_where_the_flow_began_is_heard(divided: Api) -> None:
    steps = [
        step("a", py("return 1")),
        step("b", tagged("return a + 1", a="results.a")),
        step("c", py("return 5")),
    ]
    job = await divided.ended(await start_flow(divided, flow(*steps)))
    assert (job["success"], job["result"]) == (True, 5)


async def test_results_of_the_flow_around_are_those_of_now(divided: Api) -> None:
    body = [
        step("b", tagged("return a", a="results.a")),
        step("c", tagged("return [a, b]", a="results.a", b="results.b")),
    ]
    steps = [step("a", py("return 1")), step("l", loop([1, 2], *body, parallel=True))]
    job = await divided.ended(await start_flow(divided, flow(*steps)))
    assert job["result"] == [[1, 1], [1, 1]]


async def test_flows_of_two_workspaces_with_one_id_stay_apart(
    live: LiveInstance, api: Api, outside: Outside
) -> None:
    created = await api.http.post("/api/workspaces/create", json={"id": "other", "name": "other"})
    assert created.status_code == 201, created.text
    outside.hold("a")
    job_id = str(uuid4())
    secret = flow(
        step("a", outside.step("visit('a')\nreturn 'secret'")), step("b", py("return a", a="results.a"))
    )
    assert await start_flow(api, secret, query={"job_id": job_id}) == job_id
    await outside.visited("a")
    nosy = flow(step("a", py("return 'own'")), step("b", py("return a", a="results.a")))
    answer = await api.http.post(
        f"/api/w/other/jobs/run/preview_flow?job_id={job_id}", json={"value": nosy, "args": {}}
    )
    assert answer.status_code == 201, answer.text

    async def other_ended() -> bool:
        seen = await api.http.get(f"/api/w/other/jobs_u/completed/get_result_maybe/{job_id}")
        return bool(seen.json()["completed"])

    await eventually(other_ended)
    result = await api.http.get(f"/api/w/other/jobs_u/completed/get_result/{job_id}")
    assert result.json() == "own"
    outside.release("a")
    assert (await api.ended(job_id))["result"] == "secret"


async def test_a_sub_flow_deleted_while_it_runs_fails_the_flow_around_it(
    idle: LiveInstance, outside: Outside
) -> None:
    path, api = "u/admin/two_deleted", idle.api
    outside.hold("s")
    await deploy_flow(api, path, flow(step("s", outside.step("visit('s')")), step("t", py("return 1"))))
    around = flow(step("n", sub_flow(path)))
    async with idle.worker("before", drain_secs=0):
        job_id = await start_flow(api, around)
        await outside.visited("s")
        assert (await api.http.delete(f"/api/w/main/flows/delete/{path}")).status_code == 200
    outside.release("s")
    async with idle.worker("after"):
        job = await api.ended(job_id)
    assert job["success"] is False
    assert job["result"]["error"]["name"] == "FlowUnreadable"


@pytest.mark.parametrize("waiting", [{"sleep": static(60)}, {}], ids=["asleep", "in a step"])
async def test_a_flow_that_takes_too_long_ends_by_name(api: Api, waiting: dict[str, object]) -> None:
    slow = raw("import time\n\ndef main():\n    time.sleep(60)")
    steps = [step("a", py("return 1"), **waiting), step("b", slow)]
    job = await api.ended(await start_flow(api, flow(*steps), query={"timeout": 1}))
    assert (job["success"], job["canceled"]) == (False, False)
    assert job["result"]["error"]["name"] == "ExecutionErr"
    assert "longer than 1 s" in job["result"]["error"]["message"]


async def test_an_early_answer_is_given_also_when_the_flow_has_ended(api: Api) -> None:
    path = "u/admin/two_early"
    value = flow(
        step("a", py("return 'early'")),
        step("b", py("return 1"), mock={"enabled": True, "return_value": "late"}),
    )
    await deploy_flow(api, path, {**value, "early_return": "a"})
    answer = await api.post(f"jobs/run_wait_result/f/{path}", {})
    assert answer.json() == "early"


async def test_a_flow_lost_too_often_ends_with_its_steps(idle: LiveInstance) -> None:
    api = idle.api
    job_id = await start_flow(
        api, flow(step("a", {**py("return 1"), "tag": "nobody"}), step("b", py("return 2")))
    )
    async with idle.worker("first", worker_tags="flow"):
        (child,) = await eventually_children(api, job_id)
    # As it stands when a worker has died in the flow's turn for the fourth time.
    await idle.execute(
        "UPDATE job_queue SET state = 'running', worker_id = gen_random_uuid(), lease_token = 1, rescues = 3"
        " WHERE job_id = $1",
        UUID(job_id),
    )
    job = await api.ended(job_id)
    assert job["result"]["error"]["name"] == "WorkerLost"
    assert (await api.ended(child))["canceled"] is True
    rows = await idle.execute(
        "SELECT (SELECT count(*) FROM job_queue) + (SELECT count(*) FROM flow_inbox) AS left"
    )
    assert rows == [{"left": 0}]


async def eventually_children(api: Api, job_id: str) -> list[str]:
    """The ids of a flow's steps, once there are some."""
    found: list[str] = []

    async def some() -> bool:
        answer = await api.get("jobs/list", parent_job=job_id)
        found[:] = [each["id"] for each in answer.json()]
        return bool(found)

    await eventually(some)
    return found
