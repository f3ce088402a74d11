"""How administration commands print lists: a table for people, JSON for programs."""

from collections.abc import Sequence
from datetime import UTC, datetime

import click
import msgspec


def print_json(items: object) -> None:
    """Print structs as indented JSON, in the shapes the API answers."""
    click.echo(msgspec.json.format(msgspec.json.encode(items), indent=2).decode())


def print_table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows in aligned columns below their titles."""
    lines = [list(titles), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    for line in lines:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M}Z"
    if isinstance(value, list):
        return " ".join(map(_cell, value)) or "-"
    # Labels and names are what users typed: they must not move the cursor of the operator's terminal.
    return "".join(letter if letter.isprintable() else "?" for letter in str(value))
