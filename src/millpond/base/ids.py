"""Identifiers: their types, and how new ones are made."""

import os
import secrets
import time
from typing import NewType
from uuid import UUID

WorkspaceId = NewType("WorkspaceId", str)
JobId = NewType("JobId", UUID)
ScriptHash = NewType("ScriptHash", int)


_last_tick = 0


def new_job_id() -> JobId:
    """A UUID of version 7 (RFC 9562): ids made later sort later, so inserts stay local in indexes.

    Below the milliseconds it counts 4096ths of them, and never the same twice in a process: jobs made together keep
    their order.
    """
    global _last_tick  # noqa: PLW0603 - the order of ids is the process's
    _last_tick = max(time.time_ns() * 4096 // 1_000_000, _last_tick + 1)
    milliseconds, fraction = divmod(_last_tick, 4096)
    random = int.from_bytes(os.urandom(8), "big") & (2**62 - 1)
    return JobId(
        UUID(int=(milliseconds & (2**48 - 1)) << 80 | 0x7 << 76 | fraction << 64 | 0x2 << 62 | random)
    )


def is_from_the_future(job_id: UUID) -> bool:
    """Whether an id of version 7 says it was made more than a day from now; other versions say nothing of time."""
    return job_id.version == 7 and job_id.int >> 80 > (time.time() + 86_400) * 1000


def new_secret() -> str:
    """A URL-safe secret of 256 bits, for tokens and links."""
    return secrets.token_urlsafe(32)


def hash_to_hex(script_hash: int) -> str:
    """The 16 hex digits a script's hash has on the wire; the column is a signed 64-bit integer."""
    return f"{script_hash & 0xFFFFFFFFFFFFFFFF:016x}"


def hash_from_hex(text: str) -> ScriptHash | None:
    """The inverse of `hash_to_hex`; None when `text` is not 16 hex digits."""
    if len(text) != 16 or any(character not in "0123456789abcdefABCDEF" for character in text):
        return None
    value = int(text, 16)
    return ScriptHash(value - 2**64 if value >= 2**63 else value)
