"""The signature of a Python script, read from its syntax tree.

Annotations are turned into schemas by `python_types`; here are the entry point, its parameters, their
defaults and what its docstring says of them.
"""

import ast
import re
from collections.abc import Iterator
from typing import NamedTuple

from millpond.signatures.python_module import Module, constant_of, parse_module
from millpond.signatures.python_types import Annotations, Schema, schema_of_value
from millpond.signatures.signature import Signature, arguments_schema


def infer(code: str, entrypoint: str = "main") -> Signature:
    """The signature of the last top-level function named `entrypoint`.

    Never raises: code with a syntax error has an empty schema and says so in `error`.
    """
    try:
        module = parse_module(code)
    except SyntaxError as error:
        # Only the message: the text quoted by the error is the script's.
        return _failed(f"line {error.lineno or 1}: {error.msg}")
    except ValueError:
        return _failed("line 1: the text has characters that Python source cannot have")
    except (RecursionError, MemoryError):
        return _failed("line 1: the code is nested too deeply")
    function = module.functions.get(entrypoint)
    has_preprocessor = "preprocessor" in module.functions
    if function is None:
        return Signature(
            schema=arguments_schema({}, []), has_main=False, has_preprocessor=has_preprocessor, error=None
        )
    return Signature(schema=_schema(module, function), has_main=True, has_preprocessor=has_preprocessor)


def _failed(error: str) -> Signature:
    return Signature(schema=arguments_schema({}, []), has_main=False, error=error)


class _Parameter(NamedTuple):
    argument: ast.arg
    default: ast.expr | None


def _schema(module: Module, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Schema:
    annotations = Annotations(module)
    descriptions = _descriptions(ast.get_docstring(function) or "")
    properties: dict[str, object] = {}
    required: list[str] = []
    for parameter in _parameters(function.args):
        name = parameter.argument.arg
        schema = _property(module, annotations, parameter)
        if name in descriptions:
            schema["description"] = descriptions[name]
        if parameter.default is None and not schema.get("nullable"):
            required.append(name)
        properties[name] = schema
    return arguments_schema(properties, required)


def _parameters(arguments: ast.arguments) -> Iterator[_Parameter]:
    """All but `*args` and `**kwargs`, in the order of the text."""
    positional = [*arguments.posonlyargs, *arguments.args]
    missing = len(positional) - len(arguments.defaults)
    for argument, default in zip(positional, [*([None] * missing), *arguments.defaults], strict=True):
        yield _Parameter(argument, default)
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _Parameter(argument, default)


def _property(module: Module, annotations: Annotations, parameter: _Parameter) -> Schema:
    annotation = parameter.argument.annotation
    schema = annotations.schema(annotation) if annotation is not None else {}
    if parameter.default is None:
        return schema | {"default": None} if schema.get("nullable") else schema
    constant = constant_of(parameter.default, module)
    if constant is None:
        # Computed when the function is called, such as `datetime.now()`: optional, but not known here.
        return schema
    if constant.value is not None and schema in ({}, {"type": "array"}):
        schema = schema_of_value(constant.value)
    return schema | {"default": constant.value}


_SECTION = re.compile(r"(?:Args|Arguments|Parameters):")
_ENTRY = re.compile(r"(?P<indent>\s+)\*{0,2}(?P<name>\w+)\s*(?:\([^()]*\))?:\s+(?P<text>\S.*)")
_FIELD = re.compile(r"\s*:param\s+(?:[^\s:]+\s+)?(?P<name>\w+):\s*(?P<text>\S.*)")


def _descriptions(docstring: str) -> dict[str, str]:
    """What a docstring says of parameters, written as an `Args:` section or as `:param name:` fields."""
    found: dict[str, str] = {}
    in_section, indent, current = False, "", ""
    for line in docstring.splitlines():
        if field := _FIELD.fullmatch(line):
            found[field["name"]] = field["text"].strip()
        elif _SECTION.fullmatch(line):
            in_section, indent = True, ""
        elif in_section and line.strip() and not line[0].isspace():
            in_section = False
        elif in_section and line.strip():
            entry = _ENTRY.fullmatch(line)
            if entry and indent in {"", entry["indent"]}:
                indent, current = entry["indent"], entry["name"]
                found[current] = entry["text"].strip()
            elif current:
                found[current] += f" {line.strip()}"
    return found
