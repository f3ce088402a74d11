"""The rules of who may see and change what: pure functions over an actor, a path and its extra permissions.

A path belongs to its owner: `u/<user>` to that user, `g/<group>` to the group's members, `f/<folder>` to
those the folder names. `extra_perms` of an item adds principals: `{"u/henri": true}` may write, false only
read.
"""

import re
from collections.abc import Iterable, Mapping

from millpond.base.errors import InvalidInput
from millpond.base.paths import split_path
from millpond.model.actors import Actor

_SCOPE = re.compile(r"\*|(\*|[a-z_]+):(\*|[a-z_]+)(:[^:\s]+){0,2}", re.ASCII)
_PRINCIPAL = re.compile(r"[ug]/[\w-]{1,50}", re.ASCII)


def can_read(actor: Actor, path: str, extra_perms: Mapping[str, bool]) -> bool:
    """Whether the item may be seen."""
    if actor.is_admin or is_owner(actor, path):
        return True
    kind, owner = split_path(path)
    if kind == "f" and owner in actor.readable_folders:
        return True
    return any(principal in extra_perms for principal in actor.principals())


def can_write(actor: Actor, path: str, extra_perms: Mapping[str, bool]) -> bool:
    """Whether the item may be created, changed or deleted."""
    if actor.is_admin or is_owner(actor, path):
        return True
    kind, owner = split_path(path)
    if kind == "f" and owner in actor.writable_folders:
        return True
    return any(extra_perms.get(principal, False) for principal in actor.principals())


def is_owner(actor: Actor, path: str) -> bool:
    """Whether the path is the actor's own: renames and changes of permissions ask for this."""
    if actor.is_admin:
        return True
    kind, owner = split_path(path)
    match kind:
        case "u":
            return owner == actor.username
        case "g":
            return owner in actor.groups and owner != "all"
        case _:
            return owner in actor.owned_folders


def may_manage(actor: Actor, extra_perms: Mapping[str, bool]) -> bool:
    """Whether a group may be changed: by administrators, and by those its `extra_perms` let write."""
    return actor.is_admin or any(extra_perms.get(principal, False) for principal in actor.principals())


def owns_folder(actor: Actor, owners: Iterable[str]) -> bool:
    """Whether a folder may be changed: by administrators and by its owners."""
    return actor.is_admin or not set(owners).isdisjoint(actor.principals())


def check_principal(principal: str) -> str:
    """`principal` itself when it is `u/<user>` or `g/<group>`; raises InvalidInput otherwise."""
    if not _PRINCIPAL.fullmatch(principal):
        raise InvalidInput(f"Invalid principal {principal[:60]!r}: use u/<user> or g/<group>")
    return principal


def scope_allows(scopes: tuple[str, ...] | None, domain: str, action: str, path: str | None) -> bool:
    """Whether a token's scopes cover an action.

    A scope is `<domain>:<action>[:<path>[,<path>…]]`; `write` covers `read`, `*` covers all, and a path
    ends in `/*` to cover what is below it. `jobs:run:scripts:<path>` names the kind of runnable before its
    path. What spans many paths, a list say (`path` None), needs a scope that names none.
    """
    if scopes is None:
        return True
    return any(_scope_covers(scope, domain, action, path) for scope in scopes)


def check_scope(scope: str) -> str:
    """`scope` itself when it has a form that could ever cover something; raises InvalidInput otherwise."""
    if not _SCOPE.fullmatch(scope):
        raise InvalidInput(
            f"Invalid scope {scope[:100]!r}: use <domain>:<action>, with :<path> to limit it, or *"
        )
    return scope


def scope_within(held: tuple[str, ...] | None, scope: str) -> bool:
    """Whether one who holds `held` may grant `scope`: never more than is held."""
    return held is None or any(_scope_contains(outer, scope) for outer in held)


def _scope_contains(outer: str, inner: str) -> bool:
    if outer in ("*", inner):
        return True
    held, wanted = outer.split(":"), inner.split(":")
    if inner == "*" or held[0] not in (wanted[0], "*"):
        return False
    if len(held) > 1 and (len(wanted) == 1 or not _action_covers(held[1], wanted[1])):
        return False
    limits, wished = held[2:], wanted[2:]
    if len(wished) < len(limits):
        return False
    return all(_all_patterns_within(ours, theirs) for ours, theirs in zip(limits, wished, strict=False))


def _all_patterns_within(ours: str, theirs: str) -> bool:
    # A pattern is covered as a path of the same text is: `f/a/*` covers `f/a/b/*` as it covers `f/a/b/c`.
    return all(_any_path_covers(ours, pattern) for pattern in theirs.split(","))


def _scope_covers(scope: str, domain: str, action: str, path: str | None) -> bool:
    if scope == "*":
        return True
    parts = scope.split(":")
    if parts[0] not in (domain, "*") or (len(parts) > 1 and not _action_covers(parts[1], action)):
        return False
    if len(parts) <= 2:
        return True
    wanted = path or ""
    if domain == "jobs" and action == "run":
        return parts[2] in (wanted.split(":", 1)[0], "*") and (
            len(parts) == 3 or _any_path_covers(parts[3], wanted.partition(":")[2])
        )
    return path is not None and _any_path_covers(parts[2], path)


def _action_covers(held: str, action: str) -> bool:
    return held in (action, "*") or (held == "write" and action == "read")


def _any_path_covers(patterns: str, path: str) -> bool:
    return any(
        pattern in ("*", path) or (pattern.endswith("/*") and path.startswith(pattern[:-1]))
        for pattern in patterns.split(",")
    )
