"""The signatures of links that approve: whoever holds one may answer, without an account."""

import hashlib
import hmac

from millpond.base.errors import InvalidInput, NotFound
from millpond.model.approvals import ResumeLink
from millpond.services.workspace_keys import WorkspaceKeys


class ResumeLinks:
    """Signs and checks, with the workspace's key, as Windmill does. Not an endpoint: use cases authorize before."""

    def __init__(self, keys: WorkspaceKeys) -> None:
        self._keys = keys

    async def sign(self, workspace_id: str, link: ResumeLink) -> str:
        """The signature of a link, in hex. Raises NotFound for an unknown workspace."""
        return signature_of(await self._keys.key_of(workspace_id), link)

    async def check(self, workspace_id: str, link: ResumeLink, signature: str) -> None:
        """Raises InvalidInput for a signature that is not this link's, in the same words for an unknown workspace."""
        try:
            expected = await self.sign(workspace_id, link)
        except NotFound:
            raise InvalidInput("Invalid signature") from None
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise InvalidInput("Invalid signature")


def signature_of(workspace_key: bytes, link: ResumeLink) -> str:
    """HMAC-SHA256 over the job's id, the resume id in four bytes, most significant first, and the approver if any."""
    approver = (link.approver or "").encode()
    message = link.job_id.bytes + link.resume_id.to_bytes(4, "big") + approver
    return hmac.new(workspace_key, message, hashlib.sha256).hexdigest()
