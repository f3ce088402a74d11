"""Tokens of running jobs: signed, not stored. That they end with the job's lease is checked elsewhere."""

import base64
import binascii
import hashlib
import hmac
from uuid import UUID

import msgspec

from millpond.base.sealing import MasterKey

MARK = "mpj_"


class JobClaim(msgspec.Struct, frozen=True, array_like=True):
    """What a job token says: this job, under this lease."""

    workspace_id: str
    job_id: UUID
    lease_token: int


class JobTokens:
    """Issues and reads job tokens: `mpj_<payload>.<HMAC-SHA256>`, both in base64url."""

    def __init__(self, master_key: MasterKey) -> None:
        self._key = master_key.derive("job-token")

    def issue(self, claim: JobClaim) -> str:
        """The token of a claimed job."""
        payload = _encode(msgspec.json.encode(claim))
        return f"{MARK}{payload}.{_encode(self._sign(payload))}"

    def read(self, token: str) -> JobClaim | None:
        """What a token says; None when this instance did not sign it. The job may have ended since."""
        payload, _, signature = token.removeprefix(MARK).partition(".")
        if not hmac.compare_digest(_encode(self._sign(payload)).encode(), signature.encode()):
            return None
        try:
            return msgspec.json.decode(_decode(payload), type=JobClaim)
        except (binascii.Error, msgspec.DecodeError):
            return None

    def _sign(self, payload: str) -> bytes:
        return hmac.new(self._key, payload.encode(), hashlib.sha256).digest()


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
