"""The messages between a worker and the child processes that evaluate: lists of byte strings, each with its length.

Reading one runs nothing and builds nothing but bytes: a child that user code has taken over can send what it likes.
Imports only `struct`, since the children start with it. The first string says what a message is:

| Message | Sent by | Then |
| --- | --- | --- |
| `ready` | child | 1 when the system call filter is in force, else 0 |
| `run` | worker | the program, 1 when it looks names up, the bindings of all items, those of each item |
| `ask` | child | the kind, the name as a JSON string |
| `given`, `refused` | worker | the JSON of what was asked for; a message as a JSON string |
| `value`, `thrown`, `broken` | child | JSON; the error as a JSON string; what the engine says, as text |

A `run` is answered once per item, in order. Bindings are themselves a list: name, JSON, name, JSON.
"""

import struct
from collections.abc import Iterable

READY, RUN, ASK, GIVEN, REFUSED = b"ready", b"run", b"ask", b"given", b"refused"
VALUE, THROWN, BROKEN = b"value", b"thrown", b"broken"

_LENGTH = struct.Struct("<I")


class MalformedError(ValueError):
    """The bytes are no message."""


def pack(parts: Iterable[bytes]) -> bytes:
    """The parts as one byte string, which may be a part of another."""
    return b"".join([piece for part in parts for piece in (_LENGTH.pack(len(part)), part)])


def unpack(packed: bytes) -> list[bytes]:
    """What `pack` was given."""
    parts, position = [], 0
    while position < len(packed):
        if position + _LENGTH.size > len(packed):
            raise MalformedError("a length is cut off")
        (length,) = _LENGTH.unpack_from(packed, position)
        position += _LENGTH.size + length
        if position > len(packed):
            raise MalformedError("a part is cut off")
        parts.append(packed[position - length : position])
    return parts


def frame(*parts: bytes) -> bytes:
    """A message as it is sent."""
    return pack([pack(parts)])


class Frames:
    """Takes bytes as they arrive and gives the messages in them."""

    def __init__(self, limit_bytes: int = 2**32) -> None:
        self._buffer = bytearray()
        self._limit_bytes = limit_bytes

    def feed(self, received: bytes) -> None:
        """Add bytes; raises `MalformedError` when they begin a message beyond the limit."""
        self._buffer += received
        if len(self._buffer) >= _LENGTH.size and self._length() > self._limit_bytes:
            raise MalformedError("a message is too long")

    def take(self) -> list[bytes] | None:
        """The next whole message, None when it has not arrived yet."""
        if len(self._buffer) < _LENGTH.size:
            return None
        end = _LENGTH.size + self._length()
        if len(self._buffer) < end:
            return None
        message = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        return unpack(message)

    def _length(self) -> int:
        length: int = _LENGTH.unpack_from(self._buffer)[0]
        return length
