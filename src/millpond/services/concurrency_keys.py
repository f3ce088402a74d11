"""The key under which runs are counted; it may name the workspace and arguments of the run (compat facts, flows 3.8)."""

import hashlib
import re

import msgspec

from millpond.services.json_paths import value_at

LONGEST_KEY = 255

_PLACE = re.compile(r"\$workspace\b|\$flow_path\b|\$args\[([^\[\]]+)\]")


def concurrency_key_of(
    template: str | None,
    workspace_id: str,
    kind: str,
    path: str | None,
    args: str,
    *,
    flow_path: str | None = None,
) -> str:
    """The key of a run: the template with its places filled, by default `{workspace}/{kind}/{path}`.

    `kind` is `script` or `flow`, `args` a JSON object as it is stored, with references unresolved: a key holds no
    secret. `$flow_path` is the deployed flow a step belongs to, for other runs their own path. A key that is too long,
    or is no text for a database, ends in a digest.
    """
    if not template:
        return _shortened(f"{workspace_id}/{kind}/{path or ''}")

    def value(place: re.Match[str]) -> str:
        if place[0] == "$workspace":
            return workspace_id
        if place[0] == "$flow_path":
            return flow_path or path or ""
        found = value_at(args, place[1])
        return msgspec.json.decode(found, type=str) if found.startswith('"') else found

    return _shortened(_PLACE.sub(value, template))


def _shortened(key: str) -> str:
    if len(key) <= LONGEST_KEY and "\x00" not in key:
        return key
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    kept = key.replace("\x00", "")[: LONGEST_KEY - len(digest) - 1]
    return f"{kept}:{digest}"
