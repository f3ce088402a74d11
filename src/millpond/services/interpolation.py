"""Resolves `$var:` and `$res:` references: fetches what is reachable, then lets `model.references` replace.

What the actor may not see counts as missing, as in Windmill. Secrets met on the way are noted for the masking
of logs.
"""

import msgspec

from millpond.base.errors import InvalidInput, NotFound
from millpond.base.paths import check_path
from millpond.model.actors import Actor
from millpond.model.references import (
    MAX_DEPTH,
    Reference,
    ReferencedResource,
    Sources,
    expand_args,
    expand_resource,
    find_references,
)
from millpond.model.resources import CACHE, STATE
from millpond.services.authorization import authorize
from millpond.services.resource_access import may_follow_resource, may_follow_variable, require_read_resource
from millpond.services.secrets_seen import open_secret
from millpond.services.workspace_keys import WorkspaceKeys
from millpond.store import resources as resource_store
from millpond.store import variables as variable_store
from millpond.store.pool import Database, Transaction

MAX_SOURCES = 1000
"""Different variables and resources one value may reach."""

_OPAQUE_TYPES = (STATE, CACHE)


class ResolvedArgs(msgspec.Struct, frozen=True):
    """A job's arguments as its code receives them, and the secrets in them, which its log must not show."""

    args: str
    secrets: list[str]


class _Gathered:
    """What has been fetched so far."""

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.resources: dict[str, ReferencedResource] = {}
        self.secrets: list[str] = []

    def sources(self) -> Sources:
        return Sources(variables=self.variables, resources=self.resources)


class Interpolation:
    """Use cases that replace references by what they stand for."""

    def __init__(self, database: Database, workspace_keys: WorkspaceKeys) -> None:
        self._database = database
        self._workspace_keys = workspace_keys

    async def resource(self, actor: Actor, path: str) -> str:
        """The JSON text of a resource's value with its references replaced; a state comes byte for byte.

        Raises NotFound for the path or a reference, PermissionDenied for the path, InvalidInput when
        references nest too deep or grow too large, SecretUnreadable for a secret that cannot be opened.
        """
        authorize(actor, "resources", "read", path)
        async with self._database.statement() as connection:
            stored = await resource_store.get_value(connection, actor.workspace_id, path)
        if stored is None:
            raise NotFound(f"Resource {path} not found")
        require_read_resource(actor, path, stored.resource_type, stored.extra_perms)
        value = "null" if stored.value is None else stored.value
        if stored.resource_type in _OPAQUE_TYPES or not (references := find_references(value)):
            return value
        gathered = await self._gather(actor, references)
        return expand_resource(path, value, gathered.sources())

    async def args(self, actor: Actor, args: str | bytes) -> ResolvedArgs:
        """A job's arguments, a JSON object's text, with references replaced; without any they come untouched.

        `actor` is whom the job runs as. Raises NotFound and InvalidInput naming the argument, SecretUnreadable for
        a secret that cannot be opened.
        """
        authorize(actor, "variables", "read")
        text = args.decode() if isinstance(args, bytes) else args
        references = find_references(text)
        if not references:
            return ResolvedArgs(text, [])
        for reference in references:
            _check_argument(reference)
        gathered = await self._gather(actor, references)
        return ResolvedArgs(expand_args(text, gathered.sources()), gathered.secrets)

    async def _gather(self, actor: Actor, references: list[Reference]) -> _Gathered:
        # The key first: asking for it with a connection in hand could wait for the pool in a circle.
        workspace_key = await self._workspace_keys.key_of(actor.workspace_id)
        gathered = _Gathered()
        asked: set[tuple[bool, str]] = set()
        async with self._database.statement() as connection:
            # What is reached after so many hops lies beyond the depth that is replaced.
            for _ in range(MAX_DEPTH + 1):
                wanted = {
                    (reference.kind == "res", reference.path)
                    for reference in references
                    if _is_path(reference.path)
                } - asked
                if not wanted:
                    break
                asked |= wanted
                if len(asked) > MAX_SOURCES:
                    raise InvalidInput(
                        f"The references reach over {MAX_SOURCES} different variables and resources"
                    )
                variables = sorted(path for is_resource, path in wanted if not is_resource)
                resources = sorted(path for is_resource, path in wanted if is_resource)
                await _gather_variables(connection, workspace_key, actor, variables, gathered)
                references = await _gather_resources(connection, actor, resources, gathered)
        return gathered


async def _gather_variables(
    connection: Transaction, workspace_key: bytes, actor: Actor, paths: list[str], gathered: _Gathered
) -> None:
    for variable in await variable_store.get_values(connection, actor.workspace_id, paths):
        if not may_follow_variable(actor, variable.path, variable.extra_perms):
            continue
        value = variable.value
        if variable.is_secret:
            value = await open_secret(connection, workspace_key, actor, variable.path, variable.value)
            gathered.secrets.append(value)
        gathered.variables[variable.path] = value


async def _gather_resources(
    connection: Transaction, actor: Actor, paths: list[str], gathered: _Gathered
) -> list[Reference]:
    found: list[Reference] = []
    for path, stored in await resource_store.get_values(connection, actor.workspace_id, paths):
        if not may_follow_resource(actor, path, stored.resource_type, stored.extra_perms):
            continue
        value = "null" if stored.value is None else stored.value
        is_opaque = stored.resource_type in _OPAQUE_TYPES
        gathered.resources[path] = ReferencedResource(value, is_opaque)
        if not is_opaque:
            found += [reference for reference in find_references(value) if reference.kind != "encrypted"]
    return found


def _check_argument(reference: Reference) -> None:
    if reference.kind == "encrypted":
        raise InvalidInput(
            f"Argument `{reference.argument}` is encrypted ($encrypted:), which is not supported"
        )
    if reference.kind == "res" and "/" not in reference.path:
        raise InvalidInput(f"Argument `{reference.argument}` is an invalid resource path: {reference.path}")


def _is_path(path: str) -> bool:
    try:
        check_path(path)
    except InvalidInput:
        return False
    return True
