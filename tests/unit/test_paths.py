"""The rule every workspace path obeys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.base.errors import InvalidInput
from millpond.base.paths import (
    MAX_PATH,
    check_name,
    check_path,
    check_workspace_id,
    split_path,
    username_from_email,
)

NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)


@given(st.sampled_from("ufg"), st.lists(NAMES, min_size=2, max_size=6))
def test_paths_of_an_owner_and_names_pass_and_split(kind: str, names: list[str]) -> None:
    path = "/".join([kind, *names])
    assert check_path(path) == path
    assert split_path(path) == (kind, names[0])


@pytest.mark.parametrize(
    "path",
    [
        "",
        "f",
        "f/a",
        "x/a/b",
        "f//b",
        "f/a/",
        "/f/a/b",
        "f/a/b/",
        "f/a/b c",
        "f/a/../b",
        "f/a/.",
        "f/a/é",
        "f/a/b\n",
        "f/a/b\x00",
        "F/a/b",
        "f\\a\\b",
        "f/a/b?c",
    ],
)
def test_other_paths_are_refused_by_name(path: str) -> None:
    with pytest.raises(InvalidInput, match="Invalid path"):
        check_path(path)


def test_paths_end_at_their_longest_length() -> None:
    longest = "f/a/" + "x" * (MAX_PATH - 4)
    assert check_path(longest) == longest
    with pytest.raises(InvalidInput, match="256 characters long, 255 are allowed"):
        check_path(longest + "x")


@given(st.text(max_size=60))
def test_a_name_that_passes_makes_a_path(name: str) -> None:
    try:
        check_name(name, "folder")
    except InvalidInput:
        return
    assert check_path(f"f/{name}/x") == f"f/{name}/x"


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a" * 51, "é", "a\n"])
def test_names_that_would_break_a_path_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="Invalid group name"):
        check_name(name, "group")


@pytest.mark.parametrize("workspace_id", ["", "Main", "-main", "_main", "ma in", "a" * 51, "main\n", "../x"])
def test_workspace_ids_are_lower_case_words(workspace_id: str) -> None:
    with pytest.raises(InvalidInput, match="Invalid workspace id"):
        check_workspace_id(workspace_id)
    assert check_workspace_id("main-2_b") == "main-2_b"


@given(st.text(max_size=80))
def test_any_email_suggests_a_username(email: str) -> None:
    assert check_name(username_from_email(email), "user")


def test_the_suggested_username_is_the_local_part() -> None:
    assert username_from_email("henri@localhost") == "henri"
    assert username_from_email("henri.b+x@localhost") == "henri_b_x"
    assert username_from_email("@localhost") == "user"
