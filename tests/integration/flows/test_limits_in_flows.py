"""Limits of scripts and flows act when these are steps too; kept results of whole flows fit what they were made from."""

import asyncio

from tests.integration.flows.building import (
    Json,
    children,
    deploy_flow,
    flow,
    loop,
    modules_of,
    py,
    run_deployed,
    run_flow,
    script,
    start_deployed,
    start_flow,
    static,
    step,
    sub_flow,
)
from tests.integration.flows.outside import Outside
from tests.integration.live_instance import Api, LiveInstance, eventually

ONE = {"concurrent_limit": 1, "concurrency_time_window_s": 0}


async def waiting_for_a_permit(live: LiveInstance, key: str, number: int) -> None:
    """Returns once so many jobs were put back."""

    async def are_there() -> bool:
        rows = await live.execute(
            "SELECT FROM job_queue WHERE concurrency_key = $1 AND waits_since IS NOT NULL", key
        )
        return len(rows) == number

    await eventually(are_there)


async def deploy_visiting(api: Api, outside: Outside, path: str, **settings: object) -> None:
    body = outside.step("visit(str(n))\nreturn n", n="flow_input.n")
    await deploy_flow(api, path, flow(step("a", body), **settings))


async def test_a_sub_flow_over_its_limit_waits_like_a_run_of_its_own(
    api: Api, live: LiveInstance, outside: Outside
) -> None:
    path = "u/admin/limits_inner"
    await deploy_visiting(api, outside, path, **ONE)
    outside.hold("1")
    first = await start_deployed(api, path, {"n": 1})
    await outside.visited("1")
    second = await start_flow(api, flow(step("s", sub_flow(path, n=static(2)))))
    await waiting_for_a_permit(live, f"main/flow/{path}", 1)
    outside.release("1")
    assert [(await api.ended(job_id))["result"] for job_id in (first, second)] == [1, 2]
    assert outside.most_at_once == 1


async def test_a_script_over_its_limit_waits_as_a_step_too(
    api: Api, live: LiveInstance, outside: Outside
) -> None:
    path = "u/admin/limits_script"
    code: str = outside.step("visit(str(n))\nreturn n", n="")["content"]
    await api.deploy(path, code, lock="# py: 3.11\n", **ONE)
    outside.hold("1")
    first = (await api.post(f"jobs/run/p/{path}", {"n": 1, "port": outside.port})).text
    await outside.visited("1")
    second = await start_flow(api, flow(step("s", script(path, n=static(2), port=static(outside.port)))))
    await waiting_for_a_permit(live, f"main/script/{path}", 1)
    outside.release("1")
    assert [(await api.ended(job_id))["result"] for job_id in (first, second)] == [1, 2]
    assert outside.most_at_once == 1


async def test_tests_without_a_path_share_no_limit_with_each_other(api: Api, outside: Outside) -> None:
    limited = outside.step("visit(str(n))\nreturn n", n="flow_input.n") | ONE
    outside.hold("1", "2")
    ids = [await start_flow(api, flow(step("a", limited), **ONE), {"n": n}) for n in (1, 2)]
    await outside.visited("1", "2")
    outside.release("1", "2")
    assert [(await api.ended(job_id))["result"] for job_id in ids] == [1, 2]


async def test_a_step_in_a_loop_is_limited_over_all_turns_of_the_loop(api: Api, outside: Outside) -> None:
    limited = outside.step("visit(n)\nreturn n", n="flow_input.iter.value") | ONE
    rest = step("c", py("return x", x="previous_result"))
    items = loop(["0", "1", "2"], step("b", limited), rest, parallel=True)
    assert (await run_flow(api, flow(step("a", items))))["result"] == ["0", "1", "2"]
    assert outside.most_at_once == 1


async def test_a_cancelled_flow_frees_its_permit(api: Api, outside: Outside) -> None:
    path = "u/admin/limits_canceled"
    await deploy_visiting(api, outside, path, **ONE)
    outside.hold("1")
    first = await start_deployed(api, path, {"n": 1})
    await outside.visited("1")
    waits = [await start_deployed(api, path, {"n": n}) for n in (2, 3)]
    await api.cancel(waits[0])
    await api.cancel(first)
    assert (await api.ended(waits[1]))["result"] == 3
    assert outside.visits == ["1", "3"]
    assert [(await api.ended(job_id))["canceled"] for job_id in (first, waits[0])] == [True, True]


async def test_a_cached_flow_as_a_step_runs_once_and_its_log_names_the_first(
    api: Api, outside: Outside
) -> None:
    path = "u/admin/limits_cached"
    outside.answer(1, 2)
    await deploy_flow(api, path, flow(step("a", outside.step("return visit('a')")), cache_ttl=600))
    first = await run_deployed(api, path, {"n": 1})
    outer = await run_flow(api, flow(step("s", sub_flow(path, n=static(1)))))
    assert (outer["result"], len(outside.visits)) == (1, 1)
    (inner,) = await children(api, outer["id"])
    assert f"cached result of run {first['id']}" in await api.logs(inner["id"])
    assert modules_of(outer)["s"]["type"] == "Success"


async def test_a_flow_keeps_its_result_under_what_its_arguments_stood_for_as_it_began(
    api: Api, outside: Outside
) -> None:
    variable = {"path": "u/admin/limits_var", "value": "one", "is_secret": False, "description": ""}
    assert (await api.post("variables/create", variable)).status_code == 201
    path = "u/admin/limits_reference"
    steps = [
        step("a", outside.step("visit(v)\nreturn v", v="flow_input.v")),
        step("b", py("return v", v="previous_result")),
    ]
    await deploy_flow(api, path, flow(*steps, cache_ttl=600))
    outside.hold("one")
    first = await start_deployed(api, path, {"v": "$var:u/admin/limits_var"})
    await outside.visited("one")
    await api.post("variables/update/u/admin/limits_var", {"value": "two"})
    outside.release("one")
    assert (await api.ended(first))["result"] == "one"
    results = [(await run_deployed(api, path, {"v": "$var:u/admin/limits_var"}))["result"] for _ in range(2)]
    assert (results, outside.visits) == (["two", "two"], ["one", "two"])


async def test_a_failed_flow_is_not_kept_and_a_restarted_one_neither_asks_nor_keeps(
    api: Api, outside: Outside
) -> None:
    path = "u/admin/limits_restarted"
    outside.answer(None, 1, 2)
    await deploy_flow(api, path, flow(step("a", outside.step("return visit('a')")), cache_ttl=600))
    assert (await run_deployed(api, path))["success"] is False
    kept = await run_deployed(api, path)
    assert kept["result"] == 1
    answer = await api.post(f"jobs/restart/f/{kept['id']}", {"step_id": "a"})
    assert (await api.ended(answer.text))["result"] == 2
    assert (await run_deployed(api, path))["result"] == 1


async def test_loops_and_branches_that_are_to_be_forgotten_are_with_all_below(
    api: Api, live: LiveInstance
) -> None:
    def forgetful(module_id: str, *steps: Json) -> Json:
        return step(module_id, loop([1, 2], *steps), delete_after_use=True)

    inner = py("print('said it')\nreturn 'hush'", n="flow_input.iter.value")
    value = flow(
        forgetful("a", step("a1", inner), step("a2", py("return p", p="previous_result"))),
        forgetful("b", step("b1", inner)),
        step("c", py("return 'kept'")),
    )
    job = await run_flow(api, value)
    assert job["result"] == "kept"
    rows = await live.execute(
        "SELECT j.flow_step_id AS step, c.deleted FROM job j JOIN job_completed c ON c.job_id = j.id"
        " WHERE j.root_job::text = $1 ORDER BY j.flow_step_id",
        job["id"],
    )
    wiped = {row["step"] for row in rows if row["deleted"]}
    assert wiped >= {"a", "a1", "a2", "b1"}
    assert {row["step"] for row in rows if not row["deleted"]} == {"c"}


async def test_steps_of_a_flow_that_a_script_started_are_forgotten_when_that_flow_ends(
    api: Api, live: LiveInstance
) -> None:
    path = "u/admin/limits_started"
    hush = py("return 'hush'")
    await deploy_flow(api, path, flow(step("a", hush, delete_after_use=True), step("b", py("return 1"))))
    starter = (await api.run("def main(): return 1"))["id"]
    ids = await asyncio.gather(
        *(start_deployed(api, path, parent_job=starter, root_job=starter) for _ in range(2))
    )
    for job_id in ids:
        await api.ended(job_id)
        deleted = {job["flow_step_id"]: job.get("deleted") for job in await children(api, job_id)}
        assert deleted == {"a": True, "b": None}
