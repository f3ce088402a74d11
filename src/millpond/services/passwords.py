"""Hashes and checks passwords, argon2id, away from the event loop."""

import asyncio
import base64
import os
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

THREADS = 2
"""Each hash takes 64 MiB and tens of milliseconds: this many at once, the others wait."""


class Passwords:
    """Hashes and checks passwords in threads of its own."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._nobody = self._unmatchable()

    async def hash(self, password: str) -> str:
        """What is kept of a password."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._hasher.hash, password)

    async def matches(self, password: str, kept: str | None) -> bool:
        """Whether `password` is the one kept. Takes as long without one: nobody learns who has an account."""
        against = self._nobody if kept is None else kept
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, self._verify, against, password
        )

    def _verify(self, kept: str, password: str) -> bool:
        try:
            return self._hasher.verify(kept, password)
        except (VerificationError, InvalidHashError):
            return False

    def _unmatchable(self) -> str:
        # The parameters of a real hash, so that checking against it costs the same; its digest is random.
        hasher = self._hasher
        salt, digest = (
            base64.b64encode(os.urandom(size)).decode().rstrip("=")
            for size in (hasher.salt_len, hasher.hash_len)
        )
        costs = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
        return f"$argon2id$v=19${costs}${salt}${digest}"
