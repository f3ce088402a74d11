"""Replaces secrets in text that arrives in pieces, also where one is cut by the end of a piece."""

import re
from collections.abc import Iterable

import msgspec

from millpond.model.results import error_result
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

    def apply_to_error(self, text: str) -> str:
        """The JSON text of an error result with the secrets in its strings replaced; its own member names stay.

        Text by text, since a secret may be a number or a word of JSON's own.
        """
        if self._pattern is None:
            return text
        try:
            error = msgspec.json.decode(text)
            return msgspec.json.encode(self._masked(error, depth=0)).decode()
        except RecursionError:
            return error_result("ExecutionErr", "The error nests too deep to be searched for secrets")

    def held_back(self, text: str) -> int:
        """How many characters at the end of `text` must wait: they may begin a secret, or are part of one that may go on."""
        cut = min((_start_of_prefix(text, secret) for secret in self._texts), default=len(text))
        if self._pattern is not None and cut < len(text):
            for match in self._pattern.finditer(text):
                if match.start() < cut < match.end():
                    cut = match.start()
                    break
        return len(text) - cut

    def _masked(self, value: object, depth: int) -> object:
        match value:
            case str():
                return self.apply(value)
            case list():
                return [self._masked(item, depth + 1) for item in value]
            case dict():
                # `error`, and below it `name`, `message` and the like, are the engine's; deeper ones are the script's.
                return {
                    name if depth < 2 else self.apply(name): self._masked(item, depth + 1)
                    for name, item in value.items()
                }
            case _:
                return value


def _start_of_prefix(text: str, secret: str) -> int:
    """Where the longest end of `text` begins that is the beginning of `secret`; the end of `text` when there is none."""
    start = text.find(secret[0], max(len(text) - len(secret) + 1, 0))
    while start != -1:
        if secret.startswith(text[start:]):
            return start
        start = text.find(secret[0], start + 1)
    return len(text)
