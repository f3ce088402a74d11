"""PostgreSQL itself reads every query of `store/sql` against the migrated schema: a typo cannot hide in a rare path."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from millpond.store import queries
from millpond.store.composition import Composition
from millpond.store.queries import load

NOUNS = sorted(path.stem for path in (Path(queries.__file__).parent / "sql").glob("*.sql"))
QUERIES = [(noun, name) for noun in NOUNS for name in load(noun).names()]
HEADS = {"jobs": ["list_queued", "list_completed"], "scripts": ["list_scripts"], "flows": ["list_flows"]}
"""What clauses are appended to, by noun."""


def _is_clause(statement: str) -> bool:
    return re.match(r"(AND|ORDER BY|LIMIT)\b", statement) is not None


@pytest.fixture(scope="module")
async def connection(template_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(template_url)
    yield connection
    await connection.close()


@pytest.mark.parametrize(("noun", "name"), QUERIES, ids="-".join)
async def test_the_query_is_one_statement_the_schema_knows(
    noun: str, name: str, connection: asyncpg.Connection
) -> None:
    statement = load(noun)[name]
    if not _is_clause(statement):
        await connection.prepare(statement)
        return
    refusals = [refusal for head in HEADS[noun] if (refusal := await _refusal(connection, noun, head, name))]
    assert len(refusals) < len(HEADS[noun]), refusals


async def _refusal(connection: asyncpg.Connection, noun: str, head: str, clause: str) -> str | None:
    composed = Composition(load(noun), head)
    # The head has numbered parameters of its own, for which this stands in.
    composed.values = [None] * max(map(int, re.findall(r"\$(\d+)", composed.query)))
    composed.add(clause, *[None] * load(noun)[clause].count("$?"))
    try:
        await connection.prepare(composed.query)
    except asyncpg.PostgresError as error:
        return str(error)
    return None


async def test_a_typo_would_be_seen(connection: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.UndefinedColumnError):
        await connection.prepare("SELECT pth FROM resource")


def test_there_are_queries_to_read() -> None:
    assert len(QUERIES) > 200
