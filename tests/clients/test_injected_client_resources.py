"""The injected Python client on resources and variables: what it sends and what it makes of answers."""

# ruff: noqa: F401, F811  (fixtures are imported, and found by the names of parameters)
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from injected_client import CREATE, server, wmill
from recorded_server import RecordedServer, as_json, as_text


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
