"""What steps and flows return, and how expressions find it (compat facts, flows 1.5-1.7 and 2.2)."""

import json
from typing import Any

import pytest

from tests.integration.flows.building import (
    NIL,
    Json,
    branch,
    branch_all,
    branch_one,
    child,
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
    start_flow,
    static,
    step,
    while_loop,
)
from tests.integration.flows.outside import Outside
from tests.integration.live_instance import Api

ITEM = "flow_input.iter.value"
DOUBLE = step("c", py("return n * 2", n=ITEM))
INNER = step("in", py("return n + 1", n=ITEM))
PAIR = py("return [x, y]", x="flow_input.iter_parent.value", y=ITEM)

SHAPES: list[tuple[str, Json, Any, Any]] = [
    ("empty flow", flow(), {"x": 1, "a": [None]}, {"x": 1, "a": [None]}),
    ("identity first", flow(step("a", identity())), {"x": 1}, {"x": 1}),
    ("null", flow(step("a", py("return None"))), {}, None),
    ("a loop without a body", flow(step("a", loop([1, 2]))), {}, []),
    ("a loop of many steps", flow(step("a", loop([1, 2], DOUBLE, step("d", identity())))), {}, [2, 4]),
    ("a loop of identities", flow(step("a", loop([7, 8], step("b", identity())))), {"n": 1},
     [{"n": 1, "iter": {"index": 0, "value": 7}}, {"n": 1, "iter": {"index": 1, "value": 8}}]),
    ("a parallel loop keeps the order", flow(step("a", loop([3, 1, 2], DOUBLE, parallel=True))), {}, [6, 2, 4]),
    ("at most two at once", flow(step("a", loop([1, 2, 3], DOUBLE, parallel=True, parallelism=2))), {}, [2, 4, 6]),
    ("a loop in a loop", flow(step("a", loop([1, 2], step("b", loop([3, 4], step("c", PAIR)))))), {},
     [[[1, 3], [1, 4]], [[2, 3], [2, 4]]]),
    ("a loop in a loop of many steps",
     flow(step("a", loop([1, 2], step("b", loop([3], step("c", PAIR), step("d", identity()))), step("e", identity())))),
     {}, [[[1, 3]], [[2, 3]]]),
    ("branchone without steps", flow(step("a", py("return 7")), step("b", branch_one(default=[]))), {}, 7),
    ("branchone takes the first that is true",
     flow(step("b", branch_one(branch(step("c", py("return 1")), expr="flow_input.n > 1"),
                               branch(step("d", py("return 2")), expr="flow_input.n > 0"), default=[]))), {"n": 1}, 2),
    ("branchone: a predicate is truthy or not",
     flow(step("b", branch_one(branch(step("c", py("return 1")), expr="''"), branch(step("d", py("return 2")),
                               expr="'x'"), default=[]))), {}, 2),
    ("branchall without branches", flow(step("b", branch_all())), {}, []),
    ("a branch without steps", flow(step("b", branch_all(branch(), branch(step("c", py("return 1")))))), {"x": 1},
     [{"x": 1}, 1]),
    ("a mock", flow(step("a", raising(), mock={"enabled": True, "return_value": {"m": [1]}}), step("b", identity())),
     {}, {"m": [1]}),
    ("a mock without a value", flow(step("a", loop("no such", DOUBLE), mock={"enabled": True})), {}, None),
    ("a mock that is off", flow(step("a", py("return 3"), mock={"enabled": False, "return_value": 4})), {}, 3),
    ("a while loop", flow(step("a", while_loop(step("b", py("return i", i="flow_input.iter.index"))),
                               stop_after_if={"expr": "result == 3"})), {}, [0, 1, 2, 3]),
    ("all_iters", flow(step("a", loop([5, 6, 7], DOUBLE), stop_after_if={"expr": "all_iters.length == 2"})), {},
     [10, 12]),
    ("inputs are not inherited", flow(step("a", raw("def main(**given):\n    return given", m="flow_input.n"))),
     {"n": 1, "x": 2}, {"m": 1}),
    ("the flow's own input",
     flow(step("a", raw("def main(x, y=3):\n    return [x, y]"), pass_flow_input_directly=True)), {"x": 1}, [1, 3]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("definition", "args", "result"), [case[1:] for case in SHAPES], ids=[case[0] for case in SHAPES]
)
async def test_a_flow_returns(api: Api, definition: Json, args: Any, result: Any) -> None:
    assert await result_of(api, definition, args) == result


VALUE = {"list": [{"b": 1}, {"b": 2}], "deep": {"x": None}, "text": "t", "a-b": 4}
EXPRESSIONS: list[tuple[str, Any]] = [
    ("results.a.list[1].b", 2),
    ("results.a.list", [{"b": 1}, {"b": 2}]),
    ("results['a'].text", "t"),
    ('results["a"]["a-b"]', 4),
    ("results?.a?.text", "t"),
    ("results.a.list.map(x => x.b * 10)", [10, 20]),
    ("results.a.list.length + results.a.text", "2t"),
    ("results.a.missing", None),
    ("results.a.missing.more", None),
    ("results.nope", None),
    ("results.nope ?? 'x'", "x"),
    ("results.nope?.x ?? results.a.text", "t"),
    ("previous_result.deep", {"x": None}),
    ("flow_input.n", 1),
    ('flow_input["n"]', 1),
    ("flow_input.missing", None),
    ("flow_input.deep.er", 5),
    ("flow_env.name", "E"),
    ("flow_env.missing", None),
    ("undefined", None),
    ("null", None),
    ("", None),
    ("{a: 1, b: [flow_input.n]}", {"a": 1, "b": [1]}),
    ("'a;b'", "a;b"),
    ("return flow_input.n + 1", 2),
    ("const x = results.a.text; return x + x", "tt"),
    ("let x = 3; x", None),
    ("if (flow_input.n == 1) { return 'one' } else { return 'other' }", "one"),
    ("for (const x of results.a.list) { if (x.b == 2) return x }", {"b": 2}),
    ("`${results.a.text} ${flow_input.n}`", "t 1"),
    ("new Date(0)", "1970-01-01T00:00:00.000Z"),
    ("9007199254740991", 9007199254740991),
    ("[resume, resumes, approvers]", [None, [], []]),
    ("Object.keys(params)", []),
]


@pytest.mark.parametrize(("expr", "value"), EXPRESSIONS, ids=[case[0] or "empty" for case in EXPRESSIONS])
async def test_an_expression_comes_to(api: Api, expr: str, value: Any) -> None:
    definition = flow(
        step("a", py(f"return {VALUE!r}")),
        step("b", py("return given", given=js(expr))),
        flow_env={"name": "E"},
    )
    assert await result_of(api, definition, {"n": 1, "deep": {"er": 5}}) == value


async def test_the_first_step_sees_the_arguments_as_the_previous_result(api: Api) -> None:
    first = py("return [p, q]", p="previous_result.n", q="previous_result")
    assert await result_of(api, flow(step("a", first)), {"n": 4}) == [4, {"n": 4}]


async def test_variables_and_resources_in_expressions_and_values(api: Api) -> None:
    variable = {"path": "u/admin/results_secret", "value": "v", "is_secret": True, "description": ""}
    assert (await api.post("variables/create", variable)).status_code == 201
    resource = {
        "path": "u/admin/results_thing",
        "resource_type": "any",
        "value": {"a": "$var:u/admin/results_secret"},
    }
    assert (await api.post("resources/create", resource)).status_code == 201
    inputs: Json = {
        "v": "variable('u/admin/results_secret')",
        "r": "resource('u/admin/results_thing').a",
        "s": static({"in": "$var:u/admin/results_secret"}),
        "t": static("$res:u/admin/results_thing"),
    }
    job = await run_flow(api, flow(step("a", py("return [v, r, s, t]", **inputs))))
    assert job["result"] == ["v", "v", {"in": "v"}, {"a": "v"}]
    args = (await child(api, job["id"], "a"))["args"]
    assert args["t"] == "$res:u/admin/results_thing", (
        "references are stored as they are, not what they stand for"
    )


async def test_an_ai_input_gives_nothing(api: Api) -> None:
    value = raw("def main(n=5):\n    return n", n={"type": "ai"})
    assert await result_of(api, flow(step("a", value))) == 5


async def test_a_value_without_a_value_is_null(api: Api) -> None:
    assert await result_of(api, flow(step("a", py("return [n]", n={"type": "static"})))) == [None]


async def test_json_passes_through_a_flow_byte_for_byte(api: Api) -> None:
    result = '[{"b":"first","a":"second"},1.0,10000000000000000000000000000001]'
    body = 'return [{"b": "first", "a": "second"}, 1.0, 10**31 + 1]'
    passing = py(
        "assert list(given[0]) == ['b', 'a'] and given[2] == 10**31 + 1\nreturn given", given="results.a"
    )
    definition = flow(
        step("a", py(body)), step("b", passing), step("c", branch_one(default=[])), step("d", identity())
    )
    job_id = await start_flow(api, definition)
    await api.ended(job_id)
    assert (await api.get(f"jobs_u/completed/get_result/{job_id}")).text == result
    assert f'"result":{result}' in (await api.get(f"jobs_u/completed/get_result_maybe/{job_id}")).text


async def test_an_expression_keeps_the_order_of_keys_and_whole_numbers(api: Api) -> None:
    body = "return [{'z': 1, 'a': 2, 'm': 3}, 2**53 - 1]"
    definition = flow(
        step("a", py(body)),
        step("b", py("return [list(keys), list(own), n]", keys="results.a[0]", own="({...results.a[0], b: 1})",
                     n="results.a.map(x => x)[1]")),
    )  # fmt: skip
    assert await result_of(api, definition) == [["z", "a", "m"], ["z", "a", "m", "b"], 2**53 - 1]


async def test_a_mock_is_a_job_without_a_process(api: Api) -> None:
    job = await run_flow(api, flow(step("a", raising(), mock={"enabled": True, "return_value": 1})))
    assert (await child(api, job["id"], "a"))["job_kind"] == "identity"
    assert modules_of(job)["a"]["type"] == "Success"


@pytest.mark.parametrize(
    ("condition", "skipped"),
    [("result == 1", True), ("previous_result == 1", True), ("results.a == 2", False)],
)
async def test_a_skipped_step_passes_the_result_on(api: Api, condition: str, skipped: bool) -> None:
    definition = flow(
        step("a", py("return 1")),
        step("b", py("return 'b'"), skip_if={"expr": condition}),
        step("c", py("return [p, r]", p="previous_result", r="results.b")),
    )
    job = await run_flow(api, definition)
    assert job["result"] == ([1, 1] if skipped else ["b", "b"])
    module = modules_of(job)["b"]
    assert (module["type"], module["skipped"]) == ("Success", skipped)


async def test_a_skipped_first_step_passes_the_arguments_on(api: Api, outside: Outside) -> None:
    skipped = step(
        "a", loop([1], step("b", outside.step("visit('b')"))), skip_if={"expr": "flow_input.n == 1"}
    )
    assert await result_of(api, flow(skipped), {"n": 1}) == {"n": 1}
    assert outside.visits == []


async def test_a_chosen_branch_without_steps_has_no_job(api: Api) -> None:
    chosen = branch_one(branch(expr="true"), default=[step("c", raising())])
    job = await run_flow(api, flow(step("a", py("return 7")), step("b", chosen)))
    assert job["result"] == 7
    module = modules_of(job)["b"]
    assert (module["type"], module["job"], module["branch_chosen"]) == (
        "Success",
        NIL,
        {"type": "branch", "branch": 0},
    )


async def test_a_whole_flow_is_skipped(api: Api, outside: Outside) -> None:
    definition = flow(step("a", outside.step("return visit('a')")), skip_expr="flow_input.n == 1")
    job = await run_flow(api, definition, {"n": 1})
    assert (job["success"], job["is_skipped"], outside.visits) == (True, True, [])
    assert await result_of(api, definition, {"n": 2}) == "ok"


LOOKUPS: list[tuple[str, Json, Any]] = [
    ("a step in a branch that has ended",
     flow(step("x", branch_one(default=[step("in", py("return 1")), step("out", py("return 2"))])),
          step("z", py("return [i, o, x]", i="results.in", o="results.out", x="results.x"))), [1, 2, 2]),
    ("a step in a loop that has ended: its last iteration",
     flow(step("x", loop([1, 2], INNER, step("o", identity()))), step("z", py("return i", i="results.in"))), 3),
    ("a step of this iteration",
     flow(step("x", loop([1, 2], INNER, step("o", py("return n", n="results.in"))))), [2, 3]),
    ("a step of the iteration before",
     flow(step("x", loop([1, 2, 3], step("f", py("return n + t", n=ITEM, t="results.t ?? 0")),
                         step("t", py("return f", f="results.f"))))), [1, 3, 6]),
    ("an enclosing step from a parallel loop",
     flow(step("a", py("return 5")),
          step("x", loop([1, 2], step("b", py("return [n, i]", n="results.a", i=ITEM)), step("o", identity()),
                         parallel=True))), [[5, 1], [5, 2]]),
    ("an enclosing step from a branch in a loop",
     flow(step("a", py("return 5")),
          step("x", loop([1], step("y", branch_one(default=[step("b", py("return n", n="results.a"))]))))), [5]),
    ("a loop by id is its array", flow(step("x", loop([1, 2], INNER)), step("m", identity()),
                                       step("z", py("return x", x="results.x"))), [2, 3]),
    ("branches by id are their array",
     flow(step("x", branch_all(branch(step("b", py("return 1"))), branch(step("c", py("return 2"))))),
          step("m", py("return 0")), step("z", py("return [x, c]", x="results.x", c="results.c"))), [[1, 2], 2]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("definition", "result"), [case[1:] for case in LOOKUPS], ids=[case[0] for case in LOOKUPS]
)
async def test_results_are_found(api: Api, definition: Json, result: Any) -> None:
    assert await result_of(api, definition) == result


async def test_a_while_loop_fails_with_what_it_has(api: Api) -> None:
    body = step("b", py("return 1 // (2 - i)", i="flow_input.iter.index"))
    job = await run_flow(api, flow(step("a", while_loop(body))))
    assert (job["success"], job["result"][:2], len(job["result"])) == (False, [0, 1], 3)
    assert job["result"][2]["error"]["name"] == "ZeroDivisionError"
    assert json.dumps(job["flow_status"]).count('"while_loop"') == 0, "only while it runs"
