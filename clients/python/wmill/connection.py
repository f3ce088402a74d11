"""One kept-alive HTTP/1.1 connection: send a request, read the answer.

Only what the API needs: no redirects, no compression, no proxies. `http.client` does the same with an e-mail
parser behind it, which takes 25 ms to import and doubles the time of a small request. When to open, reuse and
repeat is `transport`'s matter.
"""

# ruff: noqa: PLC0415  (named for situations; imported when needed, see the package)
from __future__ import annotations

import os

from .response import Headers, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as sockets

    from .address import Address

_MAX_HEAD_BYTES = 256 * 1024
_RECEIVE_BYTES = 64 * 1024
_CONNECT_SECONDS = 30.0
_NO_BODY = frozenset((204, 304))


class Dropped(Exception):
    """The connection ended before the answer was complete.

    `sent`: the server can have the whole request, and can have acted on it.
    `answered`: some of the answer arrived.
    """

    def __init__(self, cause: str, *, sent: bool, answered: bool = False) -> None:
        super().__init__(cause)
        self.sent = sent
        self.answered = answered


class Malformed(Exception):
    """What came back is not HTTP."""


class Connection:
    """A socket to the server and what has been read from it. Used by one thread at a time."""

    __slots__ = ("_answered", "_buffer", "_poll", "_process_id", "_socket", "reusable")

    def __init__(self, address: Address, verify: bool | str, timeout: float) -> None:
        """Connect; raises OSError."""
        import select  # with `socket` 7 ms, paid at the first request only
        import socket

        self._process_id = os.getpid()
        self._buffer = bytearray()
        self._answered = False
        self.reusable = True
        endpoint = (address.host, address.port)
        self._socket = socket.create_connection(endpoint, min(timeout, _CONNECT_SECONDS))
        # Without it the kernel may hold back a request until the last answer's segment is acknowledged: 40
        # ms.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if address.scheme == "https":
            self._socket = _secured(self._socket, address.host, verify)
        self._poll = select.poll()
        self._poll.register(self._socket.fileno(), select.POLLIN)

    def __del__(self) -> None:
        if hasattr(self, "_socket"):
            self.close()

    def close(self) -> None:
        """Close this process's handle; a forked parent's connection stays open."""
        self._socket.close()

    def is_stale(self) -> bool:
        """Whether an idle connection must not be used again.

        True when it belongs to the process this one was forked from, and when there is something to read:
        nothing was asked, so it can only be the server closing.
        """
        return self._process_id != os.getpid() or bool(self._poll.poll(0))

    def exchange(self, request: bytes, timeout: float) -> Response:
        """Send one request and read its answer.

        Raises Dropped, Malformed, or TimeoutError when nothing moves for `timeout` seconds. After an
        exception the connection is useless.
        """
        self._answered = False
        self._socket.settimeout(timeout)
        try:
            self._socket.sendall(request)
        except TimeoutError:
            raise
        except OSError as error:
            return self._refusal(error)
        return self._read_answer()

    def _refusal(self, error: OSError) -> Response:
        """The answer of a server that closed without reading the whole request (413), if there is one."""
        self.reusable = False
        try:
            return self._read_answer()
        except (Dropped, TimeoutError):
            raise Dropped(str(error), sent=False) from error

    def _read_answer(self) -> Response:
        status = 100
        while status < 200:  # 1xx announce the real answer
            version, status, headers = _parse_head(self._read_head())
        connection = headers.get("connection", "").lower()
        if "close" in connection or (version == b"HTTP/1.0" and "keep-alive" not in connection):
            self.reusable = False
        body = self._read_body(status, headers)
        if self._buffer:  # more than was asked for: nothing after it can be trusted
            self.reusable = False
        return Response(status, headers, body)

    def _read_head(self) -> bytes:
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > _MAX_HEAD_BYTES:
                raise Malformed("the header of the answer does not end")
            self._receive()
        return self._take(end + 4)

    def _read_body(self, status: int, headers: Headers) -> bytes:
        if status in _NO_BODY:
            return b""
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._read_chunks()
        if "content-length" in headers:
            return self._read_exactly(_number(headers["content-length"], 10))
        self.reusable = False
        return self._read_to_end()

    def _read_chunks(self) -> bytes:
        body = bytearray()
        while size := _number(self._read_line().partition(";")[0], 16):
            body += self._read_exactly(size)
            self._read_line()
        while self._read_line():  # trailer fields
            pass
        return bytes(body)

    def _read_line(self) -> str:
        while (end := self._buffer.find(b"\r\n")) < 0:
            self._receive()
        return self._take(end + 2)[:-2].decode("latin-1")

    def _read_exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._receive()
        return self._take(size)

    def _read_to_end(self) -> bytes:
        while self._receive_some():
            pass
        return self._take(len(self._buffer))

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _receive(self) -> None:
        """Add what arrives next to the buffer; raises Dropped at the end of the stream."""
        if not self._receive_some():
            raise Dropped("the server closed the connection", sent=True, answered=self._answered)

    def _receive_some(self) -> bool:
        """Like `_receive`, but False at the end of the stream."""
        try:
            chunk = self._socket.recv(_RECEIVE_BYTES)
        except TimeoutError:
            raise
        except OSError as error:
            raise Dropped(str(error), sent=True, answered=self._answered) from error
        self._buffer += chunk
        self._answered = self._answered or bool(chunk)
        return bool(chunk)


def _parse_head(head: bytes) -> tuple[bytes, int, Headers]:
    lines = head[:-4].split(b"\r\n")
    version, _, rest = lines[0].partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise Malformed(f"the answer does not start like HTTP: {lines[0][:80]!r}")
    headers = Headers()
    for line in lines[1:]:
        name, _, value = line.decode("latin-1").partition(":")
        key, text = name.strip().lower(), value.strip()
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return version, int(rest[:3]), headers


def _number(text: str, base: int) -> int:
    try:
        length = int(text, base)
    except ValueError:
        length = -1
    if length < 0:
        raise Malformed(f"not a length: {text[:40]!r}")
    return length


def _secured(plain: sockets.socket, host: str, verify: bool | str) -> sockets.socket:
    """TLS over `plain`. `verify` is False, True for the system's authorities, or the path of a bundle."""
    import ssl  # 15 ms that plain HTTP to the own worker must not pay

    context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain, server_hostname=host)
