"""Expressions that are wrong, endless, greedy or curious (compat facts, flows 1.5 and 1.6)."""

import json

import pytest

from tests.integration.flows.building import (
    Json,
    branch,
    branch_one,
    failure_of,
    flow,
    identity,
    js,
    loop,
    py,
    result_of,
    run_flow,
    start_flow,
    step,
)
from tests.integration.live_instance import Api

ONE = step("a", py("return 1"))

BROKEN: list[tuple[str, Json]] = [
    ("an input", flow(step("b", py("return n", n="1 +")))),
    ("a statement", flow(step("b", py("return n", n="const = 3;")))),
    ("an iterator", flow(step("b", loop("1 +", ONE)))),
    ("an input of an iteration", flow(step("b", loop([1], step("i", py("return n", n="1 +")), skip_failures=False)))),
    ("a predicate", flow(step("b", branch_one(branch(expr="1 +"), default=[])))),
    ("a skip", flow(step("b", identity(), skip_if={"expr": "1 +"}))),
    ("a skip of the flow", flow(step("b", identity()), skip_expr="1 +")),
    ("a stop", flow(step("b", identity(), stop_after_if={"expr": "1 +"}))),
    ("a stop after all", flow(step("b", loop([1], ONE), stop_after_all_iters_if={"expr": "1 +"}))),
    ("a sleep", flow(step("b", identity(), sleep=js("1 +")), step("c", identity()))),
    ("a timeout", flow(step("b", py("return 1"), timeout=js("1 +")))),
    ("a parallelism", flow(step("b", loop([1], ONE, parallel=True, parallelism=js("1 +"))))),
    ("an error thrown", flow(step("b", py("return n", n="throw new Error('mine')")))),
    ("a name nobody knows", flow(step("b", py("return n", n="nobody.knows.this")))),
    ("a value that is no JSON", flow(step("b", py("return n", n="const x = {}; x.x = x; return x")))),
]  # fmt: skip


@pytest.mark.parametrize("definition", [case[1] for case in BROKEN], ids=[case[0] for case in BROKEN])
async def test_a_broken_expression_fails_the_flow(api: Api, definition: Json) -> None:
    result = await failure_of(api, definition)
    assert "Error during isolated evaluation of expression `" in json.dumps(result)


async def test_a_broken_expression_is_handled(api: Api) -> None:
    definition = flow(
        step("b", branch_one(branch(expr="1 +"), default=[])),
        failure_module=step("failure", py("return {'recover': True, 'm': m}", m="error.message")),
    )
    job = await run_flow(api, definition)
    assert job["success"] is True
    assert "`1 +`" in job["result"]["m"]


@pytest.mark.parametrize(
    "expr",
    [
        "'x'.repeat(2**28).split('')",
        "(() => { const a = []; for (;;) a.push(new Array(1000).fill(1)) })()",
        "(function f() { return f() + 1 })()",
    ],
    ids=["a long array", "a growing array", "a recursion"],
)
async def test_an_expression_that_wants_too_much_fails_its_step_only(api: Api, expr: str) -> None:
    error = (await failure_of(api, flow(step("a", py("return n", n=expr)))))["error"]
    assert error["message"].startswith("Error during isolated evaluation of expression `")
    assert await result_of(api, flow(step("a", py("return n", n="[1, 2].length")))) == 2


@pytest.mark.parametrize(
    "value",
    [
        "process.env",
        "require('fs')",
        "fetch('http://127.0.0.1')",
        "import('fs')",
        "globalThis.std",
        "os.now()",
    ],
)
async def test_an_expression_reaches_nothing_outside(api: Api, value: str) -> None:
    job = await run_flow(api, flow(step("a", py("return n", n=value))))
    assert job["success"] is False or job["result"] in (None, {})


async def test_an_endless_expression_is_ended_while_others_go_on(api: Api) -> None:
    endless = flow(step("a", py("return n", n="while (true) {}")))
    left = await start_flow(api, endless)
    for n in range(3):
        expr = f"[{n}].map(x => x + 1)[0]"
        assert await result_of(api, flow(step("a", py("return n", n=expr)))) == n + 1
    cancelled = await start_flow(api, endless)
    assert (await api.cancel(cancelled)).text == cancelled
    job = await api.ended(left)
    assert (job["success"], job["canceled"]) == (False, False)
    assert "took too long to execute (>20000ms)" in job["result"]["error"]["message"]
    assert (await api.ended(cancelled))["canceled"] is True


async def test_an_expression_cannot_change_what_others_see(api: Api) -> None:
    spoils = (
        "(() => { Array.prototype.map = () => 'spoilt'; flow_input.n = 9; globalThis.left = 1; return 0 })()"
    )
    definition = flow(
        step("a", py("return n", n=spoils)),
        step("b", py("return [m, n, left]", m="[1].map(x => x)", n="flow_input.n", left="typeof left")),
    )
    assert await result_of(api, definition, {"n": 1}) == [[1], 1, "undefined"]
