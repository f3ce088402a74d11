"""Connections of the injected `wmill`: reuse, loss, threads, forks, and the addresses it accepts."""

# ruff: noqa: F401, F811  (fixtures are imported, and found by the names of parameters)
from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from injected_client import CHILD, CREATE, JOB, LAUNCH, READ, run_job, server, wmill
from recorded_server import Answer, RecordedServer, as_json, as_text

# --- connections ----------------------------------------------------------------------------------------


def test_a_hundred_calls_use_one_connection(server: RecordedServer, wmill: Any) -> None:
    server.on(READ, as_json({"n": 1}))
    server.on(CREATE, as_text("created", 201))
    for _ in range(50):
        wmill.set_state(wmill.get_state())
    assert (len(server.requests), server.connections) == (100, 1)


@pytest.mark.parametrize("launch", [False, True])
def test_a_connection_the_server_closed_meanwhile_is_replaced(
    server: RecordedServer, wmill: Any, launch: bool
) -> None:
    server.on("GET /api/version", Answer(200, b"v", then="close"))
    server.on(f"{LAUNCH}?parent_job={JOB}", as_text(CHILD, 201))
    server.on(READ, as_json(1))
    wmill.get_version()
    server.wait_until_closed(1)
    assert (wmill.run_script_by_path_async("f/team/hello") if launch else wmill.get_state()) in (CHILD, 1)
    assert (len(server.requests), server.connections) == (2, 2)


DROPPED = Answer(then="drop")


def test_a_read_or_a_state_write_lost_with_a_reused_connection_is_sent_again(
    server: RecordedServer, wmill: Any
) -> None:
    server.on(READ, as_json(1), DROPPED, as_json(2))
    server.on(CREATE, DROPPED, as_text("created", 201))
    assert [wmill.get_state(), wmill.get_state()] == [1, 2]
    wmill.set_state(3)
    assert [(request.line, request.connection) for request in server.requests] == [
        (READ, 1),
        (READ, 1),
        (READ, 2),
        (CREATE, 2),
        (CREATE, 3),
    ]


def test_a_launch_lost_without_an_answer_is_not_sent_again(server: RecordedServer, wmill: Any) -> None:
    server.on("GET /api/version", as_text("v"))
    server.on(f"{LAUNCH}?parent_job={JOB}", DROPPED, as_text(CHILD, 201))
    wmill.get_version()
    with pytest.raises(wmill.ConnectionFailed, match="may have taken effect"):
        wmill.run_script_by_path_async("f/team/hello")
    assert len(server.requests) == 2
    assert wmill.run_script_by_path_async("f/team/hello") == CHILD


def test_a_fresh_connection_that_is_dropped_is_an_outage(server: RecordedServer, wmill: Any) -> None:
    server.on(READ, DROPPED)
    with pytest.raises(wmill.ConnectionFailed, match="connection lost"):
        wmill.get_state()
    assert len(server.requests) == 1


BIG = "x" * 16_000_000  # more than the buffers of both sockets hold


def test_a_launch_the_server_cannot_have_read_is_sent_again(server: RecordedServer, wmill: Any) -> None:
    server.on("GET /api/version", as_text("v"))
    server.on(f"{LAUNCH}?parent_job={JOB}", Answer(0, then="refuse"), as_text(CHILD, 201))
    wmill.get_version()
    assert wmill.run_script_by_path_async("f/team/hello", {"big": BIG}) == CHILD
    assert server.connections == 2


def test_a_refusal_in_the_middle_of_a_big_body_is_read(server: RecordedServer, wmill: Any) -> None:
    server.on(CREATE, Answer(413, b"Bad request: too big", then="refuse"))
    with pytest.raises(wmill.ApiError) as caught:
        wmill.set_state(BIG)
    assert caught.value.status == 413


def test_a_server_that_does_not_answer_is_given_up(wmill: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = wmill.Windmill(base_url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(wmill.ConnectionFailed, match=r"no answer within 0\.05 s"):
            client.get("version", timeout=0.05)


@pytest.mark.parametrize("garbage", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"])
def test_an_answer_that_is_not_http_is_a_failed_connection(wmill: Any, garbage: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        speaker = threading.Thread(target=speak_once, args=(listener, garbage))
        speaker.start()
        client = wmill.Windmill(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(wmill.ConnectionFailed):
            client.get("version")
        speaker.join()


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "ok"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end", "to the end"),
        (b"HTTP/1.0 204 No Content\r\n\r\n", ""),
    ],
)
def test_other_shapes_of_an_answer_are_understood(wmill: Any, said: bytes, text: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        speaker = threading.Thread(target=speak_once, args=(listener, said))
        speaker.start()
        client = wmill.Windmill(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        assert client.get("version").text == text
        speaker.join()


def speak_once(listener: socket.socket, said: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(said)


def test_a_chunked_answer_leaves_the_connection_usable(server: RecordedServer, wmill: Any) -> None:
    server.on(READ, Answer(200, b'{"n": 1}', "application/json", chunked=True))
    assert [wmill.get_state() for _ in range(3)] == [{"n": 1}] * 3
    assert server.connections == 1


def test_threads_do_not_mix_up_their_answers(server: RecordedServer, wmill: Any) -> None:
    for number in range(8):
        server.on(f"GET /api/w/demo/variables/get_value/f/t/{number}", as_json(str(number)))
    client, wrong = wmill.Windmill(), []

    def read(number: int) -> None:
        answers = {client.get_variable(f"f/t/{number}") for _ in range(25)}
        if answers != {str(number)}:
            wrong.append((number, answers))

    threads = [threading.Thread(target=read, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.close()
    assert (wrong, len(server.requests)) == ([], 200)
    assert server.connections <= 8


def test_a_forked_process_opens_its_own_connection(server: RecordedServer) -> None:
    server.on(READ, as_json(1))
    ended = run_job(
        server,
        """
        import os, wmill
        wmill.get_state()
        child = os.fork()
        wmill.get_state()
        if child == 0:
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        wmill.get_state()
        """,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(request.connection for request in server.requests) == [1, 1, 1, 2]


# --- where the server is --------------------------------------------------------------------------------


def test_a_base_url_may_have_a_path(monkeypatch: pytest.MonkeyPatch, wmill: Any) -> None:
    with RecordedServer(prefix="/tools/millpond/") as prefixed:
        monkeypatch.delenv("BASE_INTERNAL_URL")
        monkeypatch.setenv("WM_BASE_URL", prefixed.url)
        prefixed.on("GET /tools/millpond/api/version", as_text("v"))
        assert wmill.get_version() == "v"


def test_a_base_url_may_be_ipv6(wmill: Any) -> None:
    try:
        running = RecordedServer("::1")
    except OSError:
        pytest.skip("no IPv6 here")
    with running as server:
        server.on("GET /api/version", as_text("v"))
        assert wmill.Windmill(base_url=server.url).version == "v"
        assert server.requests[0].headers["host"] == server.url.removeprefix("http://")


def test_a_base_url_may_be_https(wmill: Any, tmp_path: Path) -> None:
    certificate = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with RecordedServer("127.0.0.1", tls=context) as secured:
        secured.on("GET /api/version", as_text("v"))
        url = secured.url.replace("127.0.0.1", "localhost")
        for verify in (False, str(certificate)):
            client = wmill.Windmill(base_url=url, verify=verify)
            assert [client.version, client.version] == ["v", "v"]
            client.close()
        assert secured.connections == 2
        with pytest.raises(wmill.ConnectionFailed, match="certificate"):
            wmill.Windmill(base_url=url).get("version")


def self_signed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now, now + dt.timedelta(1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = folder / "server.pem"
    file.write_bytes(private + certificate.public_bytes(pem))
    return file


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host", "http://", "http://host:port"])
def test_a_base_url_that_is_none_is_refused(wmill: Any, url: str) -> None:
    with pytest.raises(wmill.WindmillError, match=url):
        wmill.Windmill(base_url=url).get("version")


def test_a_job_without_a_server_or_workspace_says_what_is_missing(
    wmill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BASE_INTERNAL_URL")
    with pytest.raises(wmill.WindmillError, match="BASE_INTERNAL_URL"):
        wmill.get_state()
    monkeypatch.delenv("WM_WORKSPACE")
    with pytest.raises(wmill.WindmillError, match="WM_WORKSPACE"):
        wmill.Windmill()
