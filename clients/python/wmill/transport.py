"""Requests over kept-alive connections: which one to use, and when a request may be sent a second time.

Safe with threads: a connection taken from the idle list belongs to the caller until it is put back, and
taking and putting are single list operations. Safe with fork: a connection remembers its process and is never
used in another.
"""

from __future__ import annotations

from .address import Address
from .connection import Connection, Dropped, Malformed
from .errors import ConnectionFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .response import Response

_MAX_IDLE = 8


class Transport:
    """The connections to one server."""

    def __init__(self, base_url: str, verify: bool | str = True) -> None:
        self.base_url = base_url.rstrip("/")
        self._address = Address(base_url)
        self._verify = verify
        self._idle: list[Connection] = []

    def close(self) -> None:
        """Close the idle connections; the next request opens a new one."""
        while self._idle:
            self._idle.pop().close()

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes = b"",
        *,
        timeout: float,
        repeatable: bool,
    ) -> Response:
        """Send `method target`, relative to the base URL, and return the answer whatever its status.

        `repeatable` says that doing it twice equals doing it once. Raises ConnectionFailed.
        """
        url = self.base_url + target
        message = self._message(method, target, headers, body)
        connection = self._take_idle()
        if connection is not None:
            try:
                return self._exchange(connection, message, url, timeout)
            except Dropped as drop:
                if not _may_repeat(drop, repeatable=repeatable):
                    raise _failed(method, url, drop) from drop
        try:
            connection = Connection(self._address, self._verify, timeout)
        except OSError as error:
            raise ConnectionFailed(f"{method} {url}: cannot connect: {error}. Nothing was sent") from error
        try:
            return self._exchange(connection, message, url, timeout)
        except Dropped as drop:
            raise _failed(method, url, drop) from drop

    def _exchange(self, connection: Connection, message: bytes, url: str, timeout: float) -> Response:
        finished = False
        try:
            response = connection.exchange(message, timeout)
            finished = True
        except TimeoutError as error:
            reason = f"no answer within {timeout:g} s. It may have taken effect nevertheless"
            raise ConnectionFailed(f"{url}: {reason}") from error
        except Malformed as error:
            raise ConnectionFailed(f"{url}: {error}") from error
        finally:
            # Whatever interrupted the exchange, KeyboardInterrupt included, left it half read.
            if finished and connection.reusable and len(self._idle) < _MAX_IDLE:
                self._idle.append(connection)
            else:
                connection.close()
        response.url = url
        return response

    def _take_idle(self) -> Connection | None:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread took the last one
                return None
            if not connection.is_stale():
                return connection
            connection.close()
        return None

    def _message(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
        lines = [f"{method} {self._address.prefix}{target} HTTP/1.1", f"Host: {self._address.host_header}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines.append(f"Content-Length: {len(body)}")
        if any("\r" in line or "\n" in line for line in lines):
            raise ValueError("A line break in a header or in the token")
        return "\r\n".join([*lines, "", ""]).encode() + body


def _may_repeat(drop: Dropped, *, repeatable: bool) -> bool:
    """Whether a request that failed on a reused connection may go out again on a new one.

    The server closes idle connections when it likes, so the first use after a pause can meet a closing one;
    that is no outage. When sending failed, the server cannot have the whole request and has done nothing:
    safe for every method. When it was sent and not one byte came back, the server may have carried it out
    before it went away: safe only when twice equals once, never for launching a job. After the first byte of
    an answer it was carried out: never.
    """
    return not drop.sent or (repeatable and not drop.answered)


def _failed(method: str, url: str, drop: Dropped) -> ConnectionFailed:
    effect = "It may have taken effect nevertheless" if drop.sent else "It had no effect"
    return ConnectionFailed(f"{method} {url}: connection lost: {drop}. {effect}")
