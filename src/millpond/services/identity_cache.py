"""Remembers for a moment who showed which credentials: an entry lives a second at most."""

from typing import NamedTuple
from uuid import UUID

from millpond.base.clock import Clock
from millpond.model.actors import Account, Actor

TTL_SECS = 1.0
MAX_ENTRIES = 10_000

Key = tuple[bytes, str | None]
"""The digest of a token, and the workspace entered with it; None outside any."""


class _Entry(NamedTuple):
    until: float
    known: Account | Actor
    job_id: UUID | None


class IdentityCache:
    """Answers by key, bounded in size and age.

    Whoever looks an identity up asks for the `generation` first and hands it back with the answer: what was
    looked up before rights were forgotten is not kept after.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: dict[Key, _Entry] = {}
        self._generation = 0

    @property
    def generation(self) -> int:
        """Rises each time something is forgotten on purpose."""
        return self._generation

    def get(self, key: Key) -> Account | Actor | None:
        """What is known and fresh."""
        entry = self._entries.get(key)
        if entry is None or entry.until <= self._clock.monotonic():
            return None
        return entry.known

    def keep(
        self,
        key: Key,
        known: Account | Actor,
        generation: int,
        *,
        expires_in_secs: float | None,
        job_id: UUID | None,
    ) -> None:
        """Keep an answer while its token lives; not at all when something was forgotten meanwhile."""
        if generation != self._generation:
            return
        lifetime = TTL_SECS if expires_in_secs is None else min(TTL_SECS, expires_in_secs)
        self._entries.pop(key, None)  # so that a renewed entry is the youngest again
        if len(self._entries) >= MAX_ENTRIES:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = _Entry(self._clock.monotonic() + lifetime, known, job_id)

    def forget_job(self, job_id: UUID) -> None:
        """Drop what the job's token opened."""
        self._generation += 1
        for key in [key for key, entry in self._entries.items() if entry.job_id == job_id]:
            del self._entries[key]

    def forget_all(self) -> None:
        """Drop everything."""
        self._generation += 1
        self._entries.clear()
