"""Composes a list query from a fixed set of clauses of a `.sql` file, so that the planner sees only what is asked for.

A clause marks its parameters `$?`; they are numbered in the order clauses are added. Values never become text.
"""

from typing import LiteralString

from millpond.store.queries import Queries


class Composition:
    """A query under construction: a head with its own numbered parameters, then clauses."""

    def __init__(self, queries: Queries, head: str, *values: object) -> None:
        self._queries = queries
        self._parts: list[LiteralString] = [queries[head]]
        self.values: list[object] = list(values)

    def add(self, clause: str, *values: object) -> None:
        """Append the clause of that name."""
        text = self._queries[clause]
        for value in values:
            self.values.append(value)
            text = text.replace("$?", _parameter(len(self.values)), 1)
        if "$?" in text:
            raise ValueError(f"clause {clause!r} has more parameters than values")
        self._parts.append(text)

    def add_if_given(self, clause: str, value: object) -> None:
        """Append the clause unless the value is None."""
        if value is not None:
            self.add(clause, value)

    @property
    def query(self) -> LiteralString:
        """The whole statement."""
        return "\n".join(self._parts)


_NUMBERS: tuple[LiteralString, ...] = (
    *("$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10", "$11", "$12", "$13", "$14", "$15", "$16"),
    *(
        "$17",
        "$18",
        "$19",
        "$20",
        "$21",
        "$22",
        "$23",
        "$24",
        "$25",
        "$26",
        "$27",
        "$28",
        "$29",
        "$30",
        "$31",
        "$32",
    ),
    *("$33", "$34", "$35", "$36", "$37", "$38", "$39", "$40"),
)


def _parameter(number: int) -> LiteralString:
    return _NUMBERS[number - 1]
