"""The `wmill` package that is put into Python jobs: the exact requests, and what it makes of the answers."""

# ruff: noqa: F401, F811  (fixtures are imported, and found by the names of parameters)
from __future__ import annotations

import datetime as dt
import json
import pickle
import socket
from pathlib import Path
from typing import Any

import pytest
from injected_client import CHILD, CREATE, JOB, LAUNCH, READ, ROOT, STATE, run_job, server, wmill
from recorded_server import Answer, RecordedServer, as_json, as_text

# --- states ---------------------------------------------------------------------------------------------


def test_get_state_reads_without_interpolation(server: RecordedServer, wmill: Any) -> None:
    server.on(READ, as_json({"note": "$var:u/henri/secret", "n": 1}))
    assert wmill.get_state() == {"note": "$var:u/henri/secret", "n": 1}
    (request,) = server.requests
    assert request.line == READ
    assert request.headers["authorization"] == "Bearer job-token"
    assert request.headers["host"] == server.url.removeprefix("http://")


def test_get_state_is_none_for_a_state_that_does_not_exist(wmill: Any) -> None:
    assert wmill.get_state() is None


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, "ApiError"), (503, "ApiError"), (401, "PermissionDenied"), (403, "PermissionDenied")],
)
def test_get_state_raises_when_the_state_could_not_be_read(
    server: RecordedServer, wmill: Any, status: int, error: str
) -> None:
    server.on(READ, as_text("Internal: no", status))
    with pytest.raises(getattr(wmill, error)) as caught:
        wmill.get_state()
    assert (caught.value.status, caught.value.body) == (status, "Internal: no")
    assert str(caught.value) == f"{server.url}{READ.removeprefix('GET ')}: {status}, Internal: no"


def test_get_state_raises_for_an_answer_that_is_not_json(server: RecordedServer, wmill: Any) -> None:
    server.on(READ, as_text("<!doctype html><title>login</title>"))
    with pytest.raises(wmill.InvalidAnswer, match="doctype"):
        wmill.get_state()


def test_get_state_raises_when_nobody_listens(wmill: Any) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = wmill.Windmill(base_url=f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(wmill.ConnectionFailed, match="Nothing was sent"):
            client.get_state()


@pytest.mark.parametrize("value", [{"n": 1, "é": [None, True, 1.5]}, None, 0, "", []])
def test_set_state_is_one_request(server: RecordedServer, wmill: Any, value: object) -> None:
    server.on(CREATE, as_text(f"resource {STATE} created", 201))
    assert wmill.set_state(value) is None
    (request,) = server.requests
    assert request.line == CREATE
    assert request.json() == {"path": STATE, "value": value, "resource_type": "state"}
    assert request.headers["content-type"] == "application/json"


def test_a_state_can_live_at_another_path(server: RecordedServer, wmill: Any) -> None:
    server.on(CREATE, as_text("created", 201))
    server.on("GET /api/w/demo/resources/get_value/f/team/other", as_json(5))
    wmill.set_state(5, "f/team/other")
    wmill.set_state(5, path="$res:f/team/other")
    assert [request.json()["path"] for request in server.requests] == ["f/team/other"] * 2
    assert wmill.get_state("res://f/team/other") == 5


def test_the_newer_name_of_the_state_path_wins(wmill: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WM_STATE_PATH_NEW", "f/team/newer")
    assert wmill.get_state_path() == "f/team/newer"


def test_a_state_without_a_path_is_refused_by_name(wmill: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WM_STATE_PATH")
    with pytest.raises(wmill.WindmillError, match="State path not found"):
        wmill.get_state()


def test_the_state_property_reads_and_writes(server: RecordedServer, wmill: Any) -> None:
    server.on(CREATE, as_text("created", 201))
    server.on(READ, as_json([1]))
    client = wmill.Windmill()
    client.state = [1]
    assert client.state == [1]
    assert server.lines == [CREATE, READ]


@pytest.mark.parametrize("value", [{"at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}, {(1, 2): 3}, {1, 2}])
def test_set_state_names_what_json_cannot_hold(server: RecordedServer, wmill: Any, value: object) -> None:
    with pytest.raises(TypeError, match=rf"state '{STATE}'.*(datetime|tuple|set)"):
        wmill.set_state(value)
    assert server.requests == []


def test_set_state_refuses_nan(server: RecordedServer, wmill: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        wmill.set_state(float("nan"))
    assert server.requests == []


def test_a_conflicting_write_is_a_state_conflict(server: RecordedServer, wmill: Any) -> None:
    server.on(CREATE, as_text("Conflict: version 3 is not current", 412))
    with pytest.raises(wmill.StateConflict) as caught:
        wmill.set_state(1)
    assert isinstance(caught.value, wmill.Conflict)


# --- resources and variables ----------------------------------------------------------------------------


def test_get_resource_interpolates_unless_told_otherwise(server: RecordedServer, wmill: Any) -> None:
    server.on("GET /api/w/demo/resources/get_value_interpolated/f/team/api", as_json({"token": "plain"}))
    server.on("GET /api/w/demo/resources/get_value/f/team/api", as_json({"token": "$var:f/team/tok"}))
    for path in ("f/team/api", "$res:f/team/api", "res://f/team/api"):
        assert wmill.get_resource(path) == {"token": "plain"}
    assert wmill.get_resource("f/team/api", interpolated=False) == {"token": "$var:f/team/tok"}


def test_get_resource_gives_none_for_absence_only(server: RecordedServer, wmill: Any) -> None:
    assert wmill.get_resource("f/team/none", none_if_undefined=True) is None
    with pytest.raises(wmill.NotFound):
        wmill.get_resource("f/team/none")
    server.on("GET /api/w/demo/resources/get_value_interpolated/f/team/none", as_text("Internal: down", 500))
    with pytest.raises(wmill.ApiError, match="500, Internal: down"):
        wmill.get_resource("f/team/none", none_if_undefined=True)


def test_set_resource_keeps_the_type_of_an_existing_resource(server: RecordedServer, wmill: Any) -> None:
    server.on("POST /api/w/demo/resources/update/f/team/api", as_text("updated"))
    wmill.set_resource("f/team/api", {"a": 1}, "c_api")
    (request,) = server.requests
    assert request.json() == {"value": {"a": 1}}


def test_set_resource_creates_what_is_missing(server: RecordedServer, wmill: Any) -> None:
    server.on(CREATE, as_text("created", 201))
    wmill.set_resource("f/team/api", {"a": 1})
    assert server.lines == ["POST /api/w/demo/resources/update/f/team/api", CREATE]
    assert server.requests[1].json() == {"path": "f/team/api", "value": {"a": 1}, "resource_type": "any"}


def test_set_resource_does_not_create_after_a_denied_update(server: RecordedServer, wmill: Any) -> None:
    server.on("POST /api/w/demo/resources/update/f/team/api", as_text("Permission denied: no", 403))
    with pytest.raises(wmill.PermissionDenied):
        wmill.set_resource("f/team/api", 1)
    assert len(server.requests) == 1


def test_list_resources_sends_only_what_was_given(server: RecordedServer, wmill: Any) -> None:
    server.on("GET /api/w/demo/resources/list", as_json([]))
    server.on(
        "GET /api/w/demo/resources/list?resource_type=c_api&page=1&per_page=10", as_json([{"path": "x"}])
    )
    assert wmill.list_resources() == []
    assert wmill.list_resources("c_api", page=1, per_page=10) == [{"path": "x"}]


def test_get_variable_reads_a_json_string(server: RecordedServer, wmill: Any) -> None:
    server.on("GET /api/w/demo/variables/get_value/f/team/tok", as_json("plain"))
    assert wmill.get_variable("f/team/tok") == wmill.get_variable("var://f/team/tok") == "plain"
    with pytest.raises(wmill.NotFound):
        wmill.get_variable("f/team/nope")


def test_set_variable_updates_or_creates(server: RecordedServer, wmill: Any) -> None:
    update, create = "POST /api/w/demo/variables/update/f/team/v", "POST /api/w/demo/variables/create"
    server.on(update, as_text("Not found: Variable", 404), as_text("updated"))
    server.on(create, as_text("created", 201))
    wmill.set_variable("f/team/v", "one", is_secret=True)
    wmill.set_variable("f/team/v", "two")
    assert server.lines == [update, create, update]
    created = {"path": "f/team/v", "value": "one", "is_secret": True, "description": ""}
    assert [request.json() for request in server.requests] == [{"value": "one"}, created, {"value": "two"}]


def test_set_variable_survives_another_job_creating_it_first(server: RecordedServer, wmill: Any) -> None:
    update = "POST /api/w/demo/variables/update/f/team/v"
    server.on(update, as_text("Not found: Variable", 404), as_text("updated"))
    server.on(
        "POST /api/w/demo/variables/create", as_text("Bad request: Variable f/team/v already exists", 400)
    )
    wmill.set_variable("f/team/v", "mine")
    assert server.lines.count(update) == 2


def test_a_mocked_api_stands_in_for_the_server(
    server: RecordedServer, wmill: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mocked = tmp_path / "mocked.json"
    mocked.write_text(json.dumps({"variables": {"f/a/v": "x"}, "resources": {"f/a/r": {"k": 1}}}))
    monkeypatch.setenv("WM_MOCKED_API_FILE", str(mocked))
    client = wmill.Windmill()
    client.set_state({"n": 1})
    client.set_variable("f/a/w", "y")
    client.set_resource([1], "f/a/s", "any")
    assert client.get_variable("f/a/v") + client.get_variable("f/a/w") == "xy"
    assert (client.get_resource("$res:f/a/r"), client.get_resource("f/a/s")) == ({"k": 1}, [1])
    assert client.get_state() == {"n": 1}
    assert client.get_resource("f/a/none", none_if_undefined=True) is None
    assert server.requests == []
    with pytest.raises(wmill.NotFound):
        client.get_variable("f/a/none")
    assert len(server.requests) == 1


# --- the shared directory -------------------------------------------------------------------------------


@pytest.mark.skipif(Path("/shared").exists(), reason="this machine has a /shared of its own")
def test_shared_state_lives_in_the_shared_directory(
    wmill: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shared").mkdir()
    with pytest.raises(FileNotFoundError):
        wmill.get_shared_state()
    wmill.set_shared_state({"é": 1})
    wmill.set_shared_state_pickle({1, 2}, "set.pickle")
    assert wmill.get_shared_state() == {"é": 1}
    assert wmill.get_shared_state_pickle("set.pickle") == {1, 2}
    assert sorted(file.name for file in (tmp_path / "shared").iterdir()) == ["set.pickle", "state.json"]


@pytest.mark.skipif(Path("/shared").exists(), reason="this machine has a /shared of its own")
def test_without_a_shared_directory_the_error_names_the_setting(
    wmill: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(wmill.SharedDirectoryMissing, match="'Shared Directory'") as caught:
        wmill.set_shared_state(1)
    assert isinstance(caught.value, FileNotFoundError)


# --- jobs -----------------------------------------------------------------------------------------------


def maybe(*, completed: bool, success: bool | None = None, result: object = None) -> Answer:
    return as_json({"started": True, "completed": completed, "success": success, "result": result})


POLL = f"GET /api/w/demo/jobs_u/completed/get_result_maybe/{CHILD}"
CANCEL = f"POST /api/w/demo/jobs_u/queue/cancel/{CHILD}"


def test_a_started_script_is_a_child_of_the_running_job(
    server: RecordedServer, wmill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WM_ROOT_FLOW_JOB_ID", ROOT)
    retry = {"constant": {"attempts": 3, "seconds": 1}}
    encoded = "%7B%22constant%22%3A%20%7B%22attempts%22%3A%203%2C%20%22seconds%22%3A%201%7D%7D"
    line = f"{LAUNCH}?scheduled_in_secs=5&tag=gpu&retry={encoded}&parent_job={JOB}&root_job={ROOT}"
    server.on(line, as_text(CHILD, 201))
    started = wmill.run_script_by_path_async(
        "f/team/hello", {"k": 1}, scheduled_in_secs=5, tag="gpu", retry=retry
    )
    assert started == CHILD
    assert server.requests[0].json() == {"k": 1}


def test_run_script_async_takes_what_contains_a_slash_for_a_path(server: RecordedServer, wmill: Any) -> None:
    server.on(f"{LAUNCH}?parent_job={JOB}", as_text("by path", 201))
    server.on(f"POST /api/w/demo/jobs/run/h/74095d5f52ca47d1?parent_job={JOB}", as_text("by hash", 201))
    assert wmill.run_script_async("f/team/hello") == "by path"
    assert wmill.run_script_async("74095d5f52ca47d1") == "by hash"
    assert [request.body for request in server.requests] == [b"{}", b"{}"]


def test_a_flow_is_tracked_in_its_parent_only_when_asked(server: RecordedServer, wmill: Any) -> None:
    flow = "POST /api/w/demo/jobs/run/f/f/team/flow"
    server.on(flow, as_text("alone", 201))
    server.on(f"{flow}?parent_job={JOB}", as_text("tracked", 201))
    assert wmill.run_flow_async("f/team/flow") == "alone"
    assert wmill.run_flow_async("f/team/flow", do_not_track_in_parent=False) == "tracked"


def test_run_script_by_path_waits_for_the_result(server: RecordedServer, wmill: Any) -> None:
    server.on(f"{LAUNCH}?parent_job={JOB}", as_text(CHILD, 201))
    server.on(
        POLL, maybe(completed=False), maybe(completed=False), maybe(completed=True, success=True, result=[1])
    )
    assert wmill.run_script_by_path("f/team/hello") == [1]
    assert server.lines.count(POLL) == 3


def test_waiting_for_a_failed_job_raises_its_error(server: RecordedServer, wmill: Any) -> None:
    error = {"name": "ValueError", "message": "no"}
    server.on(POLL, maybe(completed=True, success=False, result={"error": error}))
    with pytest.raises(wmill.JobFailed, match=f"Job {CHILD} was not successful: .*ValueError") as caught:
        wmill.Windmill().wait_job(CHILD)
    assert caught.value.error == error


def test_a_none_result_raises_only_where_it_is_asserted(server: RecordedServer, wmill: Any) -> None:
    server.on(f"{LAUNCH}?parent_job={JOB}", as_text(CHILD, 201))
    server.on(POLL, maybe(completed=True, success=True))
    assert wmill.Windmill().run_script_by_path("f/team/hello") is None
    with pytest.raises(wmill.WindmillError, match="Result was none"):
        wmill.run_script_by_path("f/team/hello")


@pytest.mark.parametrize("timeout", [0.05, dt.timedelta(milliseconds=50)])
def test_a_timeout_cancels_the_job(server: RecordedServer, wmill: Any, timeout: float | dt.timedelta) -> None:
    server.on(POLL, maybe(completed=False))
    server.on(CANCEL, as_text(CHILD))
    with pytest.raises(TimeoutError, match="reached timeout"):
        wmill.Windmill().wait_job(CHILD, timeout=timeout)
    assert server.requests[-1].line == CANCEL
    assert server.requests[-1].json() == {"reason": "reached timeout"}


@pytest.mark.parametrize(("cleanup", "cancelled"), [(True, [CANCEL]), (False, [])])
def test_a_job_that_is_waited_for_is_cancelled_when_the_process_ends(
    server: RecordedServer, cleanup: bool, cancelled: list[str]
) -> None:
    server.on(POLL, maybe(completed=False), as_text("Internal: down", 500))
    server.on(CANCEL, as_text(CHILD))
    ended = run_job(server, f"import wmill; wmill.Windmill().wait_job({CHILD!r}, cleanup={cleanup})")
    assert "500, Internal: down" in ended.stderr
    assert [line for line in server.lines if line == CANCEL] == cancelled


def test_a_completed_job_is_not_cancelled_when_the_process_ends(server: RecordedServer) -> None:
    server.on(POLL, maybe(completed=True, success=True, result=1))
    ended = run_job(server, f"import wmill; print(wmill.Windmill().wait_job({CHILD!r}))")
    assert (ended.stdout, server.lines) == ("1\n", [POLL])


@pytest.mark.parametrize(
    ("job", "status"),
    [
        ({"type": "CompletedJob", "success": False}, "COMPLETED"),
        ({"type": "QueuedJob", "running": True}, "RUNNING"),
        ({"type": "QueuedJob", "running": False}, "WAITING"),
    ],
)
def test_job_status(server: RecordedServer, wmill: Any, job: dict[str, object], status: str) -> None:
    server.on(f"GET /api/w/demo/jobs_u/get/{CHILD}", as_json(job))
    assert wmill.get_job_status(CHILD) == status
    assert wmill.get_job(CHILD) == job


def test_get_result_falls_back_to_text(server: RecordedServer, wmill: Any) -> None:
    line = f"GET /api/w/demo/jobs_u/completed/get_result/{CHILD}"
    server.on(line, as_json({"a": 1}), as_json(None), as_text("plain text"))
    assert [wmill.get_result(CHILD) for _ in range(3)] == [{"a": 1}, None, "plain text"]


def test_cancel_running_spares_the_caller(
    server: RecordedServer, wmill: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = "GET /api/w/demo/jobs/list?running=true&script_path_exact=f%2Fteam%2Fhello"
    server.on(jobs, as_json([{"id": JOB}, {"id": CHILD}]))
    server.on(CANCEL, as_text(CHILD))
    with pytest.raises(wmill.WindmillError, match="WM_JOB_PATH"):
        wmill.Windmill().cancel_running()
    monkeypatch.setenv("WM_JOB_PATH", "f/team/hello")
    answers = wmill.Windmill().cancel_running()
    assert {job_id: answer.text for job_id, answer in answers.items()} == {CHILD: CHILD}
    assert server.lines == [jobs, CANCEL]


def test_cancel_job_sends_its_reason(server: RecordedServer, wmill: Any) -> None:
    server.on(CANCEL, as_text(CHILD))
    assert wmill.cancel_job(CHILD) == wmill.cancel_job(CHILD, "why not") == CHILD
    reasons = [request.json()["reason"] for request in server.requests]
    assert reasons == ["cancelled via cancel_job method", "why not"]


def test_inline_previews_run_on_the_own_server(server: RecordedServer, wmill: Any) -> None:
    server.on("POST /api/w/demo/jobs/run_inline/preview", as_json([[1]]))
    assert wmill.run_inline_script_preview("select 1", "postgresql", {"database": "x"}) == [[1]]
    assert server.requests[0].json() == {
        "content": "select 1",
        "language": "postgresql",
        "args": {"database": "x"},
    }


# --- flows ----------------------------------------------------------------------------------------------


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
