"""What holds for all SQL: it stands in `store/sql`, each query is used, and each says what it is for."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import millpond

SOURCE = Path(millpond.__file__).parent
SQL_FILES = sorted((SOURCE / "store" / "sql").glob("*.sql"))

# How statements begin. Upper case, as our SQL is written: prose is not.
_STATEMENT = re.compile(
    r"\b(SELECT\b.+\bFROM|SELECT \w+\(|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE (TABLE|INDEX|DATABASE|ROLE)|"
    r"ALTER (TABLE|ROLE|DATABASE|SYSTEM)|DROP (TABLE|DATABASE)|TRUNCATE|LISTEN \w|NOTIFY \w|ORDER BY|SET LOCAL)",
    re.DOTALL,
)

SPEAKS_SQL = {
    "store/embedded/cluster.py": "names the database to a single-user server, before anything can connect",
}
"""Modules that hold SQL of their own, each with the reason."""


@dataclass(frozen=True)
class Loaded:
    """A module that loads the queries of a noun, and the texts it may name them by."""

    module: str
    literal: frozenset[str]
    mentioned: frozenset[str]


def _loaders() -> dict[str, list[Loaded]]:
    """By noun, the modules that call `load("<noun>")`."""
    found: dict[str, list[Loaded]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for variable, noun in _loads(tree):
            texts = frozenset(_texts(tree))
            mentioned = texts | {prefix + text for prefix in _prefixes(tree) for text in texts}
            loaded = Loaded(path.name, frozenset(_subscripts(tree, variable)), mentioned)
            found.setdefault(noun, []).append(loaded)
    return found


def _loads(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        match node:
            case ast.Assign(
                targets=[ast.Name(id=variable)],
                value=ast.Call(func=ast.Name(id="load"), args=[ast.Constant(value=str(noun))]),
            ):
                yield variable, noun


def _subscripts(tree: ast.Module, variable: str) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(query))) if (
                name == variable
            ):
                yield query


def _texts(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _prefixes(tree: ast.Module) -> Iterator[str]:
    """Beginnings of f-strings: `f"filter_{name}"` names every query made of it and a text of the module."""
    for node in ast.walk(tree):
        match node:
            case ast.JoinedStr(values=[ast.Constant(value=str(prefix)), ast.FormattedValue()]):
                yield prefix


def _blocks(path: Path) -> Iterator[list[str]]:
    for block in path.read_text(encoding="utf-8").split("-- name: ")[1:]:
        yield block.splitlines()


LOADERS = _loaders()


@pytest.mark.parametrize("path", SQL_FILES, ids=lambda path: path.stem)
def test_every_query_is_used(path: Path) -> None:
    mentioned = frozenset[str]().union(*(loaded.mentioned for loaded in LOADERS[path.stem]))
    assert [block[0] for block in _blocks(path) if block[0].strip() not in mentioned] == []


@pytest.mark.parametrize("path", SQL_FILES, ids=lambda path: path.stem)
def test_every_query_says_what_it_is_for(path: Path) -> None:
    silent = [block[0] for block in _blocks(path) if len(block) < 2 or not re.match(r"-- \S.+", block[1])]
    assert silent == []


@pytest.mark.parametrize("noun", sorted(LOADERS))
def test_every_query_that_is_asked_for_exists(noun: str) -> None:
    names = {block[0].strip() for block in _blocks(SOURCE / "store" / "sql" / f"{noun}.sql")}
    asked = {name for loaded in LOADERS[noun] for name in loaded.literal}
    assert asked
    assert asked - names == set()


def test_only_the_store_loads_queries() -> None:
    stores = {path.name for path in (SOURCE / "store").glob("*.py")}
    assert {loaded.module for modules in LOADERS.values() for loaded in modules} <= stores


def test_no_python_string_holds_sql() -> None:
    found = {
        path.relative_to(SOURCE).as_posix(): node.value[:60]
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _STATEMENT.search(node.value)
    }
    assert {module: text for module, text in found.items() if module not in SPEAKS_SQL} == {}
    assert set(found) == set(SPEAKS_SQL), "the list holds something stale"


def test_the_search_for_sql_would_see_it() -> None:
    for statement in (
        "SELECT 1 FROM job",
        "SELECT now()",
        "UPDATE job SET a = 1",
        "LISTEN done",
        "DELETE FROM job",
    ):
        assert _STATEMENT.search(statement)
    assert not _STATEMENT.search("Select what to update, then delete from the list")


def test_migrations_and_queries_travel_with_the_package() -> None:
    assert {path.parent for path in SOURCE.rglob("*.sql")} == {
        SOURCE / "store" / "sql",
        SOURCE / "store" / "migrations",
    }
