"""States over HTTP: what the real clients do, and the right of a job to the state that is its own."""

from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from millpond.base.errors import PermissionDenied
from millpond.model.actors import Actor, JobIdentity
from millpond.model.resources import NewResource
from millpond.services.interpolation import Interpolation
from millpond.services.resources import Resources
from millpond.services.workspace_keys import WorkspaceKeys
from millpond.store.pool import Database

BASE = "/api/w/main/resources"
PATH = "f/etl/load/henri"


async def set_state(client: httpx.AsyncClient, value: object) -> None:
    """The two requests of `wmill.set_state`."""
    if (await client.get(f"{BASE}/get/{PATH}")).status_code == 404:
        answer = await client.post(
            f"{BASE}/create", json={"path": PATH, "value": value, "resource_type": "state"}
        )
        assert answer.status_code == 201
    else:
        answer = await client.post(f"{BASE}/update_value/{PATH}", json={"value": value})
        assert (answer.status_code, answer.text) == (200, f"value of resource {PATH} updated")


async def test_a_state_is_absent_then_kept_then_replaced(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{BASE}/get_value_interpolated/{PATH}")
    assert (answer.status_code, answer.text) == (404, f"Not found: Resource {PATH} not found")
    values: list[object] = [{"cursor": 1}, None, [], "text", {"cursor": 2}]
    for value in values:
        await set_state(client, value)
        assert (await client.get(f"{BASE}/get_value_interpolated/{PATH}")).json() == value


async def test_a_state_comes_back_byte_for_byte_and_is_never_interpolated(client: httpx.AsyncClient) -> None:
    value = (
        '{"b":1.0,"a":"$var:u/x/no", "b":[1e400, "$res:bad"],"é":"\\u00e9\\u0000", "d":'
        + "[" * 60
        + "]" * 60
        + "}"
    )
    body = f'{{"path":"{PATH}","resource_type":"state","value":{value}}}'
    assert (await client.post(f"{BASE}/create", content=body.encode())).status_code == 201
    for reader in ("get_value_interpolated", "get_value"):
        answer = await client.get(f"{BASE}/{reader}/{PATH}")
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.text == value
    assert value in (await client.get(f"{BASE}/get/{PATH}")).text
    holder = f'{{"path":"u/admin/holder","resource_type":"any","value":{{"s":"$res:{PATH}"}}}}'
    assert (await client.post(f"{BASE}/create", content=holder.encode())).status_code == 201
    assert (await client.get(f"{BASE}/get_value_interpolated/u/admin/holder")).text == f'{{"s":{value}}}'


async def test_states_are_listed_by_type_without_their_values(client: httpx.AsyncClient) -> None:
    await set_state(client, {"cursor": 1})
    await client.post(f"{BASE}/create", json={"path": "u/admin/r", "value": 1, "resource_type": "any"})
    listed = (await client.get(f"{BASE}/list?resource_type=state")).json()
    assert [(entry["path"], entry["value"]) for entry in listed] == [(PATH, None)]
    listed = (await client.get(f"{BASE}/list?resource_type_exclude=state,cache")).json()
    assert [entry["path"] for entry in listed] == ["u/admin/r"]
    assert [entry["path"] for entry in (await client.get(f"{BASE}/list_search")).json()] == ["u/admin/r"]


def job_of_henri(state_path: str) -> Actor:
    return Actor(
        workspace_id="main",
        email="henri@localhost",
        username="henri",
        readable_folders=frozenset({"etl"}),
        job=JobIdentity(job_id=uuid4(), state_path=state_path),
    )


async def test_a_job_may_use_its_own_state_in_a_folder_it_can_only_read(
    database: Database, instance: Any
) -> None:
    resources = Resources(database, Interpolation(database, WorkspaceKeys(database, instance.master_key)))
    job = job_of_henri(PATH)
    state = NewResource(path=PATH, value=msgspec.Raw(b'{"n":1}'), resource_type="state")
    await resources.create(job, state, update_if_exists=False, validate=True)
    await resources.update_value(job, PATH, msgspec.Raw(b'{"n":2}'), validate=True)
    assert await resources.get_value_interpolated(job, PATH) == '{"n":2}'
    stranger = job_of_henri("f/etl/other/henri")
    with pytest.raises(PermissionDenied):
        await resources.update_value(stranger, PATH, msgspec.Raw(b"1"), validate=True)
    await resources.delete(job, PATH)
    # The right is to a state, not to whatever else might stand there.
    other = NewResource(path=PATH, value=msgspec.Raw(b"{}"), resource_type="any")
    with pytest.raises(PermissionDenied):
        await resources.create(job, other, update_if_exists=True, validate=True)
