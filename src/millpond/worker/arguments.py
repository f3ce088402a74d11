"""Resolves the references in a job's arguments, with the rights of the job itself."""

import msgspec

from millpond.model.jobs import Claim
from millpond.services.identities import Identities
from millpond.services.interpolation import Interpolation


class Arguments(msgspec.Struct, frozen=True):
    """Arguments as JSON text with references resolved, and the secrets met on the way."""

    json: str
    secrets: list[str]


class JobArguments:
    """Resolves arguments when a job starts; they are stored unresolved, so that no secret lies in the job's row."""

    def __init__(self, identities: Identities, interpolation: Interpolation) -> None:
        self._identities = identities
        self._interpolation = interpolation

    async def resolve(self, claim: Claim, token: str) -> Arguments:
        """The arguments of a claim. Raises NotFound, PermissionDenied or InvalidInput naming the argument."""
        text = claim.args or "{}"
        if "$" not in text:
            return Arguments(text, [])
        actor = await self._identities.enter(token, claim.workspace_id)
        resolved = await self._interpolation.args(actor, text)
        return Arguments(resolved.args, list(resolved.secrets))
