"""What the top level of a Python module defines, as far as signatures refer to it. Nothing is executed."""

import ast
import math
import warnings
from collections.abc import Iterator
from typing import NamedTuple

Function = ast.FunctionDef | ast.AsyncFunctionDef

_NESTING = ast.stmt | ast.ExceptHandler | ast.match_case
_LARGEST_INTEGER = 2**63
_LONGEST_CONSTANT = 10_000


class Module(NamedTuple):
    """Definitions by name, the last of each; `imports` maps local names to dotted ones."""

    functions: dict[str, Function]
    classes: dict[str, ast.ClassDef]
    assigned: dict[str, ast.expr]
    imports: dict[str, str]


class Constant(NamedTuple):
    """A value known from the text; JSON can carry it."""

    value: object


def parse_module(code: str) -> Module:
    """Read a module. Raises as `ast.parse` does for text that is none."""
    module = Module({}, {}, {}, {})
    for statement in _top_level(parse(code, "exec").body):
        _define(module, statement)
    return module


def parse(code: str, mode: str) -> ast.Module:
    """`ast.parse`, without its warnings about the script's invalid escapes: those belong to the run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(code.removeprefix("\ufeff"), mode=mode)
    if isinstance(tree, ast.Expression):
        return ast.Module(body=[ast.Expr(tree.body)], type_ignores=[])
    assert isinstance(tree, ast.Module)
    return tree


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run at import, in the order of the text, also those inside `if`, `try` and the like."""
    pending: list[ast.AST] = list(reversed(body))
    while pending:
        node = pending.pop()
        if isinstance(node, ast.stmt):
            yield node
        if not isinstance(node, Function | ast.ClassDef):
            inner = ast.iter_child_nodes(node)
            pending.extend(reversed([child for child in inner if isinstance(child, _NESTING)]))


def _define(module: Module, statement: ast.stmt) -> None:
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            module.functions[statement.name] = statement
        case ast.ClassDef():
            module.classes[statement.name] = statement
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            _assign(module, name, value)
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            _assign(module, name, value)
        case ast.Import():
            for alias in statement.names:
                module.imports[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        case ast.ImportFrom():
            for alias in statement.names:
                module.imports[alias.asname or alias.name] = f"{statement.module or ''}.{alias.name}"
        case _ if type(statement).__name__ == "TypeAlias":
            # `type X = ...`, whose node exists from Python 3.12 on.
            _assign(module, statement.name.id, statement.value)  # type: ignore[attr-defined]


def _assign(module: Module, name: str, value: ast.expr) -> None:
    if isinstance(value, ast.Name) and value.id in module.functions:
        module.functions[name] = module.functions[value.id]
    module.assigned[name] = value


def constant_of(expression: ast.expr, module: Module) -> Constant | None:
    """The value of a literal, a module constant or a member of an enumeration; None when it is computed."""
    match expression:
        case ast.Name(id=name) if name in module.assigned:
            return literal(module.assigned[name])
        case ast.Attribute(value=ast.Name(id=name), attr=member) if name in module.classes:
            values = enum_members(module.classes[name])
            return Constant(values[member]) if member in values else None
    return literal(expression)


def literal(expression: ast.expr) -> Constant | None:
    """The value of a literal, if JSON can carry it."""
    try:
        return Constant(_jsonable(ast.literal_eval(expression)))
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _jsonable(value: object) -> object:
    """`value` with tuples and sets as lists. Raises ValueError for what JSON has no form for."""
    match value:
        case None | bool():
            return value
        case str() if len(value) <= _LONGEST_CONSTANT:
            # Lone surrogates have no UTF-8, and raise a ValueError here.
            return value.encode().decode()
        case int() if abs(value) < _LARGEST_INTEGER:
            return value
        case float() if math.isfinite(value):
            return value
        case list() | tuple() if len(value) <= _LONGEST_CONSTANT:
            return [_jsonable(item) for item in value]
        case dict() if all(isinstance(key, str) for key in value) and len(value) <= _LONGEST_CONSTANT:
            return {str(_jsonable(key)): _jsonable(item) for key, item in value.items()}
    raise ValueError("JSON has no form for this value")


def enum_members(definition: ast.ClassDef) -> dict[str, object]:
    """The members of an enumeration whose values are literals or `auto()`, which counts or names them."""
    members: dict[str, object] = {}
    is_text = any(base_name(base) == "StrEnum" for base in definition.bases)
    for statement in definition.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=function)) if (
                base_name(function) == "auto"
            ):
                members[name] = name.lower() if is_text else len(members) + 1
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if not name.startswith("_"):
                if (constant := literal(value)) is not None:
                    members[name] = constant.value
    return members


def base_name(expression: ast.expr) -> str:
    """The last part of a dotted name, "" when the expression is none."""
    match expression:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value) | ast.Call(func=value):
            return base_name(value)
    return ""
