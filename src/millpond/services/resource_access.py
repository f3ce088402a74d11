"""Who may read and change a resource: the rules of paths, and a job's right to the state that is its own."""

from collections.abc import Mapping

from millpond.model.actors import Actor
from millpond.model.permissions import can_read, can_write, scope_allows
from millpond.model.resources import STATE
from millpond.services.authorization import require_read, require_write


def require_read_resource(
    actor: Actor, path: str, resource_type: str, extra_perms: Mapping[str, bool]
) -> None:
    """Raises PermissionDenied unless the actor may see the resource."""
    if not _is_own_state(actor, path, resource_type):
        require_read(actor, "Resource", path, extra_perms)


def require_write_resource(
    actor: Actor, path: str, resource_type: str, extra_perms: Mapping[str, bool]
) -> None:
    """Raises PermissionDenied unless the actor may create, change or delete the resource."""
    if not _is_own_state(actor, path, resource_type):
        require_write(actor, "resource", path, extra_perms)


def may_write_without_grant(actor: Actor, path: str, resource_type: str) -> bool:
    """Whether the actor may write the path by its own rights, so that what the row grants cannot matter."""
    return _is_own_state(actor, path, resource_type) or can_write(actor, path, {})


def may_follow_resource(actor: Actor, path: str, resource_type: str, extra_perms: Mapping[str, bool]) -> bool:
    """Whether a `$res:` reference to the resource opens for the actor, the token's scopes included."""
    seen = _is_own_state(actor, path, resource_type) or can_read(actor, path, extra_perms)
    return seen and scope_allows(actor.scopes, "resources", "read", path)


def may_follow_variable(actor: Actor, path: str, extra_perms: Mapping[str, bool]) -> bool:
    """Whether a `$var:` reference to the variable opens for the actor, the token's scopes included."""
    return can_read(actor, path, extra_perms) and scope_allows(actor.scopes, "variables", "read", path)


def _is_own_state(actor: Actor, path: str, resource_type: str) -> bool:
    # A job may always use the state slot that is its own, also when whoever runs it can only read the folder.
    return actor.job is not None and actor.job.state_path == path and resource_type == STATE
