"""From what a script returns to JSON that any database and any client can read.

Beside JSON's own types: dates and times in ISO form, bytes in base64, sets and tuples as arrays, decimals,
UUIDs and paths as strings, dataclasses, Pydantic models and mappings as objects, enums by value, NumPy arrays
and data frames row by row. NaN and the infinities become null. What has no such form is an error that names
its type.
"""

import base64
import collections.abc
import datetime
import json
import math
import sys
from collections.abc import Callable

_SEPARATORS = (",", ":")


def encode(value: object, fallback: Callable[[object], object] | None = None) -> bytes:
    """`value` as JSON in UTF-8, keys in their own order.

    `fallback` turns what would be a `TypeError` into something else. A structure that contains itself is a
    `ValueError`.
    """

    def default(item: object) -> object:
        try:
            return plain(item)
        except TypeError:
            if fallback is None:
                raise
            return fallback(item)

    try:
        text = _dump(value, default)
    except (ValueError, TypeError):
        # Rare: NaN, keys that are no strings, or a real error, which the slow way then raises.
        text = _dump(_cleaned(value, default, set()), default)
    return text.encode("utf-8", "replace")  # half a surrogate pair has no UTF-8


def _dump(value: object, default: Callable[[object], object]) -> str:
    return json.dumps(value, default=default, allow_nan=False, ensure_ascii=False, separators=_SEPARATORS)


def _cleaned(value: object, default: Callable[[object], object], within: set[int]) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if id(value) in within:
        raise ValueError("the result contains itself (circular reference)")
    within.add(id(value))
    try:
        if isinstance(value, dict):
            return {_key(k, default): _cleaned(v, default, within) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [_cleaned(item, default, within) for item in value]
        return _cleaned(default(value), default, within)
    finally:
        within.discard(id(value))


def _key(key: object, default: Callable[[object], object]) -> str:
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, (bool, int, float)):
        return json.dumps(key)
    if isinstance(key, tuple):
        return str(key)
    converted = default(key)
    return converted if isinstance(converted, str) else str(converted)


def plain(value: object) -> object:
    """One level of `value` in JSON's own types; raises `TypeError` naming a type that has no such form."""
    if isinstance(value, (datetime.date, datetime.time)):
        text = value.isoformat()
        return None if text == "NaT" else text
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, collections.abc.Mapping):
        return dict(value)
    if isinstance(value, (collections.abc.Set, collections.abc.Sequence, collections.abc.ValuesView)):
        return list(value)
    return _plain_of_library(value)


def _plain_of_library(value: object) -> object:
    # Looked up among the modules the script has loaded: an object of a type that was never imported cannot
    # occur, and importing them here would cost every job.
    kind = type(value)
    if hasattr(kind, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in kind.__dataclass_fields__ if hasattr(value, name)}
    for module, name, method in _METHODS:
        if _is_instance(value, module, name):
            return method(value)
    if hasattr(kind, "model_dump"):
        return value.model_dump()  # type: ignore[attr-defined]
    if kind.__module__.startswith("pandas.") and kind.__name__ in {"NAType", "NaTType"}:
        return None
    raise TypeError(f"Object of type {_name(kind)} is not JSON serializable")


def _is_instance(value: object, module: str, name: str) -> bool:
    found = getattr(sys.modules.get(module), name, None)
    return isinstance(found, type) and isinstance(value, found)


def _name(kind: type) -> str:
    own = kind.__module__ in {"builtins", "script"}
    return kind.__qualname__ if own else f"{kind.__module__}.{kind.__qualname__}"


def _call(name: str, **keywords: object) -> Callable[[object], object]:
    return lambda value: getattr(value, name)(**keywords)


_METHODS: tuple[tuple[str, str, Callable[[object], object]], ...] = (
    ("decimal", "Decimal", str),
    ("uuid", "UUID", str),
    ("pathlib", "PurePath", str),
    ("enum", "Enum", lambda value: getattr(value, "value", None)),
    ("numpy", "generic", _call("item")),
    ("numpy", "ndarray", _call("tolist")),
    ("pandas", "DataFrame", _call("to_dict", orient="records")),
    ("pandas", "Series", _call("tolist")),
    ("pandas", "Index", _call("tolist")),
    ("polars", "DataFrame", _call("to_dicts")),
    ("polars", "Series", _call("to_list")),
)
