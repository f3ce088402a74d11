"""Plain lookups and literals: what counts as plain, what the lookup gives, and that JavaScript would say the same."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from millpond.expressions import wire
from millpond.expressions.child import Engines, Evaluation
from millpond.expressions.javascript import program_of
from millpond.expressions.plain import (
    Literal,
    NeedsJavaScriptError,
    NoSuchMemberError,
    Path,
    Step,
    is_truthy,
    read_plain,
    value_at,
)
from millpond.expressions.wrapping import function_of


@pytest.mark.parametrize(
    ("code", "plain"),
    [
        ("flow_input", Path("flow_input")),
        (
            ' flow_input.a.b[0]["c"]\n',
            Path("flow_input", (Step("a"), Step("b"), Step("0"), Step("c"))),
        ),
        ("flow_input?.a", Path("flow_input", (Step("a", optional=True),))),
        (
            "results?.['x y']?.[12]",
            Path("results", (Step("x y", optional=True), Step("12", optional=True))),
        ),
        ("flow_env.$X", Path("flow_env", (Step("$X"),))),
        ("12", Literal(b"12")),
        ("-7", Literal(b"-7")),
        ("'it'", Literal(b'"it"')),
        ('"é"', Literal('"é"'.encode())),
        ("undefined", Literal(b"null")),
        ("[]", Literal(b"[]")),
    ],
)
def test_lookups_and_literals_are_plain(code: str, plain: object) -> None:
    assert read_plain(code) == plain


@pytest.mark.parametrize(
    "code",
    [
        "",
        "a b",
        "a.b()",
        "a + b",
        "a.",
        "a[b]",
        "a[01]",
        "a[-1]",
        'a["\\n"]',
        "a[`b`]",
        "a.b;",
        "1.0",
        "-0",
        "012",
        "1e3",
        "9007199254740993",
        "'\\''",
        '"a" + "b"',
        "this",
        "NaN",
        "globalThis.a",
        "{}.a",
        "!a",
        "a // b",
    ],
)
def test_everything_else_takes_javascript(code: str) -> None:
    assert read_plain(code) is None


def _at(code: str, value: bytes, *, lenient: bool = False) -> bytes:
    path = read_plain(code)
    assert isinstance(path, Path)
    return value_at(value, path.steps, lenient=lenient)


@pytest.mark.parametrize(
    ("code", "value", "found"),
    [
        ("v", b' {"a": 1} ', b' {"a": 1} '),
        ("v.a", b'{"a": 12345678901234567890}', b"12345678901234567890"),
        ("v.a", b'{"a": {"z": 1.0, "b":  2, "1": 3}}', b'{"z": 1.0, "b":  2, "1": 3}'),
        ("v.a.b", b'{"a": {"b": null}}', b"null"),
        ("v.nope", b'{"a": 1}', b"null"),
        ("v[1]", b"[1, [2], 3]", b"[2]"),
        ('v["1"]', b"[1, [2], 3]", b"[2]"),
        ("v[3]", b"[1, [2], 3]", b"null"),
        ("v[0]", b'{"0": "zero"}', b'"zero"'),
        ("v.a.b", b'{"a": 1}', b"null"),
        ("v.length", b"[1, 2]", b"2"),
        ("v.length", b'{"length": "own"}', b'"own"'),
        ("v.length", '"a😀"'.encode(), b"3"),
        ("v[0]", '"é"'.encode(), '"é"'.encode()),
        ("v[1]", '"a😀"'.encode(), b'"\\ud83d"'),
        ("v[9]", b'"abc"', b"null"),
        ("v.values", b'{"values": [1]}', b"[1]"),
        ("v.a?.b.c", b'{"a": null}', b"null"),
        ("v?.b", b"null", b"null"),
        ("v.a", b'{"\\ud800": 0, "a": 12345678901234567890}', b"12345678901234567890"),
        ("v.a", b'{"a": 1, "a": 2}', b"2"),
    ],
)
def test_a_lookup_gives_the_json_as_it_stands(code: str, value: bytes, found: bytes) -> None:
    assert _at(code, value) == found


@pytest.mark.parametrize(
    ("code", "value", "message"),
    [
        ("v.a.b", b'{"a": null}', "TypeError: cannot read property 'b' of null"),
        ("v.a.b", b"{}", "TypeError: cannot read property 'b' of undefined"),
        ("v[0].x", b"[]", "TypeError: cannot read property 'x' of undefined"),
    ],
)
def test_a_member_of_nothing_is_an_error_unless_lenient(code: str, value: bytes, message: str) -> None:
    with pytest.raises(NoSuchMemberError, match=message):
        _at(code, value)
    assert _at(code, value, lenient=True) == b"null"


@pytest.mark.parametrize(("code", "value"), [("v.map", b"[]"), ("v.toString", b"{}"), ("v.at", b'"a"')])
def test_what_a_value_inherits_is_left_to_javascript(code: str, value: bytes) -> None:
    with pytest.raises(NeedsJavaScriptError):
        _at(code, value)


@pytest.mark.parametrize("value", ["null", "false", "0", "-0", "0.0", "0e9", '""', " null "])
def test_falsy_json(value: str) -> None:
    assert not is_truthy(value.encode())


@pytest.mark.parametrize("value", ["true", "1", "-1", "0.1", '"0"', '"false"', "[]", "{}", '" "'])
def test_truthy_json(value: str) -> None:
    assert is_truthy(value.encode())


_KEYS = st.sampled_from(["a", "b", "0", "1", "length", "values", "constructor", "x y", "é"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=8,
)
_STEPS = st.lists(
    st.one_of(
        st.sampled_from([".a", ".b", "?.a", ".length", ".values", ".constructor", "[0]", "[1]", "?.[0]"]),
        _KEYS.map(lambda key: f'["{key}"]'),
    ),
    max_size=4,
).map("".join)


def _in_javascript(code: str, value: bytes, *, boolean: bool) -> tuple[bytes, bytes]:
    program = program_of(function_of(code, boolean=boolean), settles=False)
    return Evaluation(program, None, [b"v", value], Engines(32 << 20)).answer([])


def _looked_up(value: bytes, path: Path) -> bytes | NoSuchMemberError | None:
    try:
        return value_at(value, path.steps)
    except NoSuchMemberError as error:
        return error
    except NeedsJavaScriptError:
        return None


@given(_VALUES, _STEPS, st.booleans())
@settings(max_examples=250, deadline=None)
def test_a_plain_lookup_gives_what_javascript_gives(value: Any, steps: str, boolean: bool) -> None:
    path = read_plain(f"v{steps}")
    assert isinstance(path, Path)
    text = msgspec.json.encode(value)
    kind, expected = _in_javascript(f"v{steps}", text, boolean=boolean)
    found = _looked_up(text, path)
    if found is None:
        return
    if isinstance(found, NoSuchMemberError):
        assert kind == wire.BROKEN
        assert expected.decode().startswith(str(found))
        return
    assert kind == wire.VALUE
    assert (is_truthy(found) if boolean else json.loads(found)) == json.loads(expected)


@given(
    st.integers(-(10**15), 10**15).map(str) | st.text(max_size=5).map(repr) | st.text("\"'ab\\ ", max_size=4)
)
@settings(max_examples=200, deadline=None)
def test_a_literal_is_what_javascript_makes_of_it(code: str) -> None:
    plain = read_plain(code)
    if isinstance(plain, Literal):
        assert _in_javascript(code, b"null", boolean=False) == (wire.VALUE, plain.value)
