"""From a job's JSON arguments to the keyword arguments of its entrypoint.

As in Windmill, a parameter annotated `datetime`, `date`, `time` or `bytes`, or one of these or None, gets a
value of that type made from its text; everything else stays what JSON made of it.
"""

import base64
import contextlib
import datetime
from collections.abc import Callable, Mapping
from types import CodeType
from typing import cast

_VARIABLE_KEYWORDS = 0x08
# The form's placeholder for a default that is computed by the script: the script's own default applies.
_COMPUTED_DEFAULT = "<function call>"


def _to_date(text: str) -> datetime.date:
    return datetime.datetime.fromisoformat(text).date()


def _to_bytes(text: str) -> bytes:
    return base64.b64decode(text.rpartition(";base64,")[2] if text.startswith("data:") else text)


_CONVERSIONS: dict[object, Callable[[str], object]] = {
    datetime.datetime: datetime.datetime.fromisoformat,
    datetime.date: _to_date,
    datetime.time: datetime.time.fromisoformat,
    bytes: _to_bytes,
}


def call_with(function: Callable[..., object], args: Mapping[str, object]) -> object:
    """Call `function` with those of `args` that it declares, or all when it takes `**kwargs`.

    A parameter without argument or default ends in the `TypeError` Python itself raises.
    """
    innermost = _unwrapped(function)
    code: CodeType | None = getattr(innermost, "__code__", None)
    given = {name: value for name, value in args.items() if value != _COMPUTED_DEFAULT}
    if code is None:
        return function(**given)
    declared = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if not code.co_flags & _VARIABLE_KEYWORDS:
        given = {name: given[name] for name in declared if name in given}
    annotations = _annotations(innermost)
    for name, value in given.items():
        if isinstance(value, str) and name in annotations:
            given[name] = _convert(name, value, annotations[name])
    positional = []
    for name in declared[: code.co_posonlyargcount]:
        if name not in given:
            break
        positional.append(given.pop(name))
    return function(*positional, **given)


def _unwrapped(function: object) -> object:
    # A decorator made with functools.wraps takes (*args, **kwargs); what is declared is on the function
    # within.
    for _ in range(100):
        if not hasattr(function, "__wrapped__"):
            break
        function = function.__wrapped__
    return function


def _annotations(function: object) -> Mapping[str, object]:
    try:
        annotations = cast("dict[str, object]", getattr(function, "__annotations__", {}))
    except Exception:  # noqa: BLE001 - since Python 3.14 reading them runs user code
        return {}
    namespace = getattr(function, "__globals__", {})
    resolved = {}
    for name, annotation in annotations.items():
        if isinstance(annotation, str):
            # `from __future__ import annotations`: the text is the user's own code, evaluated in its own
            # module.
            with contextlib.suppress(Exception):
                resolved[name] = eval(annotation, namespace)  # noqa: S307
        else:
            resolved[name] = annotation
    return resolved


def _convert(name: str, text: str, annotation: object) -> object:
    convert = _CONVERSIONS.get(_required_type(annotation))
    if convert is None:
        return text
    try:
        return convert(text)
    except ValueError as error:
        raise ValueError(f"argument '{name}': {error}") from error


def _required_type(annotation: object) -> object:
    """`T` of `T`, `T | None`, `Optional[T]` and `Annotated[T, ...]`; None for what is not converted."""
    if hasattr(annotation, "__metadata__"):
        return _required_type(getattr(annotation, "__origin__", None))
    if type(annotation).__name__ in {"UnionType", "_UnionGenericAlias", "Union"}:
        members = [a for a in getattr(annotation, "__args__", ()) if a is not type(None)]
        return _required_type(members[0]) if len(members) == 1 else None
    return annotation if isinstance(annotation, type) else None
