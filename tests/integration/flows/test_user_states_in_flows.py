"""What steps of a flow tell each other, and what they keep from run to run (compat facts, storage 1.2 and 4.1)."""

from uuid import uuid4

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
    py,
    result_of,
    run_deployed,
    run_flow,
    start_flow,
    step,
    sub_flow,
    while_loop,
)
from tests.integration.flows.outside import Outside
from tests.integration.live_instance import Api, LiveInstance

ITEM = "flow_input.iter.value"


def writes(key: str, value: object) -> Json:
    return py(f"import wmill\nwmill.set_flow_user_state({key!r}, {value!r})\nreturn 'wrote'")


def reads(key: str) -> Json:
    return py(f"import wmill\nreturn wmill.get_flow_user_state({key!r})")


async def test_the_documented_example(api: Api) -> None:
    job = await run_flow(api, flow(step("a", writes("foobar", 43)), step("b", reads("foobar"))))
    assert (job["success"], job["result"]) == (True, 43)
    assert job["flow_status"]["user_states"] == {"foobar": 43}


async def test_the_documented_example_by_http(api: Api) -> None:
    body = """
    import os, wmill
    client = wmill.Windmill()
    root = client.get(f"/w/main/jobs_u/get_root_job_id/{os.environ['WM_JOB_ID']}").json()
    states = f"/w/main/jobs/flow/user_states/{root}/FOO"
    missing = client.get(states).json()
    answer = client.post(states, json=43)
    return [missing, answer.text, client.get(states).json()]
    """
    assert await result_of(api, flow(step("a", py(body)))) == [None, "Flow job state updated", 43]


@pytest.mark.parametrize("value", [None, True, 1.5, "text", [], {"b": [1], "a": {"x": None}}, 2**70])
async def test_any_json_is_kept(api: Api, value: object) -> None:
    body = f"import wmill\nvalue = wmill.get_flow_user_state('k')\nassert value == {value!r}\nreturn value"
    definition = flow(
        step("a", writes("k", value)),
        step("b", py(body)),
        step("c", py("return s", s="flow_user_state('k')")),
    )
    assert await result_of(api, definition) == value


async def test_an_unknown_key_is_null(api: Api) -> None:
    definition = flow(
        step("a", reads("nope")),
        step("b", py("return [p, s]", p="previous_result", s="flow_user_state('nope')")),
    )
    assert await result_of(api, definition) == [None, None]


PLACES: list[tuple[str, Json]] = [
    ("a loop", loop([1], step("w", writes("k", 1)))),
    ("a loop of many steps", loop([1], step("w", writes("k", 1)), step("i", identity()))),
    ("a parallel loop", loop([1], step("w", writes("k", 1)), step("i", identity()), parallel=True)),
    ("a while loop", while_loop(step("w", writes("k", 1), stop_after_if={"expr": "true"}))),
    ("a branch", branch_one(default=[step("w", writes("k", 1))])),
    ("branches in branches", branch_all(branch(step("m", branch_all(branch(step("w", writes("k", 1)))))))),
]


@pytest.mark.parametrize("value", [case[1] for case in PLACES], ids=[case[0] for case in PLACES])
async def test_a_state_is_the_outermost_flows(api: Api, value: Json) -> None:
    definition = flow(
        step("n", value),
        step("r", reads("k")),
        step("e", py("return [p, s]", p="results.r", s="flow_user_state('k')")),
    )
    job = await run_flow(api, definition)
    assert (job["result"], job["flow_status"]["user_states"]) == ([1, 1], {"k": 1})


async def test_a_state_of_a_sub_flow_is_the_outermost_flows(api: Api) -> None:
    inner = flow(
        step("r", reads("from above")),
        step("w", writes("from below", "b")),
        step("z", py("return r", r="results.r")),
    )
    await deploy_flow(api, "u/admin/states_below", inner)
    definition = flow(
        step("w", writes("from above", "a")),
        step("s", sub_flow("u/admin/states_below")),
        step("x", py("import wmill\nreturn [s, wmill.get_flow_user_state('from below')]", s="results.s")),
    )
    job = await run_flow(api, definition)
    assert job["result"] == ["a", "b"]
    assert job["flow_status"]["user_states"] == {"from above": "a", "from below": "b"}


async def test_parallel_steps_never_lose_each_others_states(api: Api) -> None:
    body = py(
        "import wmill\nwmill.set_flow_user_state(f'key {n}', n)\nreturn wmill.get_flow_user_state(f'key {n}')",
        n=ITEM,
    )
    job = await run_flow(api, flow(step("l", loop(list(range(30)), step("b", body), parallel=True))))
    assert job["result"] == list(range(30))
    assert job["flow_status"]["user_states"] == {f"key {n}": n for n in range(30)}


async def test_parallel_steps_count_together(api: Api) -> None:
    body = """
    import os, wmill
    client = wmill.Windmill()
    path = f"/w/main/jobs/flow/user_states/{os.environ['WM_ROOT_FLOW_JOB_ID']}/count/increment"
    return [client.post(path, json={"by": 1}).json()["value"] for _ in range(4)]
    """
    job = await run_flow(api, flow(step("l", loop(list(range(10)), step("b", py(body)), parallel=True))))
    assert job["success"] is True
    assert sorted(value for values in job["result"] for value in values) == list(range(1, 41))
    assert job["flow_status"]["user_states"] == {"count": 40}


async def test_states_in_every_kind_of_expression(api: Api) -> None:
    definition = flow(
        step("w", writes("k", [3, 1])),
        step(
            "l",
            loop("flow_user_state('k')", step("b", py("return [i, s]", i=ITEM, s="flow_user_state('k')[1]"))),
        ),
        step("skipped", py("return 'ran'"), skip_if={"expr": "flow_user_state('k')[0] == 3"}),
        step(
            "o",
            branch_one(
                branch(step("c", py("return p", p="results.l")), expr="flow_user_state('k').length == 2"),
                default=[],
            ),
        ),
        step("s", identity(), stop_after_if={"expr": "flow_user_state('k')[0] > 2"}),
        step("never", py("return 'never'")),
    )
    assert await result_of(api, definition) == [[3, 1], [1, 1]]


async def test_states_are_seen_from_outside_while_the_flow_runs_and_after(api: Api, outside: Outside) -> None:
    outside.hold("a")
    job_id = await start_flow(
        api,
        flow(step("w", writes("k", {"x": 1})), step("a", outside.step("visit('a')")), step("r", reads("k"))),
    )
    await outside.visited("a")
    states = f"jobs/flow/user_states/{job_id}"
    assert (await api.get(f"{states}/k")).json() == {"x": 1}
    assert (await api.job(job_id))["flow_status"]["user_states"] == {"k": {"x": 1}}
    answer = await api.post(f"{states}/k", {"x": 2})
    assert (answer.status_code, answer.text) == (200, "Flow job state updated")
    assert (await api.post(f"{states}/other", None)).status_code == 200
    outside.release("a")
    job = await api.ended(job_id)
    assert (job["result"], job["flow_status"]["user_states"]) == ({"x": 2}, {"k": {"x": 2}, "other": None})
    assert (await api.get(f"{states}/k")).json() == {"x": 2}
    assert (await api.get(states)).json() == {"k": {"x": 2}, "other": None}


async def test_a_state_is_deleted(api: Api, outside: Outside) -> None:
    outside.hold("a")
    job_id = await start_flow(
        api, flow(step("w", writes("k", 1)), step("a", outside.step("visit('a')")), step("r", reads("k")))
    )
    await outside.visited("a")
    assert (await api.http.delete(f"/api/w/main/jobs/flow/user_states/{job_id}/k")).is_success
    outside.release("a")
    job = await api.ended(job_id)
    assert job["result"] is None
    assert "user_states" not in job["flow_status"]


async def test_what_is_no_flow_has_no_states(api: Api) -> None:
    job = await api.run("def main(): return 1")
    for job_id in (job["id"], str(uuid4())):
        answer = await api.post(f"jobs/flow/user_states/{job_id}/k", 1)
        assert (answer.status_code, answer.text) == (404, "Not found: Flow job not found")
        assert (await api.get(f"jobs/flow/user_states/{job_id}/k")).json() is None
    alone = await api.run(
        "import wmill\ndef main():\n    wmill.set_flow_user_state('k', 1)\n    return wmill.get_flow_user_state('k')"
    )
    assert (alone["success"], alone["result"]) == (True, None)
    assert "does not exist or is not a flow" in alone["logs"]


STATE_PATH = "import os\nreturn os.environ['WM_STATE_PATH']"
COUNTS = "import wmill\nn = (wmill.get_state() or 0) + 1\nwmill.set_state(n)\nreturn n"


async def test_each_step_and_each_user_has_a_slot(live: LiveInstance, api: Api) -> None:
    henri = await live.member("henri")
    await live.folder("slots", u_henri=False)
    both = "import os\nreturn [a, os.environ['WM_STATE_PATH']]"
    await deploy_flow(api, "f/slots/fl", flow(step("a", py(STATE_PATH)), step("b", py(both, a="results.a"))))
    for who, name in ((api, "admin"), (henri, "henri")):
        slots = (await run_deployed(who, "f/slots/fl"))["result"]
        assert slots == [f"f/slots/fl/a_{name}", f"f/slots/fl/b_{name}"]


PATH = step("b", py(STATE_PATH))
SLOTS: list[tuple[str, Json]] = [
    ("loop", loop([1], PATH)),
    ("loop_of_steps", loop([1], PATH, step("i", identity()))),
    ("parallel", loop([1], PATH, step("i", identity()), parallel=True)),
    ("branches", branch_all(branch(PATH))),
    ("branch_in_loop", loop([1], step("o", branch_one(default=[PATH])))),
]


@pytest.mark.parametrize(("name", "value"), SLOTS, ids=[case[0] for case in SLOTS])
async def test_a_slot_is_the_same_at_every_depth(api: Api, name: str, value: Json) -> None:
    path = f"u/admin/slot_of_{name}"
    await deploy_flow(api, path, flow(step("n", value)))
    assert (await run_deployed(api, path))["result"] == [f"{path}/b_admin"]


async def test_a_slot_in_a_sub_flow_is_the_sub_flows(api: Api) -> None:
    await deploy_flow(api, "u/admin/slot_below", flow(step("a", py(STATE_PATH))))
    await deploy_flow(api, "u/admin/slot_above", flow(step("s", sub_flow("u/admin/slot_below"))))
    assert (await run_deployed(api, "u/admin/slot_above"))["result"] == "u/admin/slot_below/a_admin"


async def test_a_step_counts_its_runs_over_iterations_and_runs(api: Api) -> None:
    await deploy_flow(api, "u/admin/slot_counts", flow(step("l", loop([0, 0, 0], step("c", py(COUNTS))))))
    assert (await run_deployed(api, "u/admin/slot_counts"))["result"] == [1, 2, 3]
    assert (await run_deployed(api, "u/admin/slot_counts"))["result"] == [4, 5, 6]
    value = (await api.get("resources/get_value/u/admin/slot_counts/c_admin")).json()
    assert value == 6


async def test_a_test_of_a_flow_has_slots_of_its_own(api: Api) -> None:
    definition = flow(step("c", py(COUNTS)))
    await deploy_flow(api, "u/admin/slot_tested", definition)
    assert (await run_deployed(api, "u/admin/slot_tested"))["result"] == 1
    for n in (1, 2):
        assert await result_of(api, definition, {}, path="u/admin/slot_tested") == n
    assert (await run_deployed(api, "u/admin/slot_tested"))["result"] == 2
    paths = flow(step("a", py(STATE_PATH)))
    assert (
        await result_of(api, paths, {}, path="u/admin/slot_tested") == "u/admin/preview/u/admin/slot_tested/a"
    )
    unnamed = await result_of(api, paths)
    assert unnamed.startswith("u/admin/preview/")
    assert "slot_tested" not in unnamed
    for n in (1, 2):
        assert await result_of(api, flow(step("unnamed_counts", py(COUNTS)))) == n
