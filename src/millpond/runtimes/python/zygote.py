"""The worker's side of one zygote: starts it, hands it jobs, hears how they end."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from pathlib import Path

import structlog

from millpond.runtimes.python import protocol
from millpond.runtimes.python.protocol import JobFiles

log = structlog.get_logger(__name__)

_START_TIMEOUT_SECONDS = 30
_END_TIMEOUT_SECONDS = 10
_PROGRAM = str(Path(protocol.__file__).with_name("zygote_main.py"))


class ZygoteEndedError(Exception):
    """The zygote is gone, and with it what it ran."""


class JobEnd:
    """How a job's process ended: its `waitpid` status and its resident maximum."""

    def __init__(self, report: protocol.Report) -> None:
        self.status = report.get("status")
        self.memory_peak_bytes = report.get("memory_peak_bytes")
        self.reason = report.get("reason", "")


class ForkedJob:
    """A running job; `ended` raises `ZygoteEndedError` when the zygote is lost before the job's end."""

    def __init__(self, zygote: "Zygote", number: int, ended: asyncio.Future[JobEnd]) -> None:
        self._zygote = zygote
        self._number = number
        self.ended = ended

    def terminate(self) -> None:
        """Ask every process of the job to end."""
        self._zygote.order("terminate", self._number)

    def kill(self) -> None:
        """End every process of the job."""
        self._zygote.order("kill", self._number)


class Zygote:
    """A running zygote. Made by `start`."""

    def __init__(self, process: Process, control: socket.socket) -> None:
        self._process = process
        self._control = control
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._outgoing: list[tuple[bytes, JobFiles | None]] = []
        self._jobs: dict[int, asyncio.Future[JobEnd]] = {}
        self._last_number = 0
        self._ready: asyncio.Future[None] = self._loop.create_future()
        self._watcher = self._loop.create_task(self._watch(), name=f"zygote-{process.pid}")
        self._loop.add_reader(control.fileno(), self._on_readable)

    @classmethod
    async def start(cls, configuration: protocol.Configuration) -> "Zygote":
        """Start a zygote and wait until it can fork; raises `ZygoteEndedError` when it cannot."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", "-X", "utf8", _PROGRAM, str(theirs.fileno())),
                stdin=DEVNULL,
                stdout=DEVNULL,
                pass_fds=(theirs.fileno(),),
                # The worker's environment holds secrets; a job's is set by the job.
                env={"PATH": os.defpath},
                cwd="/",
                start_new_session=True,
            )
        ours.setblocking(False)
        zygote = cls(process, ours)
        zygote._send(protocol.encode(configuration), None)
        try:
            async with asyncio.timeout(_START_TIMEOUT_SECONDS):
                await asyncio.shield(zygote._ready)
        except BaseException:
            await zygote.aclose()
            raise
        return zygote

    @property
    def pid(self) -> int:
        """The zygote's process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it takes jobs."""
        return not self._watcher.done() and self._control.fileno() >= 0

    @property
    def is_idle(self) -> bool:
        """Whether it runs nothing."""
        return not self._jobs

    def fork(self, files: JobFiles, user_id: int | None) -> ForkedJob:
        """Start a job on `files`, which now belong to this zygote; its end arrives in `ended`."""
        if not self.is_alive:
            files.close()
            raise ZygoteEndedError("the process that starts Python jobs has ended")
        self._last_number += 1
        number = self._last_number
        ended: asyncio.Future[JobEnd] = self._loop.create_future()
        self._jobs[number] = ended
        self._send(protocol.encode({"order": "run", "id": number, "user_id": user_id}), files)
        return ForkedJob(self, number, ended)

    def order(self, order: str, number: int) -> None:
        """Send an order about a running job; one that has ended is left alone."""
        if number in self._jobs:
            self._send(protocol.encode({"order": order, "id": number}), None)

    async def aclose(self) -> None:
        """End the zygote and everything it runs."""
        self._disconnect()
        try:
            async with asyncio.timeout(_END_TIMEOUT_SECONDS):
                await asyncio.shield(self._watcher)
        except TimeoutError:
            self._process.kill()
            await self._watcher

    def _send(self, message: bytes, files: JobFiles | None) -> None:
        self._outgoing.append((message, files))
        if len(self._outgoing) == 1:
            self._flush()

    def _flush(self) -> None:
        while self._outgoing:
            message, files = self._outgoing[0]
            try:
                sent = self._control.sendmsg([message], protocol.rights(files) if files else [])
            except (BlockingIOError, InterruptedError):
                self._loop.add_writer(self._control.fileno(), self._flush)
                return
            except OSError:
                self._drop_outgoing()
                return
            if files:
                files.close()
            # The descriptors went with the first byte; the rest of a message is sent alone.
            if sent < len(message):
                self._outgoing[0] = (message[sent:], None)
            else:
                del self._outgoing[0]
        self._loop.remove_writer(self._control.fileno())

    def _drop_outgoing(self) -> None:
        for _, files in self._outgoing:
            if files:
                files.close()
        self._outgoing.clear()

    def _on_readable(self) -> None:
        try:
            chunk = self._control.recv(65536)
        except (BlockingIOError, InterruptedError):
            return
        except ConnectionResetError:
            chunk = b""
        if not chunk:
            self._disconnect()
            return
        self._received += chunk
        for report in protocol.decode_available(self._received):
            if report["event"] == "ready":
                self._ready.set_result(None)
            elif (ended := self._jobs.pop(report["id"], None)) and not ended.done():
                ended.set_result(JobEnd(report))

    def _disconnect(self) -> None:
        if self._control.fileno() < 0:
            return
        self._loop.remove_reader(self._control.fileno())
        self._loop.remove_writer(self._control.fileno())
        self._drop_outgoing()
        self._control.close()

    async def _watch(self) -> None:
        """Wait for the zygote's end, which the kernel passes on to its jobs, then tell who waits for them."""
        status = await self._process.wait()
        self._disconnect()
        lost, self._jobs = self._jobs, {}
        if lost or not self._ready.done():
            log.warning("zygote_ended", pid=self._process.pid, status=status, jobs=len(lost))
        waiting: list[asyncio.Future[JobEnd] | asyncio.Future[None]] = [*lost.values(), self._ready]
        for future in waiting:
            if not future.done():
                future.set_exception(
                    ZygoteEndedError(f"the process that starts Python jobs ended ({_cause(status)})")
                )
                future.exception()  # read, so that a future nobody waits for any more is not reported


def _cause(status: int) -> str:
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-status).name}"
    return f"exit code {status}"
