"""Reading flows: `flow_status` while they run and after, results of steps, lists (compat facts, flows 2.11 and 3.4)."""

from uuid import uuid4

from tests.integration.flows.building import (
    Json,
    branch,
    branch_all,
    branch_one,
    children,
    deploy_flow,
    flow,
    identity,
    loop,
    module_comes_to,
    modules_of,
    py,
    run_deployed,
    run_flow,
    start_deployed,
    start_flow,
    step,
    while_loop,
)
from tests.integration.flows.outside import Outside
from tests.integration.live_instance import Api

ITEM = "flow_input.iter.value"
NO_FAILURE = {"type": "WaitingForPriorSteps", "id": "failure"}


def without_durations(module: Json) -> Json:
    """A module without when its jobs began and how long they took, which are checked to be there."""
    durations = module.pop("flow_jobs_duration")
    assert len(durations["started_at"]) == len(durations["duration_ms"]) == len(module["flow_jobs"])
    return module


async def test_the_status_of_plain_steps(api: Api) -> None:
    job = await run_flow(api, flow(step("a", py("return 1")), step("b", identity())))
    first, second = await children(api, job["id"])
    assert job["flow_status"] == {
        "step": 2,
        "modules": [
            {"type": "Success", "id": "a", "job": first["id"], "skipped": False},
            {"type": "Success", "id": "b", "job": second["id"], "skipped": False},
        ],
        "failure_module": NO_FAILURE,
        "preprocessor_module": None,
        "cleanup_module": {},
    }
    assert job["raw_flow"]["modules"][0]["id"] == "a"


async def test_the_status_of_containers(api: Api) -> None:
    definition = flow(
        step("l", loop([1, 0], step("b", py("return 1 // n", n=ITEM)))),
        step("p", loop([1, 2], step("c", py("return n", n=ITEM)), parallel=True)),
        step("all", branch_all(branch(step("d", py("return 1"))), branch(step("e", py("return 2"))))),
        step(
            "one",
            branch_one(branch(expr="false"), branch(step("f", py("return 3")), expr="true"), default=[]),
        ),
        step("default", branch_one(default=[step("g", identity())])),
        step(
            "w",
            while_loop(step("h", py("return i", i="flow_input.iter.index"))),
            stop_after_if={"expr": "result == 1"},
        ),
    )
    job = await run_flow(api, definition)
    assert job["success"] is True, job["result"]
    made: dict[str, list[str]] = {}
    for each in await children(api, job["id"]):
        made.setdefault(modules_key(each, definition), []).append(each["id"])
    modules = modules_of(job)
    for name in ("l", "p", "all", "w"):
        succeeded = [True, False] if name == "l" else [True, True]
        assert without_durations(modules[name]) == {
            "type": "Success",
            "id": name,
            "job": modules[name]["job"],
            "skipped": False,
            "flow_jobs": modules[name]["flow_jobs"],
            "flow_jobs_success": succeeded,
        }
        assert sorted(modules[name]["flow_jobs"]) == sorted(made[name])
    assert modules["one"] == {
        "type": "Success",
        "id": "one",
        "job": made["one"][0],
        "skipped": False,
        "branch_chosen": {"type": "branch", "branch": 1},
    }
    assert modules["default"]["branch_chosen"] == {"type": "default"}
    assert job["flow_status"]["step"] == 6


def modules_key(job: Json, definition: Json) -> str:
    """The outer step a child belongs to; iterations of one step may carry the id of that step or of their own."""
    inner = {"b": "l", "c": "p", "h": "w"}
    known = [module["id"] for module in definition["modules"]]
    name = str(job["flow_step_id"])
    return name if name in known else inner[name]


async def test_the_status_while_steps_run(api: Api, outside: Outside) -> None:
    outside.hold("a", "1")
    body = outside.step("return visit(n)", n=ITEM)
    definition = flow(
        step("a", outside.step("visit('a')")), step("l", loop(["0", "1", "2"], step("b", body)))
    )
    job_id = await start_flow(api, definition)
    await outside.visited("a")
    (first,) = await children(api, job_id)
    job = await api.job(job_id)
    assert (job["type"], job["running"], job["flow_status"]["step"]) == ("QueuedJob", True, 0)
    assert modules_of(job)["a"] == {"type": "InProgress", "id": "a", "job": first["id"]}
    assert modules_of(job)["l"] == {"type": "WaitingForPriorSteps", "id": "l"}
    outside.release("a")
    await outside.visited("1")
    job = await api.job(job_id)
    running = modules_of(job)["l"]
    jobs = [each["id"] for each in await children(api, job_id)][1:]
    assert (running["type"], running["job"], running["flow_jobs"]) == ("InProgress", jobs[1], jobs)
    assert running["flow_jobs_success"] == [True, None]
    assert (running["iterator"]["index"], running["iterator"]["itered_len"]) == (1, 3)
    assert "parallel" not in running
    outside.release("1")
    assert (await api.ended(job_id))["success"] is True


async def test_the_status_while_branches_and_whiles_run(api: Api, outside: Outside) -> None:
    outside.hold("p", "s", "w", "c")
    definition = flow(
        step("p", branch_all(branch(step("p1", outside.step("visit('p')"))), branch(step("p2", identity())))),
        step("s", branch_all(branch(step("s1", outside.step("visit('s')"))), branch(), parallel=False)),
        step("w", while_loop(step("w1", outside.step("visit('w')"))), stop_after_if={"expr": "true"}),
        step("c", branch_one(default=[step("c1", outside.step("visit('c')"))])),
    )
    job_id = await start_flow(api, definition)
    await outside.visited("p")
    parallel = await module_comes_to(api, job_id, "p", "InProgress")
    assert (parallel["parallel"], parallel["job"], parallel["branchall"]["len"]) == (True, job_id, 2)
    assert len(parallel["flow_jobs"]) == 2
    outside.release("p")
    await outside.visited("s")
    ordered = await module_comes_to(api, job_id, "s", "InProgress")
    assert ordered["branchall"] == {"branch": 0, "len": 2}
    assert "parallel" not in ordered
    outside.release("s")
    await outside.visited("w")
    assert (await module_comes_to(api, job_id, "w", "InProgress"))["while_loop"] is True
    outside.release("w")
    await outside.visited("c")
    assert (await module_comes_to(api, job_id, "c", "InProgress"))["branch_chosen"] == {"type": "default"}
    outside.release("c")
    assert (await api.ended(job_id))["success"] is True


async def test_updates_of_a_flow_carry_its_status(api: Api, outside: Outside) -> None:
    outside.hold("a")
    job_id = await start_flow(api, flow(step("a", outside.step("visit('a')"))))
    await outside.visited("a")
    update = (await api.get(f"jobs_u/getupdate/{job_id}")).json()
    assert update["running"] is True
    assert update["flow_status"]["modules"][0]["id"] == "a"
    outside.release("a")
    await api.ended(job_id)


NESTED = flow(
    step("a", py("return {'deep': {'er': [1, 2]}}")),
    step("n", branch_one(default=[step("b", py("return 'inner'")), step("c", py("return 'last'"))])),
    step("l", loop([1, 2], step("d", py("return n * 10", n=ITEM)))),
)


async def test_results_by_id(api: Api) -> None:
    job = await run_flow(api, NESTED)
    for module_id, query, result in (
        ("a", {}, {"deep": {"er": [1, 2]}}),
        ("a", {"json_path": "deep.er"}, [1, 2]),
        ("n", {}, "last"),
        ("b", {}, "inner"),
        ("l", {}, [10, 20]),
    ):
        answer = await api.get(f"jobs/result_by_id/{job['id']}/{module_id}", **query)
        assert (answer.status_code, answer.json()) == (200, result)


async def test_result_by_id_of_what_does_not_exist(api: Api) -> None:
    job = await run_flow(api, NESTED)
    assert (await api.get(f"jobs/result_by_id/{uuid4()}/a")).status_code in (400, 404)
    answer = await api.get(f"jobs/result_by_id/{job['id']}/nope")
    assert answer.status_code == 404 or answer.json() is None


async def test_the_root_of_a_job(api: Api) -> None:
    job = await run_flow(api, NESTED)
    (inner,) = [each for each in await children(api, job["id"]) if each["flow_step_id"] == "n"]
    (leaf, _) = await children(api, inner["id"])
    for job_id in (leaf["id"], inner["id"], job["id"]):
        assert (await api.get(f"jobs_u/get_root_job_id/{job_id}")).json() == job["id"]
    assert (leaf["parent_job"], leaf["root_job"]) == (inner["id"], job["id"])


async def test_the_jobs_of_a_flow_for_debugging(api: Api) -> None:
    job = await run_flow(api, NESTED)
    info = (await api.get(f"jobs_u/get_flow_debug_info/{job['id']}")).json()
    made = {each["id"]: each for each in info.values()}
    assert {each["flow_step_id"] for each in made.values() if each["is_flow_step"]} >= {"a", "n", "b", "c"}
    assert made[modules_of(job)["a"]["job"]]["result"] == {"deep": {"er": [1, 2]}}


async def test_lists_tell_flows_from_their_steps(api: Api) -> None:
    path = "u/admin/listed"
    await deploy_flow(api, path, NESTED)
    job = await run_deployed(api, path)
    answer = await api.get("jobs/list", script_path_start=path, has_null_parent="true", job_kinds="flow")
    assert [each["id"] for each in answer.json()] == [job["id"]]
    steps = (await api.get("jobs/list", script_path_start=path, is_flow_step="true", per_page=100)).json()
    assert steps
    assert all(each["is_flow_step"] and each["parent_job"] for each in steps)
    flows = (await api.get("jobs/list", script_path_start=path, job_kinds="flow")).json()
    assert [each["id"] for each in flows] == [job["id"]]
    direct = (await api.get("jobs/completed/list", parent_job=job["id"], per_page=100)).json()
    assert sorted(each["flow_step_id"] for each in direct if each["flow_step_id"] in "an") == ["a", "n"]
    assert {each["parent_job"] for each in direct} == {job["id"]}


async def test_a_flow_in_the_queue_is_listed_with_its_state(api: Api, outside: Outside) -> None:
    outside.hold("a")
    await deploy_flow(api, "u/admin/listed_running", flow(step("a", outside.step("visit('a')"))))
    job_id = await start_deployed(api, "u/admin/listed_running")
    await outside.visited("a")
    # Its dependency job may still wait at the same path.
    found = await api.get("jobs/queue/list", script_path_exact="u/admin/listed_running", job_kinds="flow")
    queued = found.json()
    assert [(each["id"], each["running"]) for each in queued] == [(job_id, True)]
    outside.release("a")
    job = await api.ended(job_id)
    timing = (await api.get(f"jobs_u/completed/get_timing/{job_id}")).json()
    assert timing["duration_ms"] == job["duration_ms"]
    assert job["started_at"] >= job["created_at"]
    assert (await api.get(f"jobs_u/completed/get_result_maybe/{job_id}")).json()["success"] is True
