"""The words between the worker and a zygote: length-prefixed JSON, and descriptors, over a unix socket.

Worker to zygote: `run` (with three descriptors: output pipe, payload, result), `terminate`, `kill`; the first
message is the zygote's configuration. Zygote to worker: `ready`, `ended`. Standard library only: both sides
use it.
"""

import array
import json
import os
import socket
import struct
from typing import TypedDict

from millpond.runtimes.sandbox.confinement import Settings

_LENGTH = struct.Struct("!I")
_PAYLOAD = struct.Struct("!QQQ")
_DESCRIPTORS = 3

# The first byte of a result file says whether the JSON after it is the result or the error.
SUCCESS, FAILURE = b"S", b"F"


class JobFiles:
    """The descriptors a job is given: where it prints, what it is to do, where its result goes."""

    def __init__(self, output: int, payload: int, result: int) -> None:
        self.output, self.payload, self.result = output, payload, result

    def close(self) -> None:
        """Close all three."""
        for descriptor in (self.output, self.payload, self.result):
            os.close(descriptor)


class Packages(TypedDict):
    """Where a script's imports come from: the folder of its locked packages, then that of our own client."""

    environment: str | None
    client: str


class Configuration(TypedDict):
    """What a zygote is told once."""

    confinement: Settings
    packages: Packages
    preload: list[str]


class Request(TypedDict, total=False):
    """One order to a zygote; `user_id` goes with `run`, None meaning the worker's own."""

    order: str
    id: int
    user_id: int | None


class Report(TypedDict, total=False):
    """One message of a zygote; `status` is as from `waitpid`, None when the job could not even be started."""

    event: str
    id: int
    status: int | None
    memory_peak_bytes: int
    reason: str


class Header(TypedDict):
    """What a job's process is told, beside the code and the arguments."""

    entrypoint: str
    env: dict[str, str]
    directory: str
    shared_directory: str | None
    package: str
    result_bytes: int
    processes: int
    file_size_bytes: int
    open_files: int
    memory_bytes: int | None


def encode(message: Configuration | Request | Report) -> bytes:
    """The message as it travels."""
    body = json.dumps(message).encode()
    return _LENGTH.pack(len(body)) + body


def decode_available(buffer: bytearray) -> list[Report]:
    """Take the complete messages off the front of `buffer`."""
    messages = []
    while len(buffer) >= _LENGTH.size:
        end = _LENGTH.size + _LENGTH.unpack_from(buffer)[0]
        if len(buffer) < end:
            break
        messages.append(json.loads(buffer[_LENGTH.size : end]))
        del buffer[:end]
    return messages


def receive(control: socket.socket) -> tuple[bytes, list[int]] | None:
    """Wait for one message: its JSON and the descriptors it brought; None when the other side is gone."""
    # Reading no further than the prefix keeps the descriptors of the next message with the next message.
    try:
        prefix, ancillary, _, _ = control.recvmsg(
            _LENGTH.size, socket.CMSG_SPACE(_DESCRIPTORS * array.array("i").itemsize)
        )
    except ConnectionResetError:  # the other side was killed with something of ours unread
        return None
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    prefix += _receive_exactly(control, _LENGTH.size - len(prefix)) if prefix else b""
    if len(prefix) < _LENGTH.size:
        return None
    size = _LENGTH.unpack(prefix)[0]
    body = _receive_exactly(control, size)
    return (body, list(descriptors)) if len(body) == size else None


def rights(files: JobFiles) -> list[tuple[int, int, bytes]]:
    """The ancillary message that carries the descriptors."""
    descriptors = array.array("i", [files.output, files.payload, files.result]).tobytes()
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)]


def _receive_exactly(control: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        chunk = control.recv(size - len(received))
        if not chunk:
            break
        received += chunk
    return bytes(received)


def write_payload(descriptor: int, header: Header, code: bytes, args: bytes) -> None:
    """Write what a job needs into a file and rewind it."""
    described = json.dumps(header).encode()
    parts = (_PAYLOAD.pack(len(described), len(code), len(args)), described, code, args)
    for part in parts:
        write_all(descriptor, part)
    os.lseek(descriptor, 0, os.SEEK_SET)


def read_payload(descriptor: int) -> tuple[Header, bytes, bytes]:
    """The header, the code and the arguments of a job."""
    with open(descriptor, "rb", closefd=False) as file:
        sizes = _PAYLOAD.unpack(file.read(_PAYLOAD.size))
        described, code, args = (file.read(size) for size in sizes)
    header: Header = json.loads(described)
    return header, code, args


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
