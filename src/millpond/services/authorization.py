"""The first line of every use case: is this actor allowed to do this kind of thing at all?

`authorize` covers what needs no row: the token's scopes, operators, administrators. Whether a certain item may be
seen or changed is decided on its row, by `require_read` and `require_write`.
"""

from collections.abc import Mapping

from millpond.base.errors import PermissionDenied
from millpond.model.actors import Account, Actor
from millpond.model.permissions import can_read, can_write, is_owner, scope_allows

WRITES_OF_OPERATORS = frozenset({"jobs", "resources", "variables", "users"})
"""Domains in which an operator may act: run and cancel, own resources and variables, own tokens."""


def authorize(actor: Actor, domain: str, action: str, path: str | None = None) -> None:
    """Refuse an action the token's scopes do not cover, or that operators may not do. Raises PermissionDenied."""
    if not scope_allows(actor.scopes, domain, action, path):
        raise PermissionDenied(
            f"The token's scopes do not cover {domain}:{action}{f':{path}' if path else ''}"
        )
    if actor.is_operator and action == "write" and domain not in WRITES_OF_OPERATORS:
        raise PermissionDenied(
            f"Operators cannot change {domain}: {actor.username} is an operator of {actor.workspace_id}"
        )


def authorize_account(account: Account, domain: str, action: str) -> None:
    """The same for what lies outside any workspace. Raises PermissionDenied."""
    if not scope_allows(account.scopes, domain, action, None):
        raise PermissionDenied(f"The token's scopes do not cover {domain}:{action}")


def require_admin(actor: Actor) -> None:
    """Raises PermissionDenied unless the actor administers the workspace."""
    if not actor.is_admin:
        raise PermissionDenied(f"Require Admin privileges for {actor.username}")


def require_superadmin(account: Account) -> None:
    """Raises PermissionDenied unless the account administers the instance."""
    if not account.is_superadmin:
        raise PermissionDenied(f"Require superadmin privileges for {account.email}")


def require_read(actor: Actor, kind: str, path: str, extra_perms: Mapping[str, bool]) -> None:
    """Raises PermissionDenied unless the actor may see the item."""
    if not can_read(actor, path, extra_perms):
        raise PermissionDenied(f"{kind} {path} exists but {actor.username} has no access to it")


def require_write(actor: Actor, kind: str, path: str, extra_perms: Mapping[str, bool]) -> None:
    """Raises PermissionDenied unless the actor may change the item."""
    if not can_write(actor, path, extra_perms):
        raise PermissionDenied(f"{actor.username} has no write access to {kind} {path}")


def require_owner(actor: Actor, kind: str, path: str) -> None:
    """Raises PermissionDenied unless the path is the actor's own."""
    if not is_owner(actor, path):
        raise PermissionDenied(f"{actor.username} does not own {kind} {path}")
