"""What a Python script needs installed, read from its text alone: nothing is executed, imported or looked up.

Headers come first (`# requirements:`, PEP 723); without one, the imports say it. Choosing versions is
`locks`' part.
"""

import ast
import re
import warnings
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

import msgspec

from millpond.runtimes.python.dependencies.distributions import distribution_of
from millpond.runtimes.python.dependencies.headers import (
    Comment,
    check_at,
    comments_of,
    read_headers,
    without_remark,
)
from millpond.runtimes.python.dependencies.specifiers import is_bare, normalised, requirement_name

Mode = Literal["inferred", "extra", "manual"]

_WORKSPACE_ROOTS = frozenset({"f", "u", "g"})
_PIN = re.compile(r"(?:^|#)\s*(?P<again>re)?pin:\s*(?P<requirement>\S.*)")


class Requirements(msgspec.Struct, frozen=True, kw_only=True):
    """What one script asks for.

    `packages` are PEP 508 requirements, sorted; `python` a constraint on the interpreter. `mode` is
    `manual` when a header replaced the imports, `extra` when one added to them. `workspace_imports` are the
    modules of other scripts as written (`f.etl.load`, `.load`); what those need is not included.
    """

    packages: tuple[str, ...] = ()
    python: str | None = None
    mode: Mode = "inferred"
    workspace_imports: tuple[str, ...] = ()


def parse(code: str) -> Requirements:
    """The requirements of `code`.

    `wmill` is left out unless a version of it is asked for: jobs get ours. Code with a syntax error has its
    headers only, since it fails by that error when it runs. Raises `InvalidInput`, naming the line, for a
    malformed header.
    """
    code = code.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    comments = comments_of(code)
    headers = read_headers(comments)
    imports = _imports(_tree(code))
    mode: Mode = "manual" if headers.listed is not None else "extra" if headers.extra else "inferred"
    inferred = _inferred(imports, comments) if headers.listed is None else headers.listed
    return Requirements(
        packages=_merged(inferred, headers.extra),
        python=headers.python,
        mode=mode,
        workspace_imports=tuple(
            sorted({name for statement in imports for name in _workspace_modules(statement)})
        ),
    )


def _merged(base: Iterable[str], extra: Iterable[str]) -> tuple[str, ...]:
    """Both lists without repetition; a bare name gives way to a requirement on the same distribution."""
    unique = dict.fromkeys((*base, *extra))
    versioned = {requirement_name(requirement) for requirement in unique if not is_bare(requirement)}
    dropped = versioned | {"wmill"}
    chosen: dict[str, str] = {}
    for requirement in unique:
        if is_bare(requirement):
            if (name := normalised(requirement)) not in dropped:
                chosen.setdefault(name, requirement)
        else:
            chosen[requirement] = requirement
    return tuple(
        sorted(chosen.values(), key=lambda requirement: (requirement_name(requirement), requirement))
    )


def _tree(code: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            # The parser warns about the script's invalid escapes; that belongs to its run.
            warnings.simplefilter("ignore")
            return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module(body=[], type_ignores=[])


_Import = ast.Import | ast.ImportFrom


def _imports(tree: ast.Module) -> list[_Import]:
    return sorted(_walk_imports(tree), key=lambda statement: (statement.lineno, statement.col_offset))


def _walk_imports(tree: ast.Module) -> Iterator[_Import]:
    """Every import statement, however deep, save those only type checkers see."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, _Import):
            yield node
        elif isinstance(node, ast.If) and _is_type_checking(node.test):
            pending.extend(node.orelse)
        elif not isinstance(node, ast.expr):
            pending.extend(ast.iter_child_nodes(node))


def _is_type_checking(test: ast.expr) -> bool:
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
    return False


def _modules(statement: _Import) -> list[str]:
    """The dotted modules a statement may load: `from a import b` may mean `a.b`, as it does in namespaces."""
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    if statement.level or not statement.module:
        return []
    return [
        statement.module if alias.name == "*" else f"{statement.module}.{alias.name}"
        for alias in statement.names
    ]


def _distributions(statement: _Import) -> set[str]:
    found = set()
    for module in _modules(statement):
        top = module.partition(".")[0]
        # A name outside ASCII or with dunders cannot be a distribution; the run reports what it lacks.
        if top not in _WORKSPACE_ROOTS and top.isascii() and top.strip("_") == top:
            found.add(distribution_of(module))
    return {name for name in found if name is not None}


def _workspace_modules(statement: _Import) -> list[str]:
    """The scripts a statement imports.

    A script lies at least one folder below its root, so `from f.a import b` means `f.a.b`.
    """
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names if alias.name.partition(".")[0] in _WORKSPACE_ROOTS]
    module, level = statement.module or "", statement.level
    parts = module.split(".") if module else []
    if not level and (not parts or parts[0] not in _WORKSPACE_ROOTS):
        return []
    if len(parts) >= (level or 3):
        return ["." * level + module]
    return ["." * level + ".".join([*parts, alias.name]) for alias in statement.names]


class _Pin(NamedTuple):
    line: int
    again: bool
    requirement: str


def _pins(comments: list[Comment]) -> dict[int, _Pin]:
    return {
        comment.line: _Pin(comment.line, match["again"] is not None, without_remark(match["requirement"]))
        for comment in comments
        if (match := _PIN.search(comment.text))
    }


def _inferred(imports: list[_Import], comments: list[Comment]) -> list[str]:
    """Requirements of the import statements, each replaced by the pins on its lines."""
    by_line = _pins(comments)
    names: set[str] = set()
    pinned: dict[str, list[_Pin]] = {}
    replaced: set[str] = set()
    for statement in imports:
        distributions = _distributions(statement)
        lines = range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
        pins = [by_line[line] for line in lines if line in by_line]
        names |= distributions
        for pin in pins:
            name = requirement_name(check_at(pin.line, pin.requirement))
            pinned.setdefault(name, []).append(pin)
        replaced |= distributions if pins else set()
    chosen = [requirement for pins in pinned.values() for requirement in _winners(pins)]
    return [*sorted(names - replaced), *chosen]


def _winners(pins: list[_Pin]) -> list[str]:
    """The last repin of a distribution; without one all its pins, which the resolver must find to agree."""
    repins = [pin.requirement for pin in pins if pin.again]
    return repins[-1:] or [pin.requirement for pin in pins]
