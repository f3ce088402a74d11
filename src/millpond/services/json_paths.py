"""Picks a part of JSON text by a dotted path, the rest untouched byte for byte."""

import re

import msgspec

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def value_at(text: str, path: str) -> str:
    """The part of `text` at `path` (`a.b[0].c`), JSON text; `null` when there is none."""
    part = msgspec.Raw(text.encode())
    for name, index in _STEP.findall(path):
        try:
            if index:
                part = msgspec.json.decode(part, type=list[msgspec.Raw])[int(index)]
            else:
                part = msgspec.json.decode(part, type=dict[str, msgspec.Raw])[name]
        except (msgspec.DecodeError, msgspec.ValidationError, KeyError, IndexError, RecursionError):
            return "null"
    return bytes(part).decode()
