"""What a check of `millpond doctor` finds, and how a check that breaks becomes a finding instead of an end."""

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from millpond.base.errors import MillpondError

Status = Literal["ok", "warn", "fail"]

LONGEST_MESSAGE = 1000


class Finding(msgspec.Struct, frozen=True):
    """One line of the diagnosis. `warn` is worth knowing, `fail` keeps the instance from working."""

    status: Status
    check: str
    message: str


def guarded(check: str, examine: Callable[[], list[Finding]]) -> list[Finding]:
    """What `examine` finds; when it raises, that."""
    try:
        return examine()
    except Exception as error:  # noqa: BLE001  # the door of a check: the others must still speak
        return [failure(check, error)]


async def guarded_async(check: str, examine: Callable[[], Awaitable[list[Finding]]]) -> list[Finding]:
    """The same for a check that waits."""
    try:
        return await examine()
    except Exception as error:  # noqa: BLE001  # the door of a check: the others must still speak
        return [failure(check, error)]


def failure(check: str, error: Exception) -> Finding:
    """The finding that an error amounts to, in one line."""
    text = error.message if isinstance(error, MillpondError) else f"{type(error).__name__}: {error}"
    return Finding("fail", check, " ".join(text.split())[:LONGEST_MESSAGE])
