"""A real HTTP server in a thread which gives the answers it was told to give and remembers what it was asked.

It stands where a Millpond server would stand, so that a test can see the exact requests of a client on the
wire and the connections they came over. It knows nothing of jobs or states.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections import defaultdict
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self


@dataclass(frozen=True)
class Answer:
    """One answer; `then` says what the server does with the connection.

    keep: leave it open. close: close it without having announced it. drop: close it instead of answering.
    refuse: close it without reading the body, having answered or (status 0) not.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain"
    then: Literal["keep", "close", "drop", "refuse"] = "keep"
    chunked: bool = False


def as_json(value: object, status: int = 200, then: Literal["keep", "close"] = "keep") -> Answer:
    return Answer(status, json.dumps(value).encode(), "application/json", then)


def as_text(text: str, status: int = 200) -> Answer:
    return Answer(status, text.encode())


@dataclass(frozen=True)
class Request:
    """What arrived; `connection` counts the connections from 1."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def line(self) -> str:
        return f"{self.method} {self.target}"

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class _Memory:
    answers: defaultdict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))
    requests: list[Request] = field(default_factory=list)
    opened: int = 0
    closed: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)

    def next_answer(self, line: str) -> Answer:
        queue = self.answers.get(line)
        if not queue:
            return as_text(f"Not found: {line}", 404)
        return queue.pop(0) if len(queue) > 1 else queue[0]


class RecordedServer:
    """Use as a context manager; `url` is the base URL without `/api`."""

    def __init__(self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, prefix: str = "") -> None:
        self._memory = _Memory()
        self._server = _Server((host, 0), _handler(self._memory), self._memory, tls)
        name = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{name}:{self._server.server_port}{prefix}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="recorded-server"
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.close_connections()
        self._server.server_close()

    def on(self, line: str, *answers: Answer) -> None:
        """Answer `GET /path?query` with each of `answers` in turn, then with the last for ever."""
        self._memory.answers[line] = list(answers)

    @property
    def requests(self) -> list[Request]:
        return self._memory.requests

    @property
    def lines(self) -> list[str]:
        return [request.line for request in self._memory.requests]

    @property
    def connections(self) -> int:
        return self._memory.opened

    def wait_until_closed(self, connections: int) -> None:
        """Return when the server has closed so many connections."""
        with self._memory.changed:
            assert self._memory.changed.wait_for(lambda: self._memory.closed >= connections, timeout=10)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self,
        address: tuple[str, int],
        handler: type[BaseHTTPRequestHandler],
        memory: _Memory,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._memory = memory
        self._tls = tls
        self._open: set[socket.socket] = set()
        super().__init__(address, handler)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, peer = super().get_request()
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        self._open.add(connection)
        return connection, peer

    def shutdown_request(self, request: Any) -> None:
        super().shutdown_request(request)
        self._open.discard(request)
        with self._memory.changed:
            self._memory.closed += 1
            self._memory.changed.notify_all()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""

    def close_connections(self) -> None:
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


def _handler(memory: _Memory) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            with memory.changed:
                memory.opened += 1
                self.number = memory.opened

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

        def _respond(self) -> None:
            with memory.changed:
                answer = memory.next_answer(f"{self.command} {self.path}")
            if answer.then == "refuse":
                self._refuse(answer)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with memory.changed:
                memory.requests.append(Request(self.command, self.path, headers, body, self.number))
            if answer.then != "drop":
                self._send(answer)
            if answer.then != "keep":
                self.close_connection = True

        def _refuse(self, answer: Answer) -> None:
            if answer.status:
                self._send(answer)
            self.close_connection = True

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            if answer.chunked:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for byte in answer.body:
                    self.wfile.write(b"1\r\n%c\r\n" % byte)
                self.wfile.write(b"0\r\n\r\n")
                return
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = _respond  # noqa: N815  (the names http.server looks for)

    return Handler
