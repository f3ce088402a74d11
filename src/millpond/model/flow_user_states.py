"""What steps of a flow tell each other, by key: limits, and shapes on the wire (compat facts, storage 4.1)."""

import msgspec

from millpond.base.errors import InvalidInput, PayloadTooLarge

LONGEST_KEY = 255
MAX_VALUE_BYTES = 1024**2
MAX_DIGITS = 1000
"""Longest integer a counter holds; a float is refused where it would overflow."""

Number = int | float


class Increment(msgspec.Struct, frozen=True, kw_only=True):
    """The body that raises a counter."""

    by: Number


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    """A counter after it was raised."""

    value: Number


def check_key(key: str) -> str:
    """`key` itself; raises InvalidInput unless it has 1 to 255 characters, none of them NUL."""
    if not 0 < len(key) <= LONGEST_KEY:
        raise InvalidInput(
            f"A flow user state's key has 1 to {LONGEST_KEY} characters, not {len(key)}: {key[:60]!r}"
        )
    if "\x00" in key:
        raise InvalidInput(f"A flow user state's key holds no NUL character: {key[:60]!r}")
    return key


def check_size(key: str, value: str) -> str:
    """`value`, JSON text, itself; raises PayloadTooLarge over 1 MiB."""
    size = len(value.encode())
    if size > MAX_VALUE_BYTES:
        raise PayloadTooLarge(
            f"The value of flow user state {key!r} has {size} bytes; {MAX_VALUE_BYTES} are allowed"
        )
    return value


def raised(key: str, stored: str, by: Number) -> Number:
    """The counter after it is raised: integers exactly, floats as floats.

    Raises InvalidInput when what is stored is no number, or the sum can no longer be stored as one.
    """
    try:
        total: Number = msgspec.json.decode(stored, type=Number) + by
        written = msgspec.json.encode(total)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidInput(
            f"Flow user state {key!r} holds no number: {stored[:60]}; only numbers can be incremented"
        ) from None
    except (OverflowError, ValueError):
        written = b"null"
    if written == b"null" or len(written) > MAX_DIGITS:
        raise InvalidInput(f"Flow user state {key!r} would become too large a number")
    return total
