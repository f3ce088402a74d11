"""What an expression may ask for while it runs."""

from collections.abc import Awaitable, Callable
from typing import Literal, Protocol, TypeGuard, get_args

from millpond.base.errors import InvalidInput
from millpond.expressions.errors import ExpressionError

LookupKind = Literal["results", "flow_env", "variable", "resource", "flow_user_state"]
LOOKUP_KINDS: frozenset[str] = frozenset(get_args(LookupKind))


class Lookup(Protocol):
    """Finds what an expression names; called in the event loop of the worker.

    Gives JSON. A `MillpondError` it raises becomes an exception in JavaScript, with its message.
    """

    async def __call__(self, kind: LookupKind, name: str) -> bytes: ...


class Remembered:
    """A lookup whose answers are kept: the items of a batch ask for the same."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._known: dict[tuple[str, str], bytes] = {}

    async def __call__(self, kind: LookupKind, name: str) -> bytes:
        """The JSON of what is asked for."""
        if (kind, name) not in self._known:
            self._known[kind, name] = await self._lookup(kind, name)
        return self._known[kind, name]

    def for_engine(self, limit_bytes: int) -> Callable[[str, str], Awaitable[bytes]]:
        """The lookup for a child process: it may ask anything, and must not be sent more than it can hold."""

        async def asked(kind: str, name: str) -> bytes:
            if not is_lookup(kind):
                raise InvalidInput(f"nothing of the kind {kind!r} can be looked up")
            found = await self(kind, name)
            if len(found) > limit_bytes:
                raise ExpressionError(
                    f"'{name}' is {len(found) >> 20} MiB of JSON, and an expression with the values it reads "
                    f"may use {limit_bytes >> 20} MiB"
                )
            return found

        return asked


def is_lookup(kind: str) -> TypeGuard[LookupKind]:
    """Whether it names a kind of lookup."""
    return kind in LOOKUP_KINDS
