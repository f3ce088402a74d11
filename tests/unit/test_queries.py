"""The loader of named queries, and lists composed from clauses."""

import pytest

from millpond.store.composition import Composition
from millpond.store.queries import Queries, load, parse


def test_blocks_become_queries_without_their_comments() -> None:
    loaded = parse(
        "example",
        "-- A head of the file.\n"
        "-- name: first\n-- What it is for.\nSELECT 1\n  FROM a\n\n"
        "-- name: second\n-- Purpose.\n-- A second line.\nSELECT 2 -- kept\n",
    )
    assert loaded.names() == ["first", "second"]
    assert loaded["first"] == "SELECT 1\n  FROM a"
    assert loaded["second"] == "SELECT 2 -- kept"


def test_an_unknown_query_is_named_with_its_file() -> None:
    loaded = parse("example", "-- name: first\n-- Purpose.\nSELECT 1\n")
    with pytest.raises(KeyError, match=r"store/sql/example\.sql has no query named 'frist'"):
        loaded["frist"]


@pytest.mark.parametrize(
    "text",
    [
        "-- name: twice\n-- Purpose.\nSELECT 1\n-- name: twice\n-- Purpose.\nSELECT 2\n",
        "-- name: empty\n-- Purpose alone.\n",
        "-- name: empty\n\n-- name: next\n-- Purpose.\nSELECT 1\n",
    ],
)
def test_a_name_given_twice_and_an_empty_block_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is empty or defined twice"):
        parse("example", text)


def test_a_missing_file_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        load("no_such_noun")


CLAUSES = Queries(
    "example",
    {
        "head": "SELECT a FROM b WHERE c = $1",
        "one": "AND d = $?",
        "two": "AND e BETWEEN $? AND $?",
        "none": "AND f",
    },
)


def test_clauses_are_numbered_after_the_values_of_the_head() -> None:
    query = Composition(CLAUSES, "head", "c")
    query.add("two", 1, 2)
    query.add("none")
    query.add_if_given("one", None)
    query.add_if_given("one", False)
    assert query.query == "SELECT a FROM b WHERE c = $1\nAND e BETWEEN $2 AND $3\nAND f\nAND d = $4"
    assert query.values == ["c", 1, 2, False]


def test_a_clause_with_more_parameters_than_values_is_refused() -> None:
    with pytest.raises(ValueError, match="'two' has more parameters"):
        Composition(CLAUSES, "head", "c").add("two", 1)
