"""Flows and scripts that flows run by path, and who they run as (compat facts, flows 2.1 and 2.14)."""

from tests.integration.flows.building import (
    Json,
    branch,
    branch_all,
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
    script,
    static,
    step,
    sub_flow,
)
from tests.integration.flows.outside import Outside
from tests.integration.live_instance import Api, LiveInstance


async def test_a_sub_flow_takes_its_own_arguments_and_returns_its_result(api: Api) -> None:
    inner = flow(step("a", py("return [i, p]", i="flow_input", p="previous_result")))
    await deploy_flow(api, "u/admin/below_echo", inner)
    definition = flow(
        step("a", py("return 1")), step("s", sub_flow("u/admin/below_echo", n="results.a + flow_input.x"))
    )
    job = await run_flow(api, definition, {"x": 2})
    assert job["result"] == [{"n": 3}, {"n": 3}]
    below = await child(api, job["id"], "s")
    assert (below["job_kind"], below["script_path"], below["is_flow_step"]) == (
        "flow",
        "u/admin/below_echo",
        True,
    )
    assert (below["parent_job"], below["root_job"]) == (job["id"], job["id"])


async def test_a_sub_flow_runs_its_latest_version(api: Api) -> None:
    for version in (1, 2):
        await deploy_flow(api, "u/admin/below_latest", flow(step("a", py(f"return {version}"))))
        assert await result_of(api, flow(step("s", sub_flow("u/admin/below_latest")))) == version


async def test_results_of_a_sub_flow_do_not_mix_with_its_parents(api: Api) -> None:
    inner = flow(
        step("a", py("return 'inner a'")),
        step("c", py("return [a, b]", a="results.a", b="results.own ?? null")),
    )
    await deploy_flow(api, "u/admin/below_scope", inner)
    definition = flow(
        step("a", py("return 'outer a'")),
        step("s", sub_flow("u/admin/below_scope")),
        step("z", py("return [a, s, c]", a="results.a", s="results.s", c="results.c ?? null")),
    )
    assert await result_of(api, definition) == ["outer a", ["inner a", None], None]


async def test_a_failing_sub_flow_is_a_failed_step(api: Api, outside: Outside) -> None:
    handler = outside.step("return [visit('inner'), e]", e="error.message")
    await deploy_flow(
        api, "u/admin/below_fails", flow(step("a", raising()), failure_module=step("failure", handler))
    )
    outer = outside.step("return [visit('outer'), p]", p="previous_result")
    definition = flow(step("s", sub_flow("u/admin/below_fails")), failure_module=step("failure", outer))
    job = await run_flow(api, definition)
    assert outside.visits == ["inner", "outer"]
    assert (job["success"], job["result"]) == (False, ["ok", ["ok", "no"]])


async def test_a_sub_flow_is_tried_again_as_a_whole(api: Api, outside: Outside) -> None:
    inner = flow(step("a", outside.step("visit('a')")), step("b", outside.step("return visit('b')")))
    await deploy_flow(api, "u/admin/below_retried", inner)
    outside.answer(1, None, 1, 5)
    definition = flow(step("s", sub_flow("u/admin/below_retried"), retry={"constant": {"attempts": 1}}))
    assert await result_of(api, definition) == 5
    assert outside.visits == ["a", "b", "a", "b"]


async def test_a_flow_that_calls_itself_ends_with_an_error(api: Api) -> None:
    path = "u/admin/below_itself"
    await deploy_flow(api, path, flow(step("a", py("return 1"))))
    await deploy_flow(api, path, flow(step("s", sub_flow(path))))
    job = await run_deployed(api, path)
    assert job["success"] is False
    error = job["result"]["error"]
    assert error["name"]
    assert "deep" in error["message"] or "nest" in error["message"]


async def test_a_flow_that_calls_itself_may_come_to_an_end(api: Api) -> None:
    path = "u/admin/below_countdown"
    again = branch(step("s", sub_flow(path, n="flow_input.n - 1")), expr="flow_input.n > 0")
    await deploy_flow(
        api, path, flow(step("b", branch_one(again, default=[step("d", py("return 'ground'"))])))
    )
    assert (await run_deployed(api, path, {"n": 3}))["result"] == "ground"


async def test_what_a_step_names_and_does_not_exist_fails_the_flow_by_name(api: Api) -> None:
    for value, path in (
        (sub_flow("u/admin/below_none"), "u/admin/below_none"),
        (script("u/admin/no_script"), "u/admin/no_script"),
    ):
        job = await run_flow(api, flow(step("s", value), step("b", identity())))
        assert job["success"] is False
        assert path in job["result"]["error"]["message"]
        assert job["flow_status"]["modules"][0]["type"] == "Failure"


async def test_kinds_and_paths_of_a_deployed_flows_jobs(api: Api) -> None:
    path = "u/admin/kinds"
    await api.deploy("u/admin/kinds_script", "def main(n):\n    return n")
    await deploy_flow(api, "u/admin/kinds_flow", flow(step("i", identity())))
    definition = flow(
        step("inline", py("return 1")),
        step("script", script("u/admin/kinds_script", n=static(1))),
        step("sub", sub_flow("u/admin/kinds_flow")),
        step("id", identity()),
        step("one", branch_one(branch(step("b1", identity()), expr="true"), default=[])),
        step("default", branch_one(default=[step("b2", identity())])),
        step(
            "all",
            branch_all(branch(step("b3", identity())), branch(step("b4", py("return 1"))), parallel=False),
        ),
        step("loop", loop([1], step("b5", py("return 1")), step("b6", identity()))),
        step("parallel", loop([1], step("b7", py("return 1")), step("b8", identity()), parallel=True)),
    )
    await deploy_flow(api, path, definition)
    job = await run_deployed(api, path)
    assert (job["success"], job["job_kind"], job["is_flow_step"]) == (True, "flow", False)
    seen = {
        (each["flow_step_id"], each["job_kind"], each.get("script_path"))
        for each in await children(api, job["id"])
        if each["job_kind"] != "identity"
    }
    assert seen == {
        ("inline", "flowscript", f"{path}/inline"),
        ("script", "script", "u/admin/kinds_script"),
        ("sub", "flow", "u/admin/kinds_flow"),
        ("one", "flownode", f"{path}/branchone-1"),
        ("default", "flownode", f"{path}/branchone-0"),
        ("all", "flownode", f"{path}/branchall-0"),
        ("all", "flownode", f"{path}/branchall-1"),
        ("loop", "flownode", f"{path}/loop-0"),
        ("parallel", "flownode", f"{path}/forloop-0"),
    }
    assert (await child(api, job["id"], "id"))["job_kind"] == "identity"
    (branch_job,) = [
        each for each in await children(api, job["id"]) if each.get("script_path") == f"{path}/branchall-1"
    ]
    (inner,) = await children(api, branch_job["id"])
    assert (inner["script_path"], inner["job_kind"]) == (f"{path}/branchall-1/b4", "flowscript")
    assert (inner["parent_job"], inner["root_job"]) == (branch_job["id"], job["id"])
    assert (await api.get(f"jobs_u/get_root_job_id/{inner['id']}")).json() == job["id"]


async def test_kinds_and_paths_of_a_tests_jobs(api: Api) -> None:
    definition: Json = flow(
        step("inline", py("return 1")),
        step("loop", loop([1], step("b", py("return 1")), step("c", identity()))),
    )
    job = await run_flow(api, definition, {}, path="f/some/flow")
    assert (job["job_kind"], job["script_path"]) == ("flowpreview", "f/some/flow")
    assert [(each["job_kind"], each["script_path"]) for each in await children(api, job["id"])] == [
        ("preview", "f/some/flow/inline"),
        ("flowpreview", "f/some/flow/loop-0"),
    ]


async def test_steps_run_as_who_the_flow_runs_as(live: LiveInstance, api: Api) -> None:
    henri, author = await live.member("henri"), await live.member("author")
    await live.folder("acting", u_henri=False, u_author=True)
    who = py("import os\nreturn [os.environ[n] for n in ('WM_USERNAME', 'WM_PERMISSIONED_AS', 'WM_EMAIL')]")
    definition = flow(step("a", branch_all(branch(step("b", who)))))
    await deploy_flow(author, "f/acting/own", definition)
    assert (await run_deployed(henri, "f/acting/own"))["result"] == [
        ["henri", "u/henri", "henri@example.com"]
    ]
    await deploy_flow(author, "f/acting/lent", definition, on_behalf_of_email="author@example.com")
    assert (await run_deployed(henri, "f/acting/lent"))["result"] == [
        ["henri", "u/author", "author@example.com"]
    ]


async def test_a_step_knows_its_flow(api: Api) -> None:
    names = (
        "WM_FLOW_PATH",
        "WM_FLOW_STEP_ID",
        "WM_FLOW_JOB_ID",
        "WM_ROOT_FLOW_JOB_ID",
        "WM_ROOT_JOB_ID",
        "WM_JOB_ID",
    )
    reads = py(f"import os\nreturn {{n: os.environ[n] for n in {names!r}}}")
    path = "u/admin/knows_itself"
    await deploy_flow(api, path, flow(step("l", loop([1], step("a", reads), step("b", identity())))))
    job = await run_deployed(api, path)
    (iteration,) = await children(api, job["id"])
    first, _ = await children(api, iteration["id"])
    assert job["result"] == [
        {
            "WM_FLOW_PATH": path,
            "WM_FLOW_STEP_ID": "a",
            "WM_FLOW_JOB_ID": iteration["id"],
            "WM_ROOT_FLOW_JOB_ID": job["id"],
            "WM_ROOT_JOB_ID": job["id"],
            "WM_JOB_ID": first["id"],
        }
    ]


async def test_the_tag_of_a_sub_flow_may_name_its_arguments(api: Api) -> None:
    inner = flow(step("a", py("return 1")), step("b", identity()))
    await deploy_flow(api, "u/admin/below_tagged", inner, tag="$workspace-$args[size]")
    definition = flow(
        step("s", sub_flow("u/admin/below_tagged", size=static("big"))),
        step("l", loop([1, 2], step("t", sub_flow("u/admin/below_tagged", size="flow_input.iter.value")))),
    )
    job = await run_flow(api, definition)
    assert job["success"] is True, job["result"]
    assert await _tags(api, await child(api, job["id"], "s")) == ("main-big", {"main-big"})
    bodies = [entry for entry in await children(api, job["id"]) if entry["flow_step_id"] == "l"]
    below = [await child(api, body["id"], "t") for body in bodies]
    assert sorted([await _tags(api, entry) for entry in below]) == [
        ("main-1", {"main-1"}),
        ("main-2", {"main-2"}),
    ]


async def test_a_tag_of_the_flow_around_is_that_of_sub_flows_and_bodies(api: Api) -> None:
    inner = flow(step("a", py("return 1")))
    await deploy_flow(api, "u/admin/below_untagged", inner)
    await deploy_flow(api, "u/admin/below_own_tag", inner, tag="own")
    definition = flow(
        step("s", sub_flow("u/admin/below_untagged")),
        step("o", sub_flow("u/admin/below_own_tag")),
        step("l", branch_one(default=[step("t", sub_flow("u/admin/below_untagged"))])),
    )
    for tag, preserve, tags in (
        ("flow", False, ["flow", "own", "flow"]),
        ("flow-main", False, ["flow", "own", "flow-main"]),
        ("wide", False, ["wide", "wide", "wide"]),
        ("wide", True, ["wide", "own", "wide"]),
    ):
        job = await run_flow(api, definition | {"preserve_step_tags": preserve}, tag=tag)
        assert job["success"] is True, job["result"]
        assert [(await child(api, job["id"], name))["tag"] for name in "sol"] == tags
        below = await child(api, (await child(api, job["id"], "l"))["id"], "t")
        assert await _tags(api, below) == (("wide", {"wide"}) if tag == "wide" else ("flow", {"python3"}))


async def test_a_preprocessor_keeps_its_tag_in_a_flow_with_a_tag(api: Api) -> None:
    prepare = raw("def preprocessor(event):\n    return {}")
    for own, expected in (("own", "own"), (None, "python3"), (" ", "python3")):
        definition = flow(
            step("a", py("return 1") | {"tag": own}),
            preprocessor_module=step("preprocessor", prepare | {"tag": own}),
        )
        await deploy_flow(api, "u/admin/below_prepared", definition, tag="wide")
        job = await run_deployed(api, "u/admin/below_prepared")
        assert job["success"] is True, job["result"]
        tags = {entry["flow_step_id"]: entry["tag"] for entry in await children(api, job["id"])}
        assert tags == {"preprocessor": expected, "a": "wide"}


async def _tags(api: Api, job: Json) -> tuple[str, set[str]]:
    """The tag of a flow job, and those of its scripts."""
    scripts = [entry for entry in await children(api, job["id"]) if entry["job_kind"] != "identity"]
    return job["tag"], {entry["tag"] for entry in scripts}
