"""Parts of JSON by path: the part itself, byte for byte, or null."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.services.json_paths import value_at

TEXT = '{"a": [1.0, {"b": {"z":1, "y" : 1e400}}], "é x": "\\u00e9", "n": null, "0": "zero"}'


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("a", '[1.0, {"b": {"z":1, "y" : 1e400}}]'),
        ("a[0]", "1.0"),
        ("a[1].b", '{"z":1, "y" : 1e400}'),
        ("a[1].b.y", "1e400"),
        ("é x", '"\\u00e9"'),
        ("0", '"zero"'),
        ("n", "null"),
        ("n.x", "null"),
        ("a.b", "null"),
        ("a[2]", "null"),
        ("[0]", "null"),
        ("missing.deeper", "null"),
        ("", TEXT),
    ],
)
def test_a_part_is_picked(path: str, part: str) -> None:
    assert value_at(TEXT, path) == part


names = st.text(alphabet=st.characters(exclude_characters=".[]", exclude_categories=["Cs"]), min_size=1)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=10,
)


@given(st.lists(names, min_size=1, max_size=4), values)
def test_what_is_put_at_a_path_is_found_there(path: list[str], value: object) -> None:
    whole = value
    for name in reversed(path):
        whole = {name: whole}
    text = json.dumps(whole, ensure_ascii=False)
    assert value_at(text, ".".join(path)) == json.dumps(value, ensure_ascii=False)


@given(st.text(alphabet="ab.[]0", max_size=12))
def test_any_path_has_an_answer(path: str) -> None:
    json.loads(value_at(TEXT, path))
