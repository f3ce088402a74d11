"""The pure part of interpolation: which strings are references, and what replacing them leaves alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.base.errors import InvalidInput, NotFound
from millpond.model.references import (
    MAX_DEPTH,
    ReferencedResource,
    Sources,
    expand_args,
    expand_resource,
    find_references,
    rename_variable_in,
)
from millpond.services.secrets_seen import texts_to_mask

NOTHING = Sources(variables={}, resources={})

_texts = st.text(st.characters(exclude_categories=["Cs"]))
_plain_texts = _texts.filter(lambda text: not text.startswith(("$var:", "$res:", "$jsonvar:")))
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _plain_texts,
    lambda inner: st.lists(inner) | st.dictionaries(_texts, inner),
    max_leaves=30,
)


def sources(variables: dict[str, str] | None = None, resources: dict[str, str] | None = None) -> Sources:
    return Sources(
        variables=variables or {},
        resources={path: ReferencedResource(value, False) for path, value in (resources or {}).items()},
    )


@given(_json, st.booleans(), st.sampled_from([None, 2]))
def test_a_value_without_references_is_unchanged_byte_for_byte(
    value: object, ascii_only: bool, indent: int | None
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert expand_resource("u/a/b", text, NOTHING) == text


def _with_holes(value: object, path: str) -> tuple[object, object]:
    """The value with each string a reference, and the value with each string what that stands for."""
    match value:
        case str():
            return f"$var:{path}", "found"
        case list():
            pairs = [_with_holes(inner, path) for inner in value]
            return [left for left, _ in pairs], [right for _, right in pairs]
        case dict():
            walked = {key: _with_holes(inner, path) for key, inner in value.items()}
            return {key: left for key, (left, _) in walked.items()}, {
                key: right for key, (_, right) in walked.items()
            }
        case _:
            return value, value


@given(_json)
def test_every_whole_string_is_replaced_and_nothing_else(value: object) -> None:
    referring, expected = _with_holes(value, "u/a/v")
    text = json.dumps(referring)
    expanded = expand_resource("u/a/b", text, sources({"u/a/v": "found"}))
    assert json.loads(expanded) == json.loads(json.dumps(expected))


@given(_texts)
def test_a_variable_of_any_text_arrives_as_that_text(value: str) -> None:
    assert json.loads(expand_resource("u/a/b", '{"a": "$var:u/a/v"}', sources({"u/a/v": value}))) == {
        "a": value
    }


@pytest.mark.parametrize(
    "text",
    [
        '"Bearer $var:u/a/v"',
        '{"$var:u/a/v": 1}',
        '{"$var:u/a/v" \n : {"b": 1e400}}',
        r'"quoted \"$var:u/a/v\""',
        r'"\\\"$var:u/a/v"',
        '"$WM_TOKEN"',
        '"$vars:u/a/v"',
        '["$", "$var", "$encrypted:abc"]',
        '{"$schema": "x", "a":1.0,  "a":2}',
    ],
)
def test_what_is_no_reference_stays(text: str) -> None:
    assert expand_resource("u/a/b", text, NOTHING) == text


def test_what_stands_around_a_reference_keeps_its_bytes() -> None:
    text = (
        '{ "b":1.0,"a" : "$var:u/a/v","b2":1e400,"b2":100000000000000000000000001, '
        '"c":["\\u00e9", "$var:u/a/v"] }'
    )
    expanded = expand_resource("u/a/b", text, sources({"u/a/v": 'x"y'}))
    assert expanded == text.replace('"$var:u/a/v"', '"x\\"y"')


def test_an_escaped_dollar_is_a_dollar() -> None:
    assert expand_resource("u/a/b", r'["\u0024var:u/a/v"]', sources({"u/a/v": "x"})) == '["x"]'


def test_a_resource_is_spliced_in_with_its_own_references_resolved() -> None:
    found = sources({"u/a/v": "x"}, {"u/a/inner": '{"z": "$var:u/a/v", "y": 1.50}', "u/a/none": "null"})
    text = '{"r": "$res:u/a/inner", "n": "$res:u/a/none"}'
    assert expand_resource("u/a/b", text, found) == '{"r": {"z": "x", "y": 1.50}, "n": null}'


def test_an_opaque_resource_is_spliced_in_as_it_is() -> None:
    state = ReferencedResource('["$var:u/a/missing"]', True)
    found = Sources(variables={}, resources={"u/a/state": state})
    assert expand_resource("u/a/b", '"$res:u/a/state"', found) == '["$var:u/a/missing"]'


def test_a_jsonvar_is_spliced_in_as_json() -> None:
    assert (
        expand_resource("u/a/b", '{"k": "$jsonvar:u/a/v"}', sources({"u/a/v": '{"x": 1.0}'}))
        == '{"k": {"x": 1.0}}'
    )
    with pytest.raises(InvalidInput, match="Variable u/a/v does not hold JSON"):
        expand_resource("u/a/b", '{"k": "$jsonvar:u/a/v"}', sources({"u/a/v": "{x"}))


def test_a_missing_target_is_named_with_what_refers_to_it() -> None:
    with pytest.raises(NotFound, match="Resource u/a/gone not found, which resource u/a/inner refers to"):
        expand_resource(
            "u/a/b", '["$res:u/a/inner"]', sources(resources={"u/a/inner": '{"x": "$res:u/a/gone"}'})
        )
    with pytest.raises(NotFound, match="Variable u/a/gone not found, which resource u/a/b refers to"):
        expand_resource("u/a/b", '["$var:u/a/gone"]', NOTHING)


def test_a_missing_target_of_an_argument_names_the_argument_also_from_inside_a_resource() -> None:
    with pytest.raises(NotFound, match="Variable u/a/gone not found for `tok\u00e9n`"):
        expand_args('{"a": {"b": [1]}, "tok\\u00e9n": {"deep": ["$var:u/a/gone"]}, "c": 1}', NOTHING)
    inner = sources(resources={"u/a/inner": '{"key": {"x": "$res:u/a/gone"}}'})
    with pytest.raises(NotFound, match="Resource u/a/gone not found for `db`"):
        expand_args('{"db": "$res:u/a/inner"}', inner)


def _nested(levels: int, innermost: str) -> str:
    return "[" * levels + innermost + "]" * levels


@given(st.integers(0, 80))
def test_references_resolve_to_a_depth_of_fifty_and_no_deeper(levels: int) -> None:
    text = _nested(levels, '"$var:u/a/v"')
    if levels <= MAX_DEPTH:
        assert expand_resource("u/a/b", text, sources({"u/a/v": "x"})) == _nested(levels, '"x"')
    else:
        with pytest.raises(InvalidInput, match=r"interpolation depth \(50\) exceeded"):
            expand_resource("u/a/b", text, sources({"u/a/v": "x"}))


def test_depth_counts_only_what_is_around_a_reference() -> None:
    text = f'{{"deep": {_nested(200, "1")}, "ref": "$var:u/a/v"}}'
    assert expand_resource("u/a/b", text, sources({"u/a/v": "x"})) == text.replace("$var:u/a/v", "x")


def test_a_circle_of_resources_ends_in_an_error() -> None:
    circle = sources(resources={"u/a/b": '{"n": "$res:u/a/c"}', "u/a/c": '["$res:u/a/b", "$res:u/a/b"]'})
    with pytest.raises(InvalidInput, match="circle"):
        expand_resource("u/a/b", '"$res:u/a/b"', circle)


def test_references_that_multiply_are_stopped() -> None:
    doubling = {f"u/a/r{n}": f'["$res:u/a/r{n + 1}", "$res:u/a/r{n + 1}"]' for n in range(20)}
    with pytest.raises(InvalidInput, match="grow too large"):
        expand_resource("u/a/b", '"$res:u/a/r0"', sources(resources={**doubling, "u/a/r20": "1"}))


def test_references_know_their_top_level_key() -> None:
    references = find_references('{"a": {"x": "$var:u/a/v"}, "b\\n": ["$res:u/a/r"]}')
    assert [(found.argument, found.kind, found.path, found.depth) for found in references] == [
        ("a", "var", "u/a/v", 2),
        ("b\n", "res", "u/a/r", 2),
    ]


def test_renaming_a_variable_touches_only_references_to_it() -> None:
    text = (
        '{"a": "$var:u/a/v", "b":"$jsonvar:u/a/v", "c": "$var:u/a/v2", "d": "x $var:u/a/v", "$var:u/a/v": 1}'
    )
    assert rename_variable_in(text, "u/a/v", "f/b/w") == (
        '{"a": "$var:f/b/w", "b":"$jsonvar:f/b/w", "c": "$var:u/a/v2", "d": "x $var:u/a/v", "$var:u/a/v": 1}'
    )


def test_secrets_are_looked_for_in_every_form_they_are_printed_in() -> None:
    texts = texts_to_mask(
        ['first line"\nsecond line', '{"user": "henri", "pin": 1, "k": ["deep-secret"]}', "ab"]
    )
    assert {'first line"', "second line", 'first line\\"\\nsecond line', "henri", "deep-secret"} <= set(texts)
    assert "ab" not in texts
    assert texts == sorted(texts, key=len, reverse=True)
