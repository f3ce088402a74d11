"""What is read from an expression's text: its form, the names it mentions, and how much of a variable it needs."""

import json

import pytest

from millpond.expressions.bindings import bindings_of, start_of
from millpond.expressions.plain import Path, Step
from millpond.expressions.references import members_used, names_used
from millpond.expressions.splicing import with_members
from millpond.expressions.wrapping import Form, form_of, function_of, is_blank, settles


@pytest.mark.parametrize(
    ("code", "form"),
    [
        ("results.a + 1", "expression"),
        ("{a: 1}", "expression"),
        ("constant + 1", "expression"),
        ("iffy", "expression"),
        ("returned", "expression"),
        ("'a;b' + `c;d` + \"e;f\"", "expression"),
        ("'it\\'s;' + x", "expression"),
        ("x // a; b", "expression"),
        ("x /* a; b */", "expression"),
        ("await results.x", "expression"),
        ("  return 5", "body"),
        ("return(5)", "body"),
        ("const a = 1\nreturn a", "body"),
        ("if(x) return 1", "body"),
        ("x;", "body"),
        ("x; return 5", "body"),
        ("await f(); return 5", "body"),
        ("await f()\nreturn 5", "body"),
        ("async function f() {}\nreturn f()", "body"),
    ],
)
def test_the_form_follows_keywords_and_semicolons(code: str, form: Form) -> None:
    assert form_of(code) == form


def test_the_text_begins_on_the_second_line_of_its_function() -> None:
    assert function_of("a", boolean=False) == "() => (\na\n)"
    assert function_of("return a", boolean=False) == "() => {\nreturn a\n}"
    assert function_of("a // why", boolean=True) == "() => Boolean(\na // why\n)"
    assert function_of("(await a).b", boolean=False) == "async () => (\n(await a).b\n)"


@pytest.mark.parametrize("code", ["", " \n", "// nothing", "/* nothing\n */ "])
def test_no_text_is_undefined(code: str) -> None:
    assert is_blank(code)
    assert function_of(code, boolean=False) == "() => null"
    assert function_of(code, boolean=True) == "() => false"


@pytest.mark.parametrize("code", ["await x", "Promise.all(x)", "x.then(f)", "throw x", "Array.fromAsync(x)"])
def test_text_that_may_give_a_promise_is_known(code: str) -> None:
    assert settles(code)
    assert not settles("results.a + flow_input.b")


def test_names_used_are_all_words() -> None:
    code = 'results["a"].b + $x ?? `${previous_result}` // error'
    assert names_used(code) == {"results", "a", "b", "$x", "$", "previous_result", "error"}
    assert "result" not in names_used("results.a")


@pytest.mark.parametrize(
    ("code", "members"),
    [
        ("flow_input.a + flow_input?.b + flow_input['c d'] + flow_input?.[\"e\"]", {"a", "b", "c d", "e"}),
        ("other.flow_input.a", {"a"}),
        ("my_flow_input.a", set()),
        ("flow_input", None),
        ("Object.keys(flow_input).concat(flow_input.a)", None),
        ("flow_input[x]", None),
        ("{...flow_input}", None),
        ("'flow_input' + flow_input.a", None),
        ('eval("flow" + "_input") + flow_input.a', None),
        ("flow_input.a + fl\\u006fw_input.b", None),
    ],
)
def test_members_used_are_known_only_when_every_mention_names_one(
    code: str, members: set[str] | None
) -> None:
    assert members_used(code, "flow_input") == members


def test_only_what_is_mentioned_is_bound() -> None:
    large = json.dumps({"a": 1, "b": "x" * 5000, "iter": 0}).encode()
    names = {"flow_input": large, "previous_result": large, "flow_input.iter": b'{"value":7}'}
    assert bindings_of("1 + 1", names) == {}
    assert bindings_of("flow_input.a + 1", names) == {"flow_input": b'{"a":1}'}
    assert bindings_of("flow_input.iter.value + 1", names) == {
        "flow_input": b'{"iter":0}',
        "flow_input.iter": b'{"value":7}',
    }
    assert bindings_of("f(flow_input)", names) == {
        "flow_input": large,
        "flow_input.iter": b'{"value":7}',
    }


def test_a_plain_lookup_starts_in_the_member_that_is_given_apart() -> None:
    names = {"flow_input": b'{"a":1,"iter":0}', "flow_input.iter": b'{"value":7}'}
    value = (Step("iter"), Step("value"))
    assert start_of(Path("flow_input", value), names) == (
        b'{"value":7}',
        Path("flow_input", (Step("value"),)),
    )
    assert start_of(Path("flow_input", (Step("a"),)), names) == (
        names["flow_input"],
        Path("flow_input", (Step("a"),)),
    )
    whole = start_of(Path("flow_input"), names)
    assert whole is not None
    assert json.loads(whole[0]) == {"a": 1, "iter": {"value": 7}}
    assert start_of(Path("results", value), names) is None


@pytest.mark.parametrize("base", [b"{}", b" { } ", b"null", b"[1]", b'{"iter": 1}'])
def test_members_are_spliced_into_any_json(base: bytes) -> None:
    assert json.loads(with_members(base, {"iter": b'{"value": 2}', "more": b"3"})) == {
        "iter": {"value": 2},
        "more": 3,
    }
