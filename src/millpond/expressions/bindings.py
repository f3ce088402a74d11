"""Which of the offered variables an expression is given, and as much of each as its text reads.

A name may be a member of another: `flow_input.iter` replaces the member `iter` of `flow_input`. So the arguments of a
flow need not be put together anew for each item of a loop.
"""

from collections.abc import Mapping

import msgspec

from millpond.expressions.plain import Path
from millpond.expressions.references import members_used, names_used
from millpond.expressions.splicing import with_members

_SMALL_BYTES = 2048
"""Below this, reading an object to leave members out costs more than sending it."""


def bindings_of(code: str, names: Mapping[str, bytes]) -> dict[str, bytes]:
    """The names the text mentions, objects narrowed to the members it reads when it reads them by name."""
    words = names_used(code)
    bound = {}
    for name, value in names.items():
        root, dot, member = name.partition(".")
        if root not in words:
            continue
        members = members_used(code, root)
        if not dot:
            bound[name] = _narrowed(value, members)
        elif members is None or member in members:
            bound[name] = value
    return bound


def _narrowed(value: bytes, members: frozenset[str] | None) -> bytes:
    if members is None or len(value) <= _SMALL_BYTES or value.lstrip()[:1] != b"{":
        return value
    try:
        whole = msgspec.json.decode(value, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        return value
    return msgspec.json.encode({name: member for name, member in whole.items() if name in members})


def start_of(path: Path, names: Mapping[str, bytes]) -> tuple[bytes, Path] | None:
    """The JSON a plain lookup starts from and the rest of its way; None when its root is not among the names."""
    prefix = f"{path.root}."
    parts = {name.removeprefix(prefix): value for name, value in names.items() if name.startswith(prefix)}
    if path.steps and path.steps[0].key in parts:
        return parts[path.steps[0].key], Path(path.root, path.steps[1:])
    if path.root not in names and not parts:
        return None
    base = names.get(path.root, b"{}")
    return (with_members(base, parts) if parts and not path.steps else base), path
