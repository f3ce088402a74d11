"""A child process that evaluates: one engine per item, made fresh and thrown away.

Its standard input is a socket to the worker; there is nothing else open. Imports little, because it must start fast:
no msgspec, no json. Started by `child_process.py`.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator

import _quickjs  # type: ignore[import-not-found]

from millpond.expressions import child_confinement, wire
from millpond.expressions.javascript import LOOKUPS
from millpond.expressions.splicing import with_members

_SOCKET = 0
_RECEIVE_BYTES = 256 * 1024
_HELD_BYTES = 64 * 1024
_HELD_SECONDS = 0.005
_STACK_BYTES = 1024 * 1024


class Channel:
    """Messages from and to the worker. Answers are held for some milliseconds: a batch has thousands of small ones."""

    def __init__(self) -> None:
        self._frames = wire.Frames()
        self._held = bytearray()
        self._flushed_at = 0.0

    def receive(self) -> list[bytes]:
        """The next message; ends the process when the worker has closed the socket."""
        self.flush()
        while True:
            message = self._frames.take()
            if message is not None:
                return message
            received = os.read(_SOCKET, _RECEIVE_BYTES)
            if not received:
                os._exit(0)
            self._frames.feed(received)

    def send(self, *parts: bytes) -> None:
        """Send a message, soon."""
        self._held += wire.frame(*parts)
        if len(self._held) > _HELD_BYTES or time.monotonic() - self._flushed_at > _HELD_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Send what is held."""
        while self._held:
            del self._held[: os.write(_SOCKET, self._held)]
        self._flushed_at = time.monotonic()


class Names:
    """What the items of one message look up; equal questions are asked once."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._known: dict[tuple[str, str], str] = {}

    def answer(self, kind: str, name: str) -> str:
        """JSON: `{"given": value}` or `{"refused": message}`."""
        if (kind, name) not in self._known:
            self._channel.send(wire.ASK, kind.encode(), name.encode())
            verdict, text = self._channel.receive()
            self._known[kind, name] = f'{{"{verdict.decode()}":{text.decode()}}}'
        return self._known[kind, name]


class Engines:
    """Gives a fresh engine for each item, and makes the first one of a message ahead of it."""

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._prepared: _quickjs.Context | None = None

    def prepare(self) -> None:
        """Make an engine, in time that nobody waits for."""
        self._prepared = self._prepared or self._made()

    def take(self) -> "_quickjs.Context":
        """An engine that has evaluated nothing."""
        taken, self._prepared = self._prepared or self._made(), None
        return taken

    def _made(self) -> "_quickjs.Context":
        context = _quickjs.Context()
        context.set_memory_limit(self._memory_bytes)
        context.set_max_stack_size(_STACK_BYTES)
        return context


class Evaluation:
    """One program with the bindings that all its items share."""

    def __init__(self, program: str, names: Names | None, shared: list[bytes], engines: Engines) -> None:
        self._program = program
        self._names = names
        self._shared = list(_pairs(shared))
        self._engines = engines

    def answer(self, own: list[bytes]) -> tuple[bytes, bytes]:
        """The answer to one item, as it goes over the wire."""
        context = self._engines.take()
        try:
            self._bind(context, [*self._shared, *_pairs(own)])
            outcome = _outcome(context, context.eval(self._program))
        # SystemError and UnicodeDecodeError: the program escaped its function and gave what is no text.
        except (_quickjs.JSException, MemoryError, ValueError, TypeError, SystemError) as error:
            return wire.BROKEN, _described(error)
        return (wire.VALUE if outcome[:1] == "+" else wire.THROWN), outcome[1:].encode()

    def _bind(self, context: "_quickjs.Context", bindings: list[tuple[str, bytes]]) -> None:
        if self._names is not None:
            self._bind_lookups(context, self._names)
        texts: dict[str, bytes] = {}
        members: dict[str, dict[str, bytes]] = {}
        for name, text in bindings:
            root, dot, member = name.partition(".")
            if dot:
                members.setdefault(root, {})[member] = text
            else:
                texts[root] = text
        for root, of_root in members.items():
            texts[root] = with_members(texts.get(root, b"{}"), of_root)
        for name, text in texts.items():
            context.set(name, context.parse_json(text.decode()))

    @staticmethod
    def _bind_lookups(context: "_quickjs.Context", names: Names) -> None:
        def ask(kind: str, name: str) -> object:
            # An exception here would reach the program without its message.
            try:
                return context.parse_json(names.answer(kind, name))
            except (_quickjs.JSException, MemoryError, ValueError):
                return context.parse_json('{"refused": "out of memory"}')

        context.add_callable("__ask", ask)
        context.eval(f"{LOOKUPS}(__ask); delete globalThis.__ask")


def _pairs(bindings: list[bytes]) -> Iterator[tuple[str, bytes]]:
    for at in range(0, len(bindings), 2):
        yield bindings[at].decode(), bindings[at + 1]


def _outcome(context: "_quickjs.Context", given: object) -> str:
    """`+` and the JSON of the value, or `-` and the message, from what the program gave."""
    if isinstance(given, str):
        return given
    if not isinstance(given, _quickjs.Object):
        raise TypeError("the text is not one expression")
    text = given.json()
    # A function has no JSON.
    if not isinstance(text, str):
        return _settled(context, given)
    if text[:1] != "[":
        raise TypeError("the text is not one expression")
    return f"+{text[1:-1]}"


def _settled(context: "_quickjs.Context", later: Callable[[], object]) -> str:
    while context.execute_pending_job():
        pass
    outcome = later()
    if not isinstance(outcome, str):
        raise TypeError("it waits for a promise that nothing settles")
    return outcome


def _described(error: BaseException) -> bytes:
    if isinstance(error, MemoryError):
        return b"out of memory"
    return str(error).encode("utf-8", "replace")


def main() -> None:
    """Confine this process, then evaluate what the worker sends until it closes the socket.

    The command line: the worker's process id, the seconds of CPU of a lifetime, the memory limit of an engine in bytes.
    """
    parent, cpu_seconds, memory_bytes = (int(argument) for argument in sys.argv[-3:])
    filtered = child_confinement.confine(parent, cpu_seconds)
    channel, engines = Channel(), Engines(memory_bytes)
    channel.send(wire.READY, b"1" if filtered else b"0")
    while True:
        _, program, looks_up, shared, *items = channel.receive()
        names = Names(channel) if looks_up == b"1" else None
        evaluation = Evaluation(program.decode(), names, wire.unpack(shared), engines)
        for item in items:
            channel.send(*evaluation.answer(wire.unpack(item)))
        channel.flush()
        engines.prepare()
