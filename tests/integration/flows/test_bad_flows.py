"""Flows that are wrong, endless, huge or deep: each is refused by name, or ends with a clear error."""

import json
from typing import Any

import pytest

from tests.integration.flows.building import (
    Json,
    branch,
    branch_all,
    branch_one,
    child,
    children,
    failure_of,
    flow,
    identity,
    js,
    loop,
    modules_of,
    py,
    raising,
    raw,
    result_of,
    run_flow,
    static,
    step,
    while_loop,
)
from tests.integration.flows.outside import Outside
from tests.integration.live_instance import Api, LiveInstance

AGENT = {"type": "aiagent", "input_transforms": {}, "tools": []}
INNER_AGENT = step("outer", branch_one(branch(step("agent", AGENT), expr="true"), default=[]))
ONE = step("a", py("return 1"))


def retrying(retry: Json) -> Json:
    return flow(step("tries", py("return 1"), retry=retry))


REFUSED: list[tuple[str, Any, list[str]]] = [
    ("two steps of one id", flow(ONE, ONE), ["'a'"]),
    ("an id twice at different depths", flow(ONE, step("b", loop([1], ONE))), ["'a'"]),
    ("a reserved id", flow(step("failure", identity())), ["'failure'"]),
    ("an agent", flow(step("agent", AGENT)), ["aiagent", "'agent'"]),
    ("an agent in a branch", flow(ONE, INNER_AGENT), ["aiagent", "'agent'", "$.modules[1]"]),
    ("an unknown kind of step", flow(step("x", {"type": "teleport"})), ["teleport", "'x'"]),
    ("a step without a kind", flow(step("x", {})), ["type", "'x'"]),
    ("a step without a value", flow({"id": "x"}), ["value"]),
    ("an unknown language", flow(step("x", {**py("return 1"), "language": "cobol"})), ["cobol", "'x'"]),
    ("an unknown setting of a step", flow(step("x", identity(), colour="red")), ["colour"]),
    ("an unknown setting of the flow", flow(ONE, colour="red"), ["colour"]),
    ("an unknown kind of input", flow(step("x", py("return n", n={"type": "psychic"}))), ["psychic", "'x'"]),
    ("a loop without an iterator", flow(step("x", {"type": "forloopflow", "modules": []})), ["iterator", "'x'"]),
    ("a loop filled in by an agent", flow(step("x", loop({"type": "ai"}, ONE))), ["AI input transform", "'x'"]),
    ("no modules", {"same_worker": True}, ["modules"]),
    ("modules that are no list", {"modules": {}}, ["modules"]),
    ("no object", [], ["flow"]),
    ("null", None, ["flow"]),
    ("tries that never come closer", retrying({"exponential": {"attempts": 2, "seconds": 0}}), ["'tries'", "seconds"]),
    ("fewer tries than none", retrying({"constant": {"attempts": -1}}), ["'tries'"]),
    ("more chance than certainty",
     retrying({"exponential": {"attempts": 1, "seconds": 1, "random_factor": 101}}), ["'tries'", "random_factor"]),
    ("a failure module that is a loop", flow(ONE, failure_module=step("f", loop([1], ONE))), ["failure module"]),
    ("an early return of no step", flow(ONE, early_return="nope"), ["'nope'"]),
    ("a flow that debounces", flow(ONE, debounce_delay_s=5), ["debounce_delay_s"]),
    ("a chat", flow(ONE, chat_input_enabled=True), ["chat_input_enabled"]),
]  # fmt: skip


@pytest.mark.parametrize(("value", "says"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
async def test_a_wrong_flow_is_refused_by_name_and_place(api: Api, value: Any, says: list[str]) -> None:
    envelope = {"path": "u/admin/bad_refused", "summary": "", "value": value, "schema": {}}
    for answer in (
        await api.post("jobs/run/preview_flow", {"value": value, "args": {}}),
        await api.post("flows/create", envelope),
    ):
        assert answer.status_code == 400, answer.text
        assert [text for text in says if text not in answer.text] == []
    assert (await api.get("flows/exists/u/admin/bad_refused")).json() is False


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'"x"', b'{"args":{}}', b'{"value":{"modules":[]},"args":[1]}']
)
async def test_a_body_that_starts_no_flow_is_refused(api: Api, body: bytes) -> None:
    answer = await api.post_raw("jobs/run/preview_flow", body, "application/json")
    assert answer.status_code == 400


async def test_missing_ids_are_filled_in(api: Api) -> None:
    definition = flow(
        {"value": py("return 1")}, step("a", py("return 2")), {"value": loop([1], {"value": identity()})}
    )
    job = await run_flow(api, definition)
    assert job["success"] is True
    ids = [module["id"] for module in job["flow_status"]["modules"]]
    assert len(set(ids)) == 3
    assert ids[1] == "a"
    assert all(ids)


ITERATORS: list[tuple[Any, str]] = [
    (js("flow_input"), "map"),
    (js("'abc'"), 'string "abc"'),
    (js("3"), "integer `3`"),
    (js("true"), "boolean `true`"),
    (js("undefined"), "null"),
    (static({"a": 1}), "map"),
    (js("results.nope"), "null"),
]


@pytest.mark.parametrize(("iterator", "kind"), ITERATORS)
async def test_an_iterator_that_is_no_array(api: Api, iterator: Json, kind: str) -> None:
    error = (await failure_of(api, flow(step("l", loop(iterator, ONE)))))["error"]
    assert (
        f"Expected an array value in the iterator expression, found: invalid type: {kind}" in error["message"]
    )
    assert error["step_id"] == "l"


NO_NUMBERS: list[Json] = [
    step("b", py("return 1"), timeout=-1),
    step("b", py("return 1"), timeout=static("soon")),
    step("b", py("return 1"), timeout=js("[1]")),
    step("b", loop([1], ONE, parallel=True, parallelism=-3)),
    step("b", loop([1], ONE, parallel=True, parallelism=static("2"))),
    step("b", loop([1], ONE, parallel=True, parallelism=js("({})"))),
]


@pytest.mark.parametrize("first", NO_NUMBERS)
async def test_a_setting_that_is_no_number_fails_the_step(api: Api, first: Json) -> None:
    error = (await failure_of(api, flow(first)))["error"]
    assert error["message"].startswith("Expected an integer, found: ")
    assert error["step_id"] == "b"


async def test_groups_that_are_no_groups_let_nobody_pass(api: Api, outside: Outside) -> None:
    rules = {"required_events": 1, "user_groups_required": js("5")}
    error = (
        await failure_of(
            api, flow(step("a", py("return 1"), suspend=rules), step("b", outside.step("visit('b')")))
        )
    )["error"]
    assert "user_groups_required" in error["message"]
    assert outside.visits == []


MISTAKES: list[tuple[str, str, str]] = [
    ("def main(x):\n    return x", "TypeError", "'x'"),
    ("x = 1", "ValueError", "main function is missing"),
    ("def main(:", "SyntaxError", "invalid syntax"),
    ("import no_such_module\ndef main(): pass", "ModuleNotFoundError", "no_such_module"),
]


@pytest.mark.parametrize(("code", "name", "says"), MISTAKES)
async def test_a_mistake_in_a_script_fails_its_step(api: Api, code: str, name: str, says: str) -> None:
    error = (await failure_of(api, flow(step("a", raw(code)), step("b", identity()))))["error"]
    assert (error["name"], error["step_id"]) == (name, "a")
    assert says in error["message"]


@pytest.mark.parametrize("inputs", [{"n": static("$var:u/admin/none")}, {"n": "variable('u/admin/none')"}])
async def test_a_variable_nobody_has_fails_the_step_by_name(api: Api, inputs: Json) -> None:
    error = (await failure_of(api, flow(step("a", py("return n", **inputs)))))["error"]
    assert "Variable u/admin/none not found" in error["message"]
    assert error["step_id"] == "a"


async def test_a_thousand_steps(api: Api) -> None:
    job = await run_flow(api, flow(*(step(f"s{n}", identity()) for n in range(1000))), {"x": 1})
    assert (job["success"], job["result"], job["flow_status"]["step"]) == (True, {"x": 1}, 1000)
    assert {module["type"] for module in job["flow_status"]["modules"]} == {"Success"}


async def test_twenty_levels(api: Api) -> None:
    nested = step("leaf", py("return n", n="results.top"))
    for depth in range(20):
        nested = step(
            f"d{depth}",
            branch_one(default=[nested]) if depth % 2 else loop([1], nested, step(f"o{depth}", identity())),
        )
    result = await result_of(api, flow(step("top", py("return 'top'")), nested))
    for _ in range(10):
        (result,) = result
    assert result == "top"


async def test_deeper_than_any_flow_is_refused(api: Api) -> None:
    nested = ONE
    for depth in range(60):
        nested = step(f"d{depth}", branch_one(default=[nested]))
    answer = await api.post("jobs/run/preview_flow", {"value": flow(nested)})
    assert answer.status_code == 400
    assert "nested" in answer.text


async def test_a_hundred_thousand_items(api: Api) -> None:
    items = "Array.from({length: 100000}, (_, n) => n)"
    body = step("b", py("return n * 2", n="flow_input.iter.value"))
    definition = flow(
        step("broken_off", loop(items, body), stop_after_if={"expr": "result == 6"}),
        step("empty", loop(items)),
        step("z", py("return [b, e]", b="results.broken_off", e="results.empty")),
    )
    job = await run_flow(api, definition)
    assert (job["success"], job["result"]) == (True, [[0, 2, 4, 6], []])
    assert len(json.dumps(job["flow_status"])) < 20_000


async def test_a_long_parallel_loop(api: Api) -> None:
    body = step("b", py("return n + 1", n="flow_input.iter.value"))
    definition = flow(step("l", loop("Array.from({length: 300}, (_, n) => n)", body, parallel=True)))
    job = await run_flow(api, definition)
    assert job["result"] == list(range(1, 301))
    assert len(modules_of(job)["l"]["flow_jobs"]) == 300


async def test_an_endless_loop_ends_when_it_is_cancelled(api: Api, outside: Outside) -> None:
    forever = flow(step("w", while_loop(step("v", outside.step("visit(str(i))", i="flow_input.iter.index")))))
    answer = await api.post("jobs/run/preview_flow", {"value": forever})
    await outside.visited("3")
    await api.cancel(answer.text)
    assert (await api.ended(answer.text))["canceled"] is True
    ended = [await api.ended(each["id"]) for each in await children(api, answer.text)]
    assert len(ended) >= 3


async def test_a_cancelled_flow_starts_nothing_more(api: Api, outside: Outside) -> None:
    names = [str(n) for n in range(12)]
    outside.hold(*names)
    body = outside.step("visit(n)", n="flow_input.iter.value")
    value = flow(step("l", loop(names, step("b", body), parallel=True, parallelism=static(3))), ONE)
    job_id = (await api.post("jobs/run/preview_flow", {"value": value})).text
    await outside.visited("0", "1", "2")
    await api.cancel(job_id)
    assert (await api.ended(job_id))["canceled"] is True
    ended = [await api.ended(each["id"]) for each in await children(api, job_id)]
    assert {job["canceled"] for job in ended} == {True}
    assert sorted(outside.visits) == ["0", "1", "2"]


async def test_a_language_no_worker_has_fails_the_step_by_name(api: Api) -> None:
    value = {**py("return 1"), "language": "rlang"}
    error = (await failure_of(api, flow(step("a", value))))["error"]
    assert "rlang" in error["message"]
    assert error["step_id"] == "a"


async def test_a_result_no_json_can_hold_fails_its_step(api: Api) -> None:
    error = (await failure_of(api, flow(step("a", py("return object()")), step("b", identity()))))["error"]
    assert (error["name"], error["step_id"]) == ("TypeError", "a")


async def test_a_process_that_dies_fails_its_step(api: Api) -> None:
    for way in ("import os\nos._exit(3)", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"):
        job = await run_flow(api, flow(step("a", py(way)), step("b", identity())))
        assert (job["success"], job["result"]["error"]["step_id"]) == (False, "a")
        assert (await child(api, job["id"], "a"))["success"] is False


async def test_every_branch_failing_is_one_failure(api: Api) -> None:
    branches = branch_all(*(branch(step(f"b{n}", raising(f"no {n}"))) for n in range(4)))
    result = await failure_of(api, flow(step("x", branches)))
    assert [entry["error"]["message"] for entry in result] == [f"no {n}" for n in range(4)]


async def test_an_operator_may_not_test_flows(live: LiveInstance) -> None:
    operator = await live.member("olga", "operator")
    assert (await operator.post("jobs/run/preview_flow", {"value": flow(ONE)})).status_code == 403
