"""Expressions that are only a lookup or a literal, answered without JavaScript.

Besides being cheap, a plain lookup carries JSON as it stands: integers beyond 2^53, the order of keys, `1.0`. Whatever
JavaScript might answer otherwise (methods, escapes in strings) is not plain.
"""

import json
import re
from functools import lru_cache

import msgspec


class Step(msgspec.Struct, frozen=True):
    """One `.key`, `["key"]` or `[0]`, where `?.` makes it optional."""

    key: str
    optional: bool = False


class Path(msgspec.Struct, frozen=True):
    """A lookup: a variable's name and the way into its value."""

    root: str
    steps: tuple[Step, ...] = ()


class Literal(msgspec.Struct, frozen=True):
    """A value that is written out, as JSON."""

    value: bytes


Plain = Path | Literal


class NeedsJavaScriptError(Exception):
    """What is asked for is not in the value: it inherits it."""


class NoSuchMemberError(Exception):
    """A member of null or undefined was asked for; the text is what JavaScript says."""


_ROOT = re.compile(r"[A-Za-z_$][\w$]*", re.ASCII)
_STEP = re.compile(
    r"""(\??\.)([A-Za-z_$][\w$]*)|(\?\.)?\[(?:(0|[1-9][0-9]{0,8})|"([^"\\\n\r]*)"|'([^'\\\n\r]*)')\]""",
    re.ASCII,
)
_INTEGER = re.compile(r"-?[1-9][0-9]{0,14}|0")
_STRING = re.compile(r"\"([^\"\\\x00-\x1f\ud800-\udfff]*)\"|'([^'\\\x00-\x1f\ud800-\udfff]*)'")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_CONSTANTS = {
    name: Literal(value)
    for name, value in {
        "true": b"true",
        "false": b"false",
        "null": b"null",
        "undefined": b"null",
        "[]": b"[]",
        "{}": b"{}",
    }.items()
}
_KEYWORDS = frozenset({"this", "globalThis", "NaN", "Infinity", "arguments"})
# What objects, arrays, strings or numbers inherit: functions, mostly.
_INHERITED_NAMES = """
    __defineGetter__ __defineSetter__ __lookupGetter__ __lookupSetter__ __proto__ anchor at big blink bold
    charAt charCodeAt codePointAt concat constructor copyWithin endsWith entries every fill filter find
    findIndex findLast findLastIndex fixed flat flatMap fontcolor fontsize forEach hasOwnProperty includes
    indexOf isPrototypeOf isWellFormed italics join keys lastIndexOf link localeCompare map match matchAll
    normalize padEnd padStart pop propertyIsEnumerable push reduce reduceRight repeat replace replaceAll
    reverse search shift slice small some sort splice split startsWith strike sub substr substring sup
    toExponential toFixed toLocaleLowerCase toLocaleString toLocaleUpperCase toLowerCase toPrecision
    toReversed toSorted toSpliced toString toUpperCase toWellFormed trim trimEnd trimLeft trimRight trimStart
    unshift valueOf values with
"""
_INHERITED = frozenset(_INHERITED_NAMES.split())


@lru_cache(maxsize=4096)
def read_plain(code: str) -> Plain | None:
    """The lookup or literal the text is, or None when it takes JavaScript to say what it means."""
    text = code.strip(" \t\r\n")
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INTEGER.fullmatch(text):
        return Literal(text.encode())
    if quoted := _STRING.fullmatch(text):
        return Literal(msgspec.json.encode(quoted[1] if quoted[1] is not None else quoted[2]))
    root = _ROOT.match(text)
    if root is None or root[0] in _KEYWORDS:
        return None
    steps = _steps(text, root.end())
    return None if steps is None else Path(root[0], steps)


def _steps(text: str, position: int) -> tuple[Step, ...] | None:
    steps: list[Step] = []
    while position < len(text):
        found = _STEP.match(text, position)
        if found is None:
            return None
        dot, name, optional_bracket, index, double, single = found.groups()
        key = next(part for part in (name, index, double, single) if part is not None)
        steps.append(Step(key, optional=dot == "?." or optional_bracket is not None))
        position = found.end()
    return tuple(steps)


def value_at(value: bytes, steps: tuple[Step, ...], *, lenient: bool = False) -> bytes:
    """The JSON that the steps lead to; null when there is none.

    A member of null or undefined raises `NoSuchMemberError`, as JavaScript does, unless the step is optional or the
    lookup is `lenient`. What a value inherits raises `NeedsJavaScriptError`.
    """
    current: bytes | None = value
    for step in steps:
        if current is None or current.strip() == b"null":
            if step.optional or lenient:
                return b"null"
            kind = "undefined" if current is None else "null"
            raise NoSuchMemberError(f"TypeError: cannot read property '{step.key}' of {kind}")
        current = _member(current, step.key)
    return b"null" if current is None else current


def _member(value: bytes, key: str) -> bytes | None:
    found: bytes | None = None
    match value.lstrip()[:1]:
        case b"{":
            found = _members(value).get(key)
        case b"[":
            found = _item(value, key)
        case b'"':
            found = _character(value, key)
    if found is None and key in _INHERITED:
        raise NeedsJavaScriptError
    return found


def _members(value: bytes) -> dict[str, bytes]:
    try:
        members = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        # Lone surrogates, which JSON allows in escapes, are beyond msgspec.
        return {key: json.dumps(member).encode() for key, member in json.loads(value).items()}
    return {key: bytes(member) for key, member in members.items()}


def _item(value: bytes, key: str) -> bytes | None:
    items = msgspec.json.decode(value, type=list[msgspec.Raw])
    if key == "length":
        return str(len(items)).encode()
    return bytes(items[int(key)]) if _INDEX.fullmatch(key) and int(key) < len(items) else None


def _character(value: bytes, key: str) -> bytes | None:
    # JavaScript's strings are made of UTF-16 units.
    units = json.loads(value).encode("utf-16-le", "surrogatepass")
    if key == "length":
        return str(len(units) // 2).encode()
    if not _INDEX.fullmatch(key) or 2 * int(key) >= len(units):
        return None
    character = units[2 * int(key) :][:2].decode("utf-16-le", "surrogatepass")
    return json.dumps(character, ensure_ascii="\ud800" <= character <= "\udfff").encode()


def is_truthy(value: bytes) -> bool:
    """Whether JavaScript's `Boolean` is true of this JSON."""
    text = value.strip()
    if text in {b"null", b"false", b'""'}:
        return False
    return text[:1] not in b"-0123456789" or float(text) != 0
