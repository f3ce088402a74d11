"""Loads the named queries of `store/sql/<noun>.sql`.

A file is a sequence of blocks `-- name: <query>`, a one-line purpose, then one statement. Queries are handed out as
`LiteralString`: a type checker refuses one that was assembled from a value.
"""

from importlib.resources import files
from typing import LiteralString

_MARK = "-- name: "


class Queries:
    """The queries of one noun, by name."""

    def __init__(self, noun: str, statements: dict[str, LiteralString]) -> None:
        self._noun = noun
        self._statements = statements

    def __getitem__(self, name: str) -> LiteralString:
        try:
            return self._statements[name]
        except KeyError:
            raise KeyError(f"store/sql/{self._noun}.sql has no query named {name!r}") from None

    def names(self) -> list[str]:
        """All names, in the order of the file."""
        return list(self._statements)


def load(noun: str) -> Queries:
    """Read `store/sql/<noun>.sql`; raises ValueError for a name given twice or a block without a statement."""
    return parse(noun, files(__package__).joinpath("sql", f"{noun}.sql").read_text(encoding="utf-8"))


def parse(noun: str, text: str) -> Queries:
    """The queries of a file's text; raises ValueError as `load` does."""
    statements: dict[str, LiteralString] = {}
    for block in text.split(_MARK)[1:]:
        name, _, body = block.partition("\n")
        name = name.strip()
        statement = "\n".join(line for line in body.splitlines() if not line.startswith("--")).strip()
        if not statement or name in statements:
            raise ValueError(f"store/sql/{noun}.sql: query {name!r} is empty or defined twice")
        statements[name] = statement
    return Queries(noun, statements)
