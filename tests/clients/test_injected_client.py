"""The injected Python client on flows, users and any endpoint: what it sends and what it makes of answers."""

# ruff: noqa: F401, F811  (fixtures are imported, and found by the names of parameters)
from __future__ import annotations

import datetime as dt
import pickle
from typing import Any

import pytest
from injected_client import CHILD, JOB, ROOT, server, wmill
from recorded_server import RecordedServer, as_json, as_text


def test_flow_user_states_ask_for_the_root_job_only_when_it_is_unknown(
    server: RecordedServer, wmill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, path = (
        f"GET /api/w/demo/jobs_u/get_root_job_id/{JOB}",
        f"/api/w/demo/jobs/flow/user_states/{ROOT}/a%2Fb%20c",
    )
    server.on(ask, as_json(ROOT))
    server.on(f"POST {path}", as_text("Flow job state updated"))
    server.on(f"GET {path}", as_json({"v": 1}))
    wmill.set_flow_user_state("a/b c", None)
    assert server.lines == [ask, f"POST {path}"]
    assert server.requests[1].body == b"null"
    monkeypatch.setenv("WM_ROOT_JOB_ID", ROOT)
    assert wmill.get_flow_user_state("a/b c") == {"v": 1}
    assert server.lines[2:] == [f"GET {path}"]


def test_flow_user_states_outside_a_flow_are_reported_on_stderr(
    server: RecordedServer, wmill: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WM_ROOT_JOB_ID", ROOT)
    assert wmill.set_flow_user_state("k", 1) is None
    assert wmill.get_flow_user_state("k") is None
    assert capsys.readouterr() == ("", f"Job {ROOT} does not exist or is not a flow\n" * 2)
    server.on(f"GET /api/w/demo/jobs/flow/user_states/{ROOT}/k", as_text("Internal: down", 500))
    with pytest.raises(wmill.ApiError):
        wmill.get_flow_user_state("k")


def test_resume_urls_have_a_random_nonce(server: RecordedServer, wmill: Any) -> None:
    client = wmill.Windmill()
    for _ in range(2):
        with pytest.raises(wmill.NotFound):
            client.get_resume_urls(approver="henri", flow_level=True)
    first, second = server.lines
    assert first.startswith(f"GET /api/w/demo/jobs/resume_urls/{JOB}/")
    assert first.endswith("?approver=henri&flow_level=true")
    assert first != second


def test_progress_of_the_own_job_is_one_request(
    server: RecordedServer, wmill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = f"POST /api/w/demo/job_metrics/set_progress/{JOB}"
    monkeypatch.setenv("WM_FLOW_JOB_ID", ROOT)
    server.on(line, as_json(None))
    server.on(f"GET /api/w/demo/job_metrics/get_progress/{JOB}", as_json(40))
    server.on(f"GET /api/w/demo/jobs/worker_is_draining/{JOB}", as_json(False))
    wmill.set_progress(40)
    assert server.lines == [line]
    assert server.requests[0].json() == {"percent": 40, "flow_job_id": ROOT}
    assert (wmill.get_progress(), wmill.worker_is_draining()) == (40, False)


def test_progress_of_another_job_goes_to_its_own_flow(server: RecordedServer, wmill: Any) -> None:
    server.on(f"GET /api/w/demo/jobs_u/get/{CHILD}", as_json({"parent_job": ROOT}))
    server.on(f"POST /api/w/demo/job_metrics/set_progress/{CHILD}", as_json(None))
    wmill.set_progress(7, CHILD)
    assert server.requests[-1].json() == {"percent": 7, "flow_job_id": ROOT}


def test_result_streams_are_lines_of_stdout(wmill: Any, capsys: pytest.CaptureFixture[str]) -> None:
    wmill.stream_result(iter(["a\nb", "c"]))
    assert capsys.readouterr().out == "WM_STREAM: a\\nb\nWM_STREAM: c\n"


# --- users and other endpoints --------------------------------------------------------------------------


def test_identity(server: RecordedServer, wmill: Any) -> None:
    server.on("GET /api/version", as_text("CE v1.850.0"))
    server.on("GET /api/users/whoami", as_json({"email": "admin@localhost"}))
    server.on("GET /api/w/demo/users/username_to_email/henri", as_text("admin@localhost"))
    server.on("POST /api/users/tokens/create", as_text("new-token", 201))
    client = wmill.Windmill()
    assert (wmill.get_workspace(), wmill.get_version(), client.version) == (
        "demo",
        "CE v1.850.0",
        "CE v1.850.0",
    )
    assert wmill.whoami() == client.user == {"email": "admin@localhost"}
    assert wmill.username_to_email("henri") == "admin@localhost"
    before = dt.datetime.now(dt.UTC).replace(microsecond=0)
    assert client.create_token(dt.timedelta(hours=1)) == "new-token"
    expires = dt.datetime.fromisoformat(server.requests[-1].json()["expiration"])
    assert before <= expires - dt.timedelta(hours=1) <= dt.datetime.now(dt.UTC)


def test_any_endpoint_can_be_called(server: RecordedServer, wmill: Any) -> None:
    server.on("GET /api/w/demo/x?b=true&n=&l=1&l=2", as_json({"a": 1}))
    server.on("POST /api/w/demo/x?q=1&r=%20", as_text("made", 201))
    client = wmill.Windmill()
    answer = client.get("/w/demo/x", params={"b": True, "n": None, "l": [1, 2]})
    assert (answer.status_code, answer.json(), answer.text, answer.content) == (
        200,
        {"a": 1},
        '{"a": 1}',
        b'{"a": 1}',
    )
    assert answer.headers["Content-Type"] == answer.headers.get("CONTENT-TYPE") == "application/json"
    posted = client.post("w/demo/x?q=1", content=b"bytes", params={"r": " "}, headers={"X-Own": "1"})
    assert posted.raise_for_status().text == "made"
    assert (server.requests[-1].body, server.requests[-1].headers["x-own"]) == (b"bytes", "1")


def test_an_error_status_can_be_looked_at(wmill: Any) -> None:
    answer = wmill.Windmill().get("/w/demo/none", raise_for_status=False)
    assert (answer.status_code, answer.is_success) == (404, False)
    with pytest.raises(wmill.NotFound):
        answer.raise_for_status()


def test_nothing_a_caller_passes_can_add_a_header(server: RecordedServer, wmill: Any) -> None:
    client = wmill.Windmill()
    client.get("x HTTP/1.1\r\nX-Injected: 1\r\n", raise_for_status=False)
    client.get("x", raise_for_status=False, params={"a": "1\r\nX-Injected: 1"})
    assert not any("x-injected" in request.headers for request in server.requests)
    with pytest.raises(ValueError, match="line break"):
        client.get("x", headers={"X-Own": "1\r\nX-Injected: 1"})


def test_errors_survive_pickling(wmill: Any) -> None:
    error = pickle.loads(pickle.dumps(wmill.StateConflict(412, "no", "http://x")))
    assert (type(error), error.status, error.body, str(error)) == (
        wmill.StateConflict,
        412,
        "no",
        "http://x: 412, no",
    )
