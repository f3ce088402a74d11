"""The tag a job waits under; it may name the workspace and arguments of the run (compat facts, flows 3.8)."""

import re

import msgspec

from millpond.base.errors import InvalidInput
from millpond.services.json_paths import value_at

LONGEST_TAG = 255

_PLACE = re.compile(r"\$workspace\b|\$args\[([^\[\]]+)\]")


def tag_of(template: str, workspace_id: str, args: str) -> str:
    """`template` with `$workspace` and `$args[a.b]` replaced. Raises InvalidInput for a tag over 255 characters."""

    def value(place: re.Match[str]) -> str:
        if place[1] is None:
            return workspace_id
        found = value_at(args, place[1])
        return msgspec.json.decode(found, type=str) if found.startswith('"') else found

    tag = _PLACE.sub(value, template)
    if not 0 < len(tag) <= LONGEST_TAG or "\x00" in tag:
        raise InvalidInput(f"A job's tag has 1 to {LONGEST_TAG} characters: {tag[:60]!r}")
    return tag
