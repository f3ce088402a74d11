"""The injected Python client on jobs: what it sends and what it makes of answers."""

# ruff: noqa: F401, F811  (fixtures are imported, and found by the names of parameters)
from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from injected_client import CHILD, JOB, LAUNCH, ROOT, run_job, server, wmill
from recorded_server import Answer, RecordedServer, as_json, as_text


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
