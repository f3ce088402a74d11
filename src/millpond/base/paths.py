"""The rule every workspace path obeys, and the names inside it."""

import re
from typing import NamedTuple

from millpond.base.errors import InvalidInput

MAX_PATH = 255
_PATH = re.compile(r"[ufg](/[\w-]+){2,}", re.ASCII)
_NAME = re.compile(r"[\w-]{1,50}", re.ASCII)
_WORKSPACE = re.compile(r"[a-z0-9][a-z0-9_-]{0,49}")


class PathParts(NamedTuple):
    """`f/etl/load` is kind `f`, owner `etl`."""

    kind: str
    owner: str


def check_path(path: str) -> str:
    """`path` itself when it is `u|f|g / owner / name…`; raises InvalidInput saying what is wrong."""
    if len(path) > MAX_PATH:
        raise InvalidInput(f"The path is {len(path)} characters long, {MAX_PATH} are allowed: {path[:60]!r}…")
    if not _PATH.fullmatch(path):
        raise InvalidInput(
            f"Invalid path {path!r}: a path is u/<user>/<name>, f/<folder>/<name> or g/<group>/<name>, "
            "made of letters, digits, '_' and '-'"
        )
    return path


def split_path(path: str) -> PathParts:
    """The kind and owner of a path that obeys the rule."""
    kind, owner, _ = path.split("/", 2)
    return PathParts(kind, owner)


def check_name(name: str, kind: str) -> str:
    """`name` itself when it can name a folder, group, user or resource type; raises InvalidInput otherwise."""
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"Invalid {kind} name {name[:60]!r}: use 1 to 50 letters, digits, '_' and '-'")
    return name


def check_workspace_id(workspace_id: str) -> str:
    """`workspace_id` itself when it can name a workspace; raises InvalidInput otherwise."""
    if not _WORKSPACE.fullmatch(workspace_id):
        raise InvalidInput(
            f"Invalid workspace id {workspace_id[:60]!r}: use 1 to 50 lowercase letters, digits, '_' and '-'"
        )
    return workspace_id


def username_from_email(email: str) -> str:
    """The username an e-mail address suggests: its local part, with what a path cannot hold replaced by '_'."""
    local = re.sub(r"[^\w-]", "_", email.split("@", 1)[0], flags=re.ASCII)[:50]
    return local or "user"


def is_path(path: str) -> bool:
    """Whether `path` obeys the rule of `check_path`."""
    return len(path) <= MAX_PATH and _PATH.fullmatch(path) is not None
