"""The worker's side of one child process: starts it, has it evaluate, kills it when it takes too long."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from pathlib import Path

import msgspec
import structlog

import millpond
from millpond.base.errors import MillpondError
from millpond.expressions import wire

log = structlog.get_logger(__name__)

_START_TIMEOUT_SECONDS = 30
_RECEIVE_BYTES = 256 * 1024
# What stringified values of one engine can come to, and then some.
_LONGEST_MESSAGE_BYTES = 256 * 1024 * 1024
_PROGRAM = "import sys; sys.path += sys.argv[1:3]; from millpond.expressions.child import main; main()"


class ChildLostError(Exception):
    """The child process ended, or spoke nonsense, before it had answered."""


class TookTooLongError(Exception):
    """The child process gave no answer within the time limit."""


class Limits(msgspec.Struct, frozen=True):
    """What one evaluation may use."""

    memory_bytes: int
    seconds: float

    @property
    def lifetime_cpu_seconds(self) -> int:
        """CPU of a child's life: after `seconds` of work it is replaced, and the last evaluation has as many."""
        return 2 * int(self.seconds + 1) + 5


class Answer(msgspec.Struct, frozen=True):
    """How the evaluation of one item ended: the kind is `value`, `thrown` or `broken` of `wire`."""

    kind: bytes
    content: bytes


Asked = Callable[[str, str], Awaitable[bytes]]


class ChildProcess:
    """A running child. Made by `start`."""

    def __init__(self, process: Process, connection: socket.socket, limits: Limits) -> None:
        self._process = process
        self._handle = os.pidfd_open(process.pid) if sys.platform == "linux" else None
        self._connection = connection
        self._limits = limits
        self._frames = wire.Frames(_LONGEST_MESSAGE_BYTES)
        self.evaluations = 0
        self.worked_seconds = 0.0

    @classmethod
    async def start(cls, limits: Limits) -> "ChildProcess":
        """Start a child and wait until it is confined; raises `ChildLostError` or `OSError` when it cannot be had."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs, contextlib.ExitStack() as on_failure:
            on_failure.callback(ours.close)
            process = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-I",
                    "-S",
                    "-X",
                    "utf8",
                    "-c",
                    _PROGRAM,
                    *_import_path(),
                    str(os.getpid()),
                ),
                *(str(limits.lifetime_cpu_seconds), str(limits.memory_bytes)),
                stdin=theirs.fileno(),
                stdout=DEVNULL,
                stderr=DEVNULL,
                # The worker's environment holds secrets. In a set time zone, dates read no files.
                env={"PATH": os.defpath, "TZ": "UTC0"},
                cwd="/",
                start_new_session=True,
            )
            on_failure.pop_all()
        child = cls(process, ours, limits)
        try:
            await child._become_ready()
        except BaseException:
            await child.aclose()
            raise
        return child

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    async def evaluate(self, request: bytes, count: int, asked: Asked, answers: list[Answer]) -> None:
        """Send a `run` of `count` items and append the answers as they come.

        Each item has the time limit to itself. Raises `TookTooLongError` and `ChildLostError`; then, and when it is
        cancelled, the child is of no more use, and the `answers` that came are good.
        """
        loop = asyncio.get_running_loop()
        begun, expected = loop.time(), len(answers) + count
        try:
            async with asyncio.timeout(self._limits.seconds) as timer:
                await self._send(request)
                while len(answers) < expected:
                    match await self._receive():
                        case [wire.ASK, kind, name]:
                            await self._send(await _reply(asked, kind, name))
                        case [(wire.VALUE | wire.THROWN | wire.BROKEN) as kind, content]:
                            answers.append(Answer(kind, content))
                            timer.reschedule(loop.time() + self._limits.seconds)
                        case _:
                            raise ChildLostError("an unknown message")
        except TimeoutError:
            if timer.expired():
                raise TookTooLongError from None
            raise
        self.evaluations += count
        self.worked_seconds += loop.time() - begun

    def kill(self) -> None:
        """End the process; whoever waits for its answer hears that it is lost."""
        with contextlib.suppress(ProcessLookupError):
            if self._handle is None:
                self._process.kill()
            else:
                # asyncio's own kill may reap the process, and its watcher then misses how it ended.
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)

    async def aclose(self) -> None:
        """End the process, wait for its end and close what leads to it. Nobody may wait for its answer any more."""
        self.kill()
        await self._process.wait()
        self._connection.close()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    async def _become_ready(self) -> None:
        try:
            async with asyncio.timeout(_START_TIMEOUT_SECONDS):
                message = await self._receive()
        except TimeoutError:
            raise ChildLostError("it did not start in time") from None
        if message[:1] != [wire.READY]:
            raise ChildLostError("an unknown message")
        if sys.platform == "linux" and message[1:] != [b"1"]:
            log.warning("expression_child_unfiltered", pid=self.pid)

    async def _send(self, message: bytes) -> None:
        try:
            await asyncio.get_running_loop().sock_sendall(self._connection, message)
        except OSError as error:
            raise ChildLostError(str(error)) from None

    async def _receive(self) -> list[bytes]:
        try:
            while (message := self._frames.take()) is None:
                received = await asyncio.get_running_loop().sock_recv(self._connection, _RECEIVE_BYTES)
                if not received:
                    raise ChildLostError("it ended")
                self._frames.feed(received)
        except (OSError, wire.MalformedError) as error:
            raise ChildLostError(str(error)) from None
        return message


async def _reply(asked: Asked, kind: bytes, name: bytes) -> bytes:
    try:
        found = await asked(kind.decode("ascii", "replace"), msgspec.json.decode(name, type=str))
    except msgspec.MsgspecError:
        return wire.frame(wire.REFUSED, b'"the name is not text"')
    except MillpondError as error:
        return wire.frame(wire.REFUSED, msgspec.json.encode(error.message))
    return wire.frame(wire.GIVEN, found)


def _import_path() -> tuple[str, str]:
    """Where the child finds this package and the engine; it starts with nothing of `site`."""
    engine = find_spec("_quickjs")
    assert engine is not None
    assert engine.origin is not None
    return str(Path(millpond.__file__).parents[1]), str(Path(engine.origin).parent)
