"""The injected Python client on states and the shared directory: what it sends and what it makes of answers."""

# ruff: noqa: F401, F811  (fixtures are imported, and found by the names of parameters)
from __future__ import annotations

import datetime as dt
import socket
from pathlib import Path
from typing import Any

import pytest
from injected_client import CREATE, READ, STATE, server, wmill
from recorded_server import RecordedServer, as_json, as_text


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
