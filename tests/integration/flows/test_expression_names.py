"""Names that JavaScript, Python or JSON give a meaning of their own, as ids, keys and values."""

from typing import Any

import pytest

from tests.integration.flows.building import flow, identity, js, loop, py, raw, result_of, static, step
from tests.integration.live_instance import Api

LIST = {"list": [[1, 2], "abc"], "0": "zero", "length": 9, "": "empty", "ключ": "value", "a.b": 1, "$": 2}
NAMES: list[tuple[str, Any]] = [
    ("results.a.list.length", 2),
    ("results.a.list[1].length", 3),
    ("results.a.list[0][1]", 2),
    ("results.a.list[7]", None),
    ("results.a.list[7].x", None),
    ("results.a.list[0].x", None),
    ("results.a.length", 9),
    ("results.a['']", "empty"),
    ("results.a.ключ", "value"),
    ("results.a['a.b']", 1),
    ("results.a.$", 2),
    ("results.a['0']", "zero"),
    ("results.a[0]", "zero"),
    ("  results.a.list  ", LIST["list"]),
    ("results.a . length", 9),
    ("results.toString", None),
    ("results.constructor", None),
    ("results.__proto__", None),
    ("results.hasOwnProperty ?? 'none'", "none"),
    ("results.a.toString", None),
    ("flow_input.constructor", None),
    ("flow_input.__proto__.x", None),
    ("'results.a'", "results.a"),
    ("`${'results.a'}`", "results.a"),
    ("results.a.list.map(results => results.length)", [2, 3]),
    ("[results.a, results.nope].length", 2),
    ("results.a.list[0].concat(results.a.list)", [1, 2, [1, 2], "abc"]),
    ("/* results.nope */ 1", 1),
    ("1 // results.a", 1),
    ("await results.a.length", 9),
    ("(await results.a).length", 9),
    ("typeof results.a.list", "object"),
    ("flow_input.text == results.a.list[1]", True),
    ("\n1 +\n  1\n", 2),
    ("0.1 + 0.2", 0.30000000000000004),
    ("NaN", None),
    ("[undefined, () => 1, Infinity]", [None, None, None]),
    ("'\\u2028 \\ud83d\\ude00 \"'", '\u2028 😀 "'),
]


@pytest.mark.parametrize(("expr", "value"), NAMES, ids=[case[0].strip() for case in NAMES])
async def test_a_name_stands_for(api: Api, expr: str, value: Any) -> None:
    definition = flow(step("a", py(f"return {LIST!r}")), step("b", py("return given", given=js(expr))))
    assert await result_of(api, definition, {"text": "abc"}) == value


@pytest.mark.parametrize(
    "module_id", ["constructor", "toString", "my_step", "length", "a1", "x" * 60, "class", "null", "results"]
)
async def test_a_step_may_be_called(api: Api, module_id: str) -> None:
    definition = flow(
        step(module_id, py("return {'x': 1}")),
        step("z", py("return [a, b, c]", a=f"results.{module_id}.x", b=f"results['{module_id}'].x",
                     c=f"[results.{module_id}].map(r => r.x)[0]")),
    )  # fmt: skip
    assert await result_of(api, definition) == [1, 1, 1]


async def test_an_id_with_a_dash_is_read_by_its_text(api: Api) -> None:
    definition = flow(step("my-step", py("return 4")), step("z", py("return n", n="results['my-step'] + 1")))
    assert await result_of(api, definition) == 5


async def test_arguments_may_be_called_as_languages_speak(api: Api) -> None:
    args = {"iter": 1, "constructor": 2, "class": 3, "a b": 4, "__proto__": 5, "toString": 6}
    seen = py(
        "return [i, c, k, s, t]",
        i="flow_input.iter",
        c="flow_input.constructor",
        k="flow_input.class",
        s="flow_input['a b']",
        t="flow_input.toString",
    )
    definition = flow(
        step("a", seen), step("b", raw("def main(**given):\n    return given"), pass_flow_input_directly=True)
    )
    assert await result_of(api, flow(definition["modules"][0]), args) == [1, 2, 3, 4, 6]
    del args["a b"], args["class"], args["__proto__"]
    assert await result_of(api, flow(definition["modules"][1]), args) == args


async def test_an_argument_called_iter_is_out_of_the_loops_way(api: Api) -> None:
    body = py("return [v, o]", v="flow_input.iter.value", o="flow_input.iter_parent ?? null")
    result = await result_of(
        api, flow(step("l", loop([7], step("b", body), step("i", identity())))), {"iter": "mine"}
    )
    assert result[0][0] == 7


@pytest.mark.parametrize(
    "value",
    ["\u0000 and \ud7ff", "😀 " * 1000, {"deep": [[[[{"x": "\n\"'`${1}\\"}]]]]}, 1e300, -0.0, 2**63, ""],
    ids=["nul", "emoji", "quotes", "huge", "minus zero", "2^63", "empty"],
)
async def test_any_value_passes_from_step_to_step(api: Api, value: Any) -> None:
    definition = flow(
        step("a", py("return given", given="flow_input.given")),
        step("b", py("return [p, s]", p="results.a", s="({...{v: results.a}}).v")),
        step("c", py("return [p, q]", p="previous_result[0]", q=static("fixed"))),
    )
    assert await result_of(api, definition, {"given": value}) == [value, "fixed"]


async def test_a_large_result_passes_from_step_to_step(api: Api) -> None:
    definition = flow(
        step("a", py("return ['x' * 1000] * 5000")),
        step("b", py("return [len(p), len(l)]", p="results.a", l="results.a[4999]")),
        step("c", identity()),
    )
    assert await result_of(api, definition) == [5000, 1000]
