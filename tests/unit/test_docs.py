"""The pages say what the code does: links, commands, settings, modules, numbers, tables and the diagram of a job's life."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import click
import msgspec
import pytest

import millpond
from millpond.base.settings import setting_facts
from millpond.cli import cli
from millpond.cli.processes import LISTEN_FD, SUPERVISOR
from millpond.model.jobs import INLINE_KINDS, TRANSITIONS, JobKind, lane_of
from millpond.model.state_paths import state_path_of

ROOT = Path(__file__).parents[2]
SOURCE = Path(millpond.__file__).parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
WRITTEN = [page for page in PAGES if page.parent.name != "reference"]
DECISIONS = sorted((DOCS / "decisions").glob("*.md"))
PLACES = (ROOT, SOURCE, DOCS)
"""Where the paths that pages name begin."""


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@cache
def _read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _concept(name: str) -> str:
    return _read(DOCS / "concepts" / f"{name}.md")


def _without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def _tables(text: str) -> Iterator[list[dict[str, str]]]:
    """Each table of a page, as rows by column title; the marks of code are taken off."""
    for block in re.findall(r"(?:^\|.*\|\n)+", _without_blocks(text), flags=re.MULTILINE):
        rows = [
            [cell.strip().strip("`*") for cell in line.strip("|").split("|")] for line in block.splitlines()
        ]
        yield [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


def _table(text: str, *titles: str) -> list[dict[str, str]]:
    found = [table for table in _tables(text) if table and list(table[0]) == list(titles)]
    assert len(found) == 1, f"{len(found)} tables with the titles {titles}"
    return found[0]


def _anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", _without_blocks(text), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_local_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", _without_blocks(_read(page))):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        place = (page.parent / path).resolve() if path else page
        if not place.exists() or (anchor and anchor not in _anchors(_read(place))):
            broken.append(target)
    assert broken == []


def _commands(page: Path) -> Iterator[tuple[list[str], str]]:
    """The words after `millpond` in code, and the rest of the command; `a | b` names several commands."""
    text = _read(page)
    code = "\n".join([*_blocks(text, "sh"), *re.findall(r"`([^`\n]+)`", _without_blocks(text))])
    pattern = r"(?:^|[\s(=/])millpond((?: \| | )[a-z][a-z-]*(?: (?:\| )?[a-z][a-z-]*)*)([^\n#|)]*)"
    for words, rest in re.findall(pattern, code):
        if "|" in words:
            yield from (([word.strip()], "") for word in words.split("|"))
        else:
            yield words.split(), rest


def _resolve(words: list[str]) -> click.Command:
    """The command of these words; those after a command that is no group are its arguments."""
    command: click.Command = cli
    for word in words:
        if not isinstance(command, click.Group):
            break
        found = command.get_command(click.Context(command), word)
        assert found is not None, f"there is no command 'millpond {' '.join(words)}'"
        command = found
    return command


def test_commands_that_pages_name_exist_and_take_the_options_they_are_given() -> None:
    seen = 0
    for page in WRITTEN:
        for words, rest in _commands(page):
            command = _resolve(words)
            taken = {name for option in command.params for name in option.opts} | {"--help"}
            given = set(re.findall(r"(?<!\S)--[a-z-]+", rest))
            assert given <= taken, f"{_name(page)}: millpond {' '.join(words)}{rest}"
            seen += 1
    assert seen > 25, "the walk found too little to prove anything"


def test_the_readme_names_every_command() -> None:
    named = {words[0] for words, _ in _commands(ROOT / "README.md")}
    visible = {name for name in cli.list_commands(click.Context(cli)) if name != "reference"}
    assert named == visible


def test_options_that_stand_alone_are_settings_or_of_a_command() -> None:
    options = {name for command in _all_commands(cli) for option in command.params for name in option.opts}
    for page in WRITTEN:
        alone = set(re.findall(r"`(--[a-z-]+)[^`\n]*`", _without_blocks(_read(page))))
        assert alone - options - {"--help"} == set(), _name(page)


def _all_commands(command: click.Command) -> Iterator[click.Command]:
    yield command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _all_commands(child)


def test_variables_that_pages_name_are_settings() -> None:
    known = {fact.env for fact in setting_facts()} | {SUPERVISOR, LISTEN_FD}
    named = {name for page in PAGES for name in re.findall(r"\bMILLPOND_[A-Z_]+", _read(page))}
    assert named <= known
    assert len(named) > 5


@pytest.mark.parametrize("page", WRITTEN, ids=_name)
def test_files_that_pages_name_exist(page: Path) -> None:
    named = re.findall(r"`([\w./-]+/[\w./-]+\.(?:py|sql|md|toml)|pyproject\.toml)`", _read(page))
    assert [path for path in named if not any((place / path).is_file() for place in PLACES)] == []


@pytest.mark.parametrize("page", WRITTEN, ids=_name)
def test_python_in_pages_is_python(page: Path) -> None:
    for block in _blocks(_read(page), "python"):
        ast.parse(block)


def test_the_diagram_of_a_jobs_life_has_the_edges_of_the_table() -> None:
    (diagram,) = _blocks(_concept("jobs"), "mermaid")
    edges = set(re.findall(r"^\s*(\[\*\]|\w+) --> (\[\*\]|\w+)", diagram, flags=re.MULTILINE))
    ends = {state for state, following in TRANSITIONS.items() if not following}
    assert edges == (
        {(state, following) for state, allowed in TRANSITIONS.items() for following in allowed}
        | {("[*]", "queued")}
        | {(state, "[*]") for state in ends}
    )


def test_the_kinds_of_jobs_are_those_of_the_code() -> None:
    rows = _table(_concept("jobs"), "Kind", "What it runs", "Lane")
    kinds: tuple[str, ...] = get_args(JobKind)
    assert {row["Kind"]: row["Lane"] for row in rows} == {kind: lane_of(kind) for kind in kinds}
    assert set(kinds) > INLINE_KINDS


_COLUMNS = {
    "Kind": "kind",
    "Who": "username",
    "Path": "path",
    "Schedule": "schedule_path",
    "Flow": "flow_path",
    "Step": "step_id",
}


def test_state_paths_are_those_of_the_table() -> None:
    tables = [table for table in _tables(_concept("states")) if table and "State path" in table[0]]
    assert len(tables) == 1
    assert len(tables[0]) > 4
    for row in tables[0]:
        given = {_COLUMNS[title]: _given(cell) for title, cell in row.items() if title in _COLUMNS}
        made = state_path_of(**given)  # type: ignore[arg-type]
        # The expected path is a pattern: a long one ends in a digest.
        assert re.fullmatch(row["State path"], made), f"{row['Case']}: {made}"


def _given(cell: str) -> str | None:
    if cell == "none":
        return None
    return re.sub(r"(\w)\{(\d+)\}", lambda match: match[1] * int(match[2]), cell)


def _code(name: str) -> object:
    """What a dotted name below `millpond` stands for. Fields of settings and structs stand for themselves."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        module = f"millpond.{'.'.join(parts[:length])}"
        if _is_module(module):
            found: object = import_module(module)
            for part in parts[length:]:
                found = getattr(found, part)
            return found
    raise AttributeError(f"no module for {name}")


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_limits_are_those_of_the_code() -> None:
    rows = _table(_concept("jobs"), "Limit", "Value", "Where")
    assert len(rows) > 10
    for row in rows:
        value = _code(row["Where"])
        assert isinstance(value, int | float), row["Where"]
        assert float(row["Value"].split()[0]) == value, row["Limit"]


def test_every_word_of_the_glossary_is_in_the_code_and_means_one_sentence() -> None:
    rows = _table(_concept("glossary"), "Word", "Meaning", "Code")
    words = [row["Word"] for row in rows]
    assert words == sorted(set(words))
    assert len(words) > 30
    for row in rows:
        assert _code(row["Code"]) is not None, row["Word"]
        assert re.fullmatch(r"[A-Z][^.]*(?:\.(?!\s|$)[^.]*)*\.", row["Meaning"]), row["Meaning"]


def test_the_parts_of_the_sandbox_are_those_a_level_names() -> None:
    level = _code("runtimes.sandbox.policy.SandboxLevel")
    assert isinstance(level, type)
    assert issubclass(level, msgspec.Struct)
    full = level(landlock_abi=6, seccomp=True, pid_namespace=True, mount_namespace=True, user_switch=True)
    rows = [table for table in _tables(_concept("security")) if table and "In a job's `sandbox" in table[0]]
    assert [row["In a job's `sandbox"] for row in rows[0]] == full.description.split("+")  # type: ignore[attr-defined]


@pytest.mark.parametrize("page", DECISIONS, ids=_name)
def test_a_decision_says_context_decision_and_consequences_on_half_a_page(page: Path) -> None:
    text = _read(page)
    number = DECISIONS.index(page) + 1
    assert page.name.startswith(f"{number:04}-")
    assert text.startswith(f"# {number}. ")
    headings = re.findall(r"^## (.+)$", text, flags=re.MULTILINE)
    assert headings == ["Context", "Decision", "Consequences"]
    assert len(text.split()) < 300
