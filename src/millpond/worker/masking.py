"""Replaces secrets in text that arrives in pieces, also where one is cut by the end of a piece."""

import re
from collections.abc import Iterable

from millpond.services.secrets_seen import texts_to_mask

MASK = "********"


class Mask:
    """The secrets of one job. Grows while the job runs."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._pattern: re.Pattern[str] | None = None
        self._secrets: set[str] = set()

    def add(self, secrets: Iterable[str]) -> None:
        """Mask these from here on."""
        before = len(self._secrets)
        self._secrets.update(secrets)
        if len(self._secrets) == before:
            return
        self._texts = texts_to_mask(self._secrets)
        self._pattern = re.compile("|".join(re.escape(text) for text in self._texts)) if self._texts else None

    def apply(self, text: str) -> str:
        """`text` with every secret in it replaced."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def held_back(self, text: str) -> int:
        """How many characters at the end of `text` may be the beginning of a secret, and must wait for what follows."""
        longest = 0
        for secret in self._texts:
            for length in range(min(len(secret) - 1, len(text)), longest, -1):
                if text.endswith(secret[:length]):
                    longest = length
                    break
        return longest
