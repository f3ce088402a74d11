"""Starting flows over HTTP, and what the settings of a flow and its steps do (compat facts, flows 1.2, 1.3, 2 and 3.2)."""

import asyncio
import base64
import json

import pytest

from tests.integration.flows.building import (
    Json,
    branch_one,
    child,
    children,
    deploy_flow,
    flow,
    identity,
    loop,
    py,
    raising,
    raw,
    result_of,
    run_deployed,
    run_flow,
    start_deployed,
    start_flow,
    static,
    step,
    sub_flow,
)
from tests.integration.flows.outside import Outside
from tests.integration.live_instance import Api, eventually

ADD = flow(step("a", py("return x + y", x="flow_input.x", y="flow_input.y ?? 10")))


def payload_of(args: Json) -> str:
    return base64.urlsafe_b64encode(json.dumps(args).encode()).decode()


async def test_a_deployed_flow_runs_by_path_and_by_version(api: Api) -> None:
    path = "u/admin/runs_add"
    await deploy_flow(api, path, ADD)
    first = (await api.get(f"flows/get/{path}")).json()["version_id"]
    await deploy_flow(api, path, flow(step("a", py("return -x", x="flow_input.x"))))
    latest = (await api.get(f"flows/get/{path}")).json()["version_id"]
    for target, result in ((f"fv/{first}", 11), (f"f/{path}", -1), (f"fv/{latest}", -1)):
        answer = await api.post(f"jobs/run/{target}", {"x": 1})
        assert (answer.status_code, answer.headers["content-type"]) == (201, "text/plain; charset=utf-8")
        job = await api.ended(answer.text)
        assert (job["success"], job["result"], job["script_path"], job["job_kind"]) == (
            True,
            result,
            path,
            "flow",
        )
        for waited in (
            await api.post(f"jobs/run_wait_result/{target}", {"x": 1}),
            await api.get(f"jobs/run_wait_result/{target}", payload=payload_of({"x": 1})),
        ):
            assert (waited.status_code, waited.text) == (200, str(result))


async def test_a_preview_is_waited_for(api: Api) -> None:
    answer = await api.post("jobs/run_wait_result/preview_flow", {"value": ADD, "args": {"x": 1, "y": 2}})
    assert (answer.status_code, answer.text) == (200, "3")


async def test_a_failed_flow_answers_422_with_its_error(api: Api) -> None:
    await deploy_flow(api, "u/admin/runs_fail", flow(step("a", raising())))
    answer = await api.post("jobs/run_wait_result/f/u/admin/runs_fail", {})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert (error["name"], error["message"], error["step_id"]) == ("ValueError", "no", "a")


async def test_flows_that_do_not_exist_are_refused_by_name(api: Api) -> None:
    for answer in (
        await api.post("jobs/run/f/u/admin/runs_none", {}),
        await api.post("jobs/run_wait_result/f/u/admin/runs_none", {}),
    ):
        assert answer.status_code == 404
        assert "u/admin/runs_none" in answer.text
    assert (await api.post("jobs/run/fv/999999", {})).status_code == 404


async def test_an_early_return_answers_while_the_flow_goes_on(api: Api, outside: Outside) -> None:
    outside.hold("b")
    definition = flow(
        step("a", py("return {'early': n}", n="flow_input.n")),
        step("b", outside.step("visit('b')\nreturn 'late'")),
        early_return="a",
    )
    await deploy_flow(api, "u/admin/runs_early", definition)
    answer = await api.post("jobs/run_wait_result/f/u/admin/runs_early", {"n": 1})
    assert (answer.status_code, answer.json()) == (200, {"early": 1})
    await outside.visited("b")
    (running,) = (
        await api.get("jobs/queue/list", script_path_exact="u/admin/runs_early", job_kinds="flow")
    ).json()
    outside.release("b")
    assert (await api.ended(running["id"]))["result"] == "late"


async def test_a_step_to_return_early_that_fails_returns_what_the_flow_returns(api: Api) -> None:
    definition = flow(
        step("a", raising()), early_return="a", failure_module=step("failure", py("return 'handled'"))
    )
    await deploy_flow(api, "u/admin/runs_early_fails", definition)
    answer = await api.post("jobs/run_wait_result/f/u/admin/runs_early_fails", {})
    assert (answer.status_code, answer.json()) == (422, "handled")


@pytest.mark.parametrize("nested", [False, True])
async def test_23_labels_of_a_step_are_the_flows(api: Api, nested: bool) -> None:
    labelled = step("a", py("return {'greet': 'hi', 'wm_labels': ['yolo', 'greet', 'greet', 'you']}"))
    definition = flow(step("n", branch_one(default=[labelled]))) if nested else flow(labelled)
    job = await run_flow(api, definition)
    assert job["labels"] == ["greet", "yolo", "you"]
    assert job["result"]["greet"] == "hi"


async def test_23_labels_of_a_step_are_added_to_the_flows_own(api: Api) -> None:
    labelled = step("a", py("return {'wm_labels': ['yolo', 'a']}"))
    await deploy_flow(api, "u/admin/runs_labelled", flow(labelled), labels=["z", "a", "x"])
    job = await run_deployed(api, "u/admin/runs_labelled")
    assert job["labels"] == ["a", "x", "yolo", "z"]
    listed = (
        await api.get("jobs/completed/list", label="yolo", script_path_exact="u/admin/runs_labelled")
    ).json()
    assert [entry["id"] for entry in listed] == [job["id"]]


async def test_tags_of_flows_and_steps(api: Api) -> None:
    tagged = py("return 1") | {"tag": "own"}
    definition = flow(
        step("a", tagged), step("b", py("return 2")), step("c", branch_one(default=[step("d", tagged)]))
    )
    for tag, preserve, tags in (
        (None, False, ["own", "python3", "flow"]),
        ("wide", False, ["wide", "wide", "wide"]),
        ("wide", True, ["own", "wide", "wide"]),
    ):
        settings: Json = {"preserve_step_tags": True} if preserve else {}
        job = await run_flow(api, definition | settings, **({"tag": tag} if tag else {}))
        assert job["tag"] == (tag or "flow")
        assert [entry["tag"] for entry in await children(api, job["id"])] == tags


async def test_priorities_of_flows_and_steps(api: Api) -> None:
    definition = flow(step("a", py("return 1"), priority=7), step("b", py("return 2")), priority=3)
    job = await run_flow(api, definition)
    assert [entry["priority"] for entry in await children(api, job["id"])] == [7, 3]


async def test_the_environment_of_a_flow(api: Api) -> None:
    variable = {
        "path": "u/admin/runs_variable",
        "value": "from variable",
        "is_secret": False,
        "description": "",
    }
    assert (await api.post("variables/create", variable)).status_code == 201
    resource = {"path": "u/admin/runs_resource", "resource_type": "any", "value": {"deep": {"er": 5}}}
    assert (await api.post("resources/create", resource)).status_code == 201
    env = {"plain": {"x": [1]}, "v": "$var:u/admin/runs_variable", "r": "$res:u/admin/runs_resource"}
    reads = py("return [p, v, r]", p="flow_env.plain.x", v="flow_env.v", r="flow_env.r.deep.er")
    definition = flow(
        step("a", reads), step("b", loop([1], step("c", reads), step("d", identity()))), flow_env=env
    )
    job = await run_flow(api, definition)
    seen = [[1], "from variable", 5]
    assert (await child(api, job["id"], "a"))["result"] == seen
    assert job["result"] == [seen]
    for name, path, value in (("plain", "x", [1]), ("v", None, "from variable"), ("nope", None, None)):
        query = {"json_path": path} if path else {}
        answer = await api.get(f"jobs/flow_env_by_flow_job_id/{job['id']}/{name}", **query)
        assert (answer.status_code, answer.json()) == (200, value)


PREPROCESSED = flow(
    step("a", py("return [n, i]", n="flow_input.n", i="Object.keys(flow_input)")),
    preprocessor_module=step(
        "preprocessor",
        raw("def preprocessor(event):\n    return {'n': event['body']['x'] + 1, 'kind': event['kind']}"),
    ),
)


async def test_a_preprocessor_turns_the_event_into_arguments(api: Api) -> None:
    await deploy_flow(api, "u/admin/runs_prepared", PREPROCESSED)
    job = await run_deployed(api, "u/admin/runs_prepared", {"x": 1})
    assert (job["result"], job["preprocessed"]) == ([2, ["n", "kind"]], True)
    assert job["args"] == {"n": 2, "kind": "webhook"}
    assert job["flow_status"]["preprocessor_module"]["type"] == "Success"
    assert job["flow_status"]["step"] == 1
    first, _ = await children(api, job["id"])
    assert (first["flow_step_id"], first["script_path"]) == (
        "preprocessor",
        "u/admin/runs_prepared/preprocessor",
    )
    waited = await api.post("jobs/run_wait_result/f/u/admin/runs_prepared", {"x": 5})
    assert waited.json() == [6, ["n", "kind"]]


async def test_a_preprocessor_is_skipped_where_asked_and_by_previews_and_sub_flows(api: Api) -> None:
    await deploy_flow(api, "u/admin/runs_unprepared", PREPROCESSED)
    job = await run_deployed(api, "u/admin/runs_unprepared", {"n": 7}, skip_preprocessor="true")
    assert job["result"] == [7, ["n"]]
    assert "preprocessed" not in job
    assert await result_of(api, PREPROCESSED, {"n": 8}) == [8, ["n"]]
    below = step("s", sub_flow("u/admin/runs_unprepared", n=static(9)))
    assert await result_of(api, flow(below)) == [9, ["n"]]


@pytest.mark.parametrize(
    ("returned", "args"), [("None", {}), ("5", {"value": 5}), ("['x']", {"value": ["x"]})]
)
async def test_a_preprocessor_that_returns_no_object(api: Api, returned: str, args: Json) -> None:
    path = f"u/admin/runs_prepared_{len(returned)}"
    prepare = raw(f"def preprocessor(event):\n    return {returned}")
    definition = flow(step("a", identity()), preprocessor_module=step("preprocessor", prepare))
    await deploy_flow(api, path, definition)
    assert (await run_deployed(api, path, {"x": 1}))["result"] == args


async def test_a_failing_preprocessor_fails_the_flow(api: Api, outside: Outside) -> None:
    fails = raw("def preprocessor(event):\n    return [][1]")
    definition = flow(step("a", outside.step("visit('a')")), preprocessor_module=step("preprocessor", fails))
    await deploy_flow(api, "u/admin/runs_ill_prepared", definition)
    job = await run_deployed(api, "u/admin/runs_ill_prepared", {})
    assert (job["success"], job["result"]["error"]["name"], outside.visits) == (False, "IndexError", [])


async def test_a_cached_step_runs_once_for_equal_arguments(api: Api, outside: Outside) -> None:
    outside.answer(1, 2)
    cached = step("a", outside.step("return visit('a')", n="flow_input.n"), cache_ttl=600)
    await deploy_flow(
        api, "u/admin/runs_cached", flow(cached, step("b", py("return [p]", p="previous_result")))
    )
    results = [(await run_deployed(api, "u/admin/runs_cached", {"n": n}))["result"] for n in (1, 1, 2, 1)]
    assert (results, len(outside.visits)) == ([[1], [1], [2], [1]], 2)


async def test_a_cached_flow_runs_once_for_equal_arguments(api: Api, outside: Outside) -> None:
    outside.answer(1, 2)
    await deploy_flow(
        api, "u/admin/runs_flow_cached", flow(step("a", outside.step("return visit('a')")), cache_ttl=600)
    )
    results = [(await run_deployed(api, "u/admin/runs_flow_cached", {"n": n}))["result"] for n in (1, 1, 2)]
    assert (results, len(outside.visits)) == ([1, 1, 2], 2)


@pytest.mark.parametrize("setting", [{"delete_after_use": True}, {"delete_after_secs": 0}])
async def test_what_a_step_was_given_and_returned_is_wiped_at_the_end(api: Api, setting: Json) -> None:
    secretive = step("a", py("print('said it')\nreturn [n]", n="flow_input.n"), **setting)
    job = await run_flow(api, flow(secretive, step("b", py("return p[0] + 1", p="results.a"))), {"n": 1})
    assert job["result"] == 2
    wiped = await child(api, job["id"], "a")
    assert (wiped["args"], wiped["result"]) == ({}, {})
    assert wiped["logs"] == "##DELETED##"
    assert job["flow_status"]["cleanup_module"] == {"flow_jobs_to_clean": [wiped["id"]]}


async def test_parallelism_bounds_what_runs_at_once(api: Api, outside: Outside) -> None:
    body = outside.step("visit(str(n))\nreturn n", n="flow_input.iter.value")
    outside.hold("0", "1")
    items = loop(list(range(6)), step("b", body), parallel=True, parallelism=static(2))
    job_id = await start_flow(api, flow(step("a", items)))
    await outside.visited("0", "1")
    outside.release("0", "1")
    assert (await api.ended(job_id))["result"] == list(range(6))
    assert outside.most_at_once == 2


async def test_a_parallel_loop_runs_at_the_same_time(api: Api, outside: Outside) -> None:
    names = [str(n) for n in range(5)]
    outside.hold(*names)
    body = outside.step("visit(n)\nreturn n", n="flow_input.iter.value")
    job_id = await start_flow(api, flow(step("a", loop(names, step("b", body), parallel=True))))
    await outside.visited(*names)
    outside.release(*names)
    assert (await api.ended(job_id))["result"] == names


async def test_a_flow_over_its_concurrency_limit_waits(api: Api, outside: Outside) -> None:
    outside.hold("1")
    definition = flow(
        step("a", outside.step("visit(str(n))\nreturn n", n="flow_input.n")),
        concurrent_limit=1,
        concurrency_time_window_s=0,
    )
    await deploy_flow(api, "u/admin/runs_limited", definition)
    first = await start_deployed(api, "u/admin/runs_limited", {"n": 1})
    await outside.visited("1")
    others = [await start_deployed(api, "u/admin/runs_limited", {"n": n}) for n in (2, 3)]
    assert await result_of(api, flow(step("a", py("return 'meanwhile'")))) == "meanwhile"
    assert outside.visits == ["1"]
    outside.release("1")
    results = await asyncio.gather(*(api.ended(job_id) for job_id in (first, *others)))
    assert [job["result"] for job in results] == [1, 2, 3]
    assert outside.most_at_once == 1


async def test_a_step_over_its_concurrency_limit_waits(api: Api, outside: Outside) -> None:
    limited = outside.step("visit(n)", n="flow_input.iter.value")
    limited |= {
        "concurrent_limit": 1,
        "custom_concurrency_key": "one at a time",
        "concurrency_time_window_s": 0,
    }
    outside.hold("0", "1")
    job_id = await start_flow(api, flow(step("a", loop(["0", "1"], step("b", limited), parallel=True))))

    async def two_jobs() -> list[Json]:
        return [job for job in await children(api, job_id) if job["type"] == "QueuedJob"]

    async def one_has_come() -> bool:
        return len(outside.visits) == 1

    # Both are due at the same instant: either may be first.
    await eventually(one_has_come)
    assert len(await two_jobs()) == 2
    assert len(outside.visits) == 1
    outside.release("0", "1")
    assert (await api.ended(job_id))["success"] is True
    assert outside.most_at_once == 1
