"""Runs that go on from earlier ones (compat facts, flows 2.9 and 6.A 20)."""

from typing import Any
from uuid import uuid4

import pytest

from tests.integration.flows.approving import approve
from tests.integration.flows.building import (
    Json,
    branch,
    branch_all,
    deploy_flow,
    flow,
    loop,
    modules_of,
    py,
    run_deployed,
    run_flow,
    start_deployed,
    step,
)
from tests.integration.flows.outside import Outside
from tests.integration.live_instance import Api, LiveInstance


async def restart(api: Api, job_id: str, step_id: str, number: int | None = None, **more: Any) -> Json:
    """Run a flow again from a step; the completed job."""
    body: Json = {"step_id": step_id, **more} | ({} if number is None else {"branch_or_iteration_n": number})
    answer = await api.post(f"jobs/restart/f/{job_id}", body)
    assert answer.status_code == 201, answer.text
    return await api.ended(answer.text)


def visiting(outside: Outside) -> Json:
    """Three steps that say outside that they run; the middle one is a loop."""
    body = outside.step("visit(str(n))\nreturn n * 10", n="flow_input.iter.value")
    return flow(
        step("a", outside.step("visit('a')\nreturn [1, 2, 3]")),
        step("l", loop("results.a", step("b", body))),
        step("z", outside.step("visit('z')\nreturn [*l, x]", l="results.l", x="flow_input.x")),
    )


@pytest.mark.parametrize(
    ("step_id", "number", "visits"),
    [
        ("a", None, ["a", "1", "2", "3", "z"]),
        ("l", None, ["1", "2", "3", "z"]),
        ("l", 0, ["1", "2", "3", "z"]),
        ("l", 2, ["3", "z"]),
        ("z", None, ["z"]),
    ],
)
async def test_what_came_before_is_taken_over(
    api: Api, outside: Outside, step_id: str, number: int | None, visits: list[str]
) -> None:
    path = f"u/admin/restart_{step_id}_{number}".replace("None", "whole")
    await deploy_flow(api, path, visiting(outside))
    past = await run_deployed(api, path, {"x": 5})
    assert past["result"] == [10, 20, 30, 5]
    outside.visits.clear()
    job = await restart(api, past["id"], step_id, number)
    assert (job["success"], job["result"], job["args"]) == (True, [10, 20, 30, 5], {"x": 5})
    assert outside.visits == visits
    expected = {"flow_job_id": past["id"], "step_id": step_id} | (
        {} if number is None else {"branch_or_iteration_n": number}
    )
    restarted_from = job["flow_status"]["restarted_from"]
    assert {name: restarted_from[name] for name in expected} == expected
    if step_id == "z":
        for name in "al":
            assert modules_of(job)[name]["job"] == modules_of(past)[name]["job"]
            assert modules_of(job)[name]["type"] == "Success"


async def test_a_restart_of_a_restart_reaches_back(api: Api, outside: Outside) -> None:
    await deploy_flow(api, "u/admin/restart_twice", visiting(outside))
    past = await run_deployed(api, "u/admin/restart_twice", {"x": 5})
    second = await restart(api, past["id"], "z")
    outside.visits.clear()
    third = await restart(api, second["id"], "l", 1)
    assert (third["result"], outside.visits) == ([10, 20, 30, 5], ["2", "3", "z"])


async def test_the_older_form_of_the_call(api: Api, outside: Outside) -> None:
    await deploy_flow(api, "u/admin/restart_older", visiting(outside))
    past = await run_deployed(api, "u/admin/restart_older", {"x": 5})
    outside.visits.clear()
    answer = await api.post(f"jobs/restart/f/{past['id']}/from/l/1", {})
    assert answer.status_code == 201, answer.text
    assert (await api.ended(answer.text))["result"] == [10, 20, 30, 5]
    assert outside.visits == ["2", "3", "z"]


async def test_a_failed_run_goes_on_where_it_failed(api: Api, outside: Outside) -> None:
    definition = flow(
        step("a", outside.step("return visit('a')")),
        step("b", outside.step("return [p, visit('b')]", p="results.a")),
    )
    await deploy_flow(api, "u/admin/restart_failed", definition)
    outside.answer(1, None)
    past = await run_deployed(api, "u/admin/restart_failed")
    assert past["success"] is False
    job = await restart(api, past["id"], "b")
    assert (job["success"], job["result"], outside.visits) == (True, [1, "ok"], ["a", "b", "b"])


async def test_20_a_test_goes_on_from_an_earlier_one(api: Api) -> None:
    numbers = branch_all(
        branch(step("c", py("return n", n="results.a"))), branch(step("d", py("return n + 1", n="results.a")))
    )
    definition = flow(
        step("a", py("import random\nreturn random.randrange(10**12)")),
        step("b", numbers),
        step("h", py("return max(b)", b="results.b")),
    )
    past = await run_flow(api, definition)
    again = {"flow_job_id": past["id"], "step_id": "h"}
    job = await run_flow(api, definition, {}, restarted_from=again)
    assert job["result"] == past["result"]
    assert modules_of(job)["a"]["job"] == modules_of(past)["a"]["job"]


async def test_branches_in_order_are_taken_over(api: Api, outside: Outside) -> None:
    branches = [branch(step(f"b{n}", outside.step(f"visit('{n}')\nreturn {n}"))) for n in range(3)]
    await deploy_flow(api, "u/admin/restart_branches", flow(step("x", branch_all(*branches, parallel=False))))
    past = await run_deployed(api, "u/admin/restart_branches")
    outside.visits.clear()
    job = await restart(api, past["id"], "x", 2)
    assert (job["result"], outside.visits) == ([0, 1, 2], ["2"])


async def test_the_wait_before_the_restart_is_not_repeated(live: LiveInstance, api: Api) -> None:
    definition = flow(step("a", py("return 1"), suspend={"required_events": 1}), step("b", py("return 2")))
    await deploy_flow(api, "u/admin/restart_waited", definition)
    job_id = await start_deployed(api, "u/admin/restart_waited")
    await approve(live, job_id, "b")
    await api.ended(job_id)
    assert (await restart(api, job_id, "b"))["result"] == 2


async def test_user_states_come_along(api: Api) -> None:
    writes = py("import wmill\nwmill.set_flow_user_state('k', 1)")
    reads = py("import wmill\nreturn wmill.get_flow_user_state('k')")
    await deploy_flow(api, "u/admin/restart_states", flow(step("a", writes), step("b", reads)))
    past = await run_deployed(api, "u/admin/restart_states")
    job = await restart(api, past["id"], "b")
    assert (job["result"], job["flow_status"]["user_states"]) == (1, {"k": 1})


async def test_a_restart_runs_the_latest_version(api: Api) -> None:
    path = "u/admin/restart_latest"
    for version in (1, 2):
        definition = flow(step("a", py("return 1")), step("b", py(f"return [{version}, a]", a="results.a")))
        await deploy_flow(api, path, definition)
        if version == 1:
            past = await run_deployed(api, path)
            first = (await api.get(f"flows/get/{path}")).json()["version_id"]
    latest = (await api.get(f"flows/get/{path}")).json()["version_id"]
    assert (await restart(api, past["id"], "b", flow_version=latest))["result"] == [2, 1]
    assert (await restart(api, past["id"], "b", flow_version=first))["result"] == [1, 1]


SIMPLE = flow(
    step("a", py("return 1")),
    step("p", loop([1], step("b", py("return 1")), parallel=True)),
    step("l", loop([1, 2], step("c", py("return 1")))),
    step("x", py("return [][1]")),
    step("y", py("return 1")),
)


@pytest.mark.parametrize(
    ("step_id", "number", "says"),
    [
        ("nope", None, "Flow cannot be restarted from step nope as it could not be found."),
        ("y", None, "Flow cannot be restarted from a non successful module"),
        ("a", 1, "a"),
        ("p", 1, "p"),
        ("l", 2, "l"),
        ("l", 99, "l"),
    ],
)
async def test_impossible_restarts_are_refused(api: Api, step_id: str, number: int | None, says: str) -> None:
    path = f"u/admin/refused_{step_id}_{number}".replace("None", "whole")
    await deploy_flow(api, path, SIMPLE)
    past = await run_deployed(api, path)
    assert past["success"] is False
    body: Json = {"step_id": step_id} | ({} if number is None else {"branch_or_iteration_n": number})
    answer = await api.post(f"jobs/restart/f/{past['id']}", body)
    assert answer.status_code == 400
    assert says in answer.text


async def test_only_flows_that_have_ended_are_restarted(api: Api, outside: Outside) -> None:
    outside.hold("a")
    await deploy_flow(api, "u/admin/restart_running", visiting(outside))
    job_id = await start_deployed(api, "u/admin/restart_running", {"x": 1})
    await outside.visited("a")
    running = await api.post(f"jobs/restart/f/{job_id}", {"step_id": "a"})
    assert 400 <= running.status_code < 500
    outside.release("a")
    await api.ended(job_id)
    no_flow = await api.run("def main(): return 1")
    for other in (no_flow["id"], str(uuid4())):
        assert 400 <= (await api.post(f"jobs/restart/f/{other}", {"step_id": "a"})).status_code < 500
