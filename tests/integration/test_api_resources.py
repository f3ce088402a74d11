"""Resources over HTTP: statuses and texts, values byte for byte, references, permissions, hostile input."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from millpond.store.pool import Database

ClientOf = Callable[..., Awaitable[httpx.AsyncClient]]

BASE = "/api/w/main/resources"
VARIABLES = "/api/w/main/variables"


async def create(client: httpx.AsyncClient, path: str, value: str, kind: str = "any", more: str = "") -> None:
    body = f'{{"path":"{path}","resource_type":"{kind}"{more},"value":{value}}}'
    answer = await client.post(f"{BASE}/create", content=body.encode())
    assert (answer.status_code, answer.text) == (201, f"resource {path} created")


async def create_variable(
    client: httpx.AsyncClient, path: str, value: str, *, is_secret: bool = False
) -> None:
    body = {"path": path, "value": value, "is_secret": is_secret, "description": ""}
    assert (await client.post(f"{VARIABLES}/create", json=body)).status_code == 201


async def test_a_resource_is_created_read_changed_and_deleted(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{BASE}/exists/u/admin/r")).json() is False
    await create(client, "u/admin/r", '{"a":1}', more=',"description":"d","labels":["x"]')
    assert (await client.get(f"{BASE}/exists/u/admin/r")).json() is True
    found = (await client.get(f"{BASE}/get/u/admin/r")).json()
    assert found.pop("edited_at").endswith("Z")
    assert found == {
        "workspace_id": "main",
        "path": "u/admin/r",
        "value": {"a": 1},
        "description": "d",
        "resource_type": "any",
        "extra_perms": {},
        "created_by": "admin",
        "is_linked": False,
        "labels": ["x"],
        "is_oauth": False,
        "is_refreshed": False,
        "is_expired": False,
        "account": None,
    }
    answer = await client.post(
        f"{BASE}/update/u/admin/r", json={"description": "new", "resource_type": "c_other"}
    )
    assert (answer.status_code, answer.text) == (200, 'resource u/admin/r updated (npath: "u/admin/r")')
    answer = await client.post(f"{BASE}/update_value/u/admin/r", json={"value": [1]})
    assert (answer.status_code, answer.text) == (200, "value of resource u/admin/r updated")
    found = (await client.get(f"{BASE}/get/u/admin/r")).json()
    assert (found["description"], found["resource_type"], found["value"]) == ("new", "c_other", [1])
    assert found["labels"] == ["x"]
    answer = await client.delete(f"{BASE}/delete/u/admin/r")
    assert (answer.status_code, answer.text) == (200, "resource u/admin/r deleted")
    assert (await client.delete(f"{BASE}/delete/u/admin/r")).status_code == 404


async def test_a_missing_resource_is_404_everywhere(client: httpx.AsyncClient) -> None:
    for answer in (
        await client.get(f"{BASE}/get/u/admin/no"),
        await client.get(f"{BASE}/get_value/u/admin/no"),
        await client.get(f"{BASE}/get_value_interpolated/u/admin/no"),
        await client.post(f"{BASE}/update/u/admin/no", json={}),
        await client.post(f"{BASE}/update_value/u/admin/no", json={"value": 1}),
        await client.delete(f"{BASE}/delete/u/admin/no"),
    ):
        assert (answer.status_code, answer.text) == (404, "Not found: Resource u/admin/no not found")


async def test_a_taken_path_is_refused_unless_it_may_be_overwritten(client: httpx.AsyncClient) -> None:
    await create(client, "u/admin/r", "1", more=',"description":"d"')
    body = {"path": "u/admin/r", "value": 2, "resource_type": "any"}
    answer = await client.post(f"{BASE}/create", json=body)
    assert (answer.status_code, answer.text) == (400, "Bad request: Resource u/admin/r already exists")
    answer = await client.post(f"{BASE}/create?update_if_exists=true", json=body)
    assert answer.status_code == 201
    found = (await client.get(f"{BASE}/get/u/admin/r")).json()
    assert (found["value"], found["description"]) == (2, "d")


async def test_values_keep_their_bytes(client: httpx.AsyncClient) -> None:
    value = '{"b":1.0,"a":2,"b2":1e400, "a":3,"n":123456789012345678901234567890,"s":"\\u00e9é","z":-0.0}'
    await create(client, "u/admin/r", value)
    for reader in ("get_value", "get_value_interpolated"):
        assert (await client.get(f"{BASE}/{reader}/u/admin/r")).text == value
    assert f'"value":{value}' in (await client.get(f"{BASE}/get/u/admin/r")).text


async def test_references_are_replaced_when_asked(client: httpx.AsyncClient) -> None:
    await create_variable(client, "u/admin/s", 'se"cret', is_secret=True)
    await create_variable(client, "u/admin/j", '{"k": 1.0}')
    await create(client, "u/admin/inner", '{"p":"$var:u/admin/s","n":1.50}')
    value = (
        '{"z":1.0,"list":[["$var:u/admin/s"]],"r":"$res:u/admin/inner",'
        '"j":"$jsonvar:u/admin/j","t":"$WM_TOKEN"}'
    )
    await create(client, "u/admin/r", value)
    assert (await client.get(f"{BASE}/get_value/u/admin/r")).text == value
    assert (await client.get(f"{BASE}/get_value_interpolated/u/admin/r")).text == (
        '{"z":1.0,"list":[["se\\"cret"]],"r":{"p":"se\\"cret","n":1.50},"j":{"k": 1.0},"t":"$WM_TOKEN"}'
    )


async def test_references_that_cannot_be_followed_are_named(
    client: httpx.AsyncClient, client_of: ClientOf
) -> None:
    await create(client, "u/admin/r", '{"a":"$res:u/admin/gone"}')
    answer = await client.get(f"{BASE}/get_value_interpolated/u/admin/r")
    assert answer.status_code == 404
    assert answer.text == "Not found: Resource u/admin/gone not found, which resource u/admin/r refers to"
    await create(client, "u/admin/circle", '["$res:u/admin/circle"]')
    answer = await client.get(f"{BASE}/get_value_interpolated/u/admin/circle")
    assert answer.status_code == 400
    assert "interpolation depth (50) exceeded" in answer.text
    # What is hidden counts as missing.
    await create_variable(client, "u/admin/s", "hidden-secret", is_secret=True)
    henri = await client_of("henri")
    await create(henri, "u/henri/r", '{"a":"$var:u/admin/s"}')
    answer = await henri.get(f"{BASE}/get_value_interpolated/u/henri/r")
    assert answer.status_code == 404
    assert "hidden-secret" not in answer.text


async def test_a_hidden_resource_is_403_and_a_missing_one_404(
    client: httpx.AsyncClient, client_of: ClientOf, database: Database
) -> None:
    await create(client, "u/admin/r", '{"name":"n"}')
    henri = await client_of("henri")
    for answer in (
        await henri.get(f"{BASE}/get/u/admin/r"),
        await henri.get(f"{BASE}/get_value/u/admin/r"),
        await henri.get(f"{BASE}/get_value_interpolated/u/admin/r"),
        await henri.post(f"{BASE}/update/u/admin/r", json={}),
        await henri.post(f"{BASE}/update_value/u/admin/r", json={"value": 1}),
        await henri.delete(f"{BASE}/delete/u/admin/r"),
        await henri.request("DELETE", f"{BASE}/delete_bulk", json={"paths": ["u/admin/r"]}),
        await henri.post(f"{BASE}/create", json={"path": "u/admin/n", "value": 1, "resource_type": "any"}),
    ):
        assert answer.status_code == 403, answer.text
    assert (await henri.get(f"{BASE}/get/u/admin/no")).status_code == 404
    for listing in ("list", "list_search", "list_names/any"):
        assert (await henri.get(f"{BASE}/{listing}")).json() == []
    async with database.statement() as connection:
        await connection.execute("""UPDATE resource SET extra_perms = '{"u/henri": true}'""")
    assert (await henri.get(f"{BASE}/get_value/u/admin/r")).status_code == 200
    assert (await henri.get(f"{BASE}/list_names/any")).json() == [{"name": "n", "path": "u/admin/r"}]
    assert (await henri.post(f"{BASE}/update_value/u/admin/r", json={"value": 1})).status_code == 200
    assert (await henri.post(f"{BASE}/update/u/admin/r", json={"path": "u/henri/r"})).status_code == 403


async def test_a_rename_takes_the_variable_of_the_path_along(client: httpx.AsyncClient) -> None:
    await create_variable(client, "u/admin/r", "secret-part", is_secret=True)
    await create(client, "u/admin/r", '{"b":1.0,"a":"$var:u/admin/r"}')
    assert (await client.get(f"{BASE}/get/u/admin/r")).json()["is_linked"] is True
    answer = await client.post(f"{BASE}/update/u/admin/r", json={"path": "f/team/r"})
    assert (answer.status_code, answer.text) == (200, 'resource u/admin/r updated (npath: "f/team/r")')
    assert (await client.get(f"{BASE}/exists/u/admin/r")).json() is False
    assert (await client.get(f"{VARIABLES}/exists/u/admin/r")).json() is False
    assert (await client.get(f"{BASE}/get_value/f/team/r")).text == '{"b":1.0,"a":"$var:f/team/r"}'
    value = (await client.get(f"{BASE}/get_value_interpolated/f/team/r")).text
    assert value == '{"b":1.0,"a":"secret-part"}'
    await create(client, "u/admin/other", "1")
    answer = await client.post(f"{BASE}/update/u/admin/other", json={"path": "f/team/r"})
    assert (answer.status_code, answer.text) == (400, "Bad request: Resource f/team/r already exists")
    await create_variable(client, "u/admin/other", "x")
    await create_variable(client, "u/admin/target", "y")
    answer = await client.post(f"{BASE}/update/u/admin/other", json={"path": "u/admin/target"})
    assert answer.status_code == 400
    assert (await client.get(f"{BASE}/exists/u/admin/other")).json() is True


async def test_deletion_takes_the_variable_of_the_path_along_if_it_may(
    client: httpx.AsyncClient, client_of: ClientOf, database: Database
) -> None:
    for path in ("u/admin/a", "u/admin/b"):
        await create(client, path, "1")
        await create_variable(client, path, "x")
    body = {"paths": ["u/admin/a", "u/admin/no"]}
    answer = await client.request("DELETE", f"{BASE}/delete_bulk", json=body)
    assert (answer.status_code, answer.json()) == (200, ["u/admin/a"])
    assert (await client.get(f"{VARIABLES}/exists/u/admin/a")).json() is False
    henri = await client_of("henri")
    async with database.statement() as connection:
        await connection.execute("""UPDATE resource SET extra_perms = '{"u/henri": true}'""")
    assert (await henri.delete(f"{BASE}/delete/u/admin/b")).status_code == 200
    assert (await client.get(f"{VARIABLES}/exists/u/admin/b")).json() is True


async def test_lists_are_filtered_sorted_and_paged(client: httpx.AsyncClient) -> None:
    await create(
        client,
        "u/admin/a",
        '{"host":"one","deep":{"n":1.0}}',
        "c_db",
        ',"description":"100%","labels":["x","y"]',
    )
    await create(client, "u/admin/b", '{"host":"two"}', "c_web", ',"labels":["x"]')
    await create(client, "f/team/c", "null", "c_db")
    # What jsonb cannot hold must not break filters for everyone.
    await create(client, "u/admin/nul", '{"name":"\\u0000"}', "c_odd")
    await create(client, "u/admin/huge", '{"host":1e999999}', "c_odd")

    async def paths(**query: object) -> list[str]:
        answer = await client.get(f"{BASE}/list", params={key: str(value) for key, value in query.items()})
        assert answer.status_code == 200, answer.text
        assert all(entry["value"] is None for entry in answer.json())
        return [entry["path"] for entry in answer.json()]

    assert await paths() == ["u/admin/nul", "u/admin/huge", "u/admin/b", "u/admin/a", "f/team/c"]
    assert await paths(resource_type="c_db,c_web") == ["u/admin/b", "u/admin/a", "f/team/c"]
    assert await paths(resource_type_exclude="c_db,c_odd") == ["u/admin/b"]
    assert await paths(path_start="f/") == ["f/team/c"]
    assert await paths(path="u/admin/a") == ["u/admin/a"]
    assert await paths(description="0%") == ["u/admin/a"]
    assert await paths(value='{"deep":{"n":1}}') == ["u/admin/a"]
    assert await paths(value="{not json") == []
    assert await paths(broad_filter="TWO") == ["u/admin/b"]
    assert await paths(label="x") == ["u/admin/b", "u/admin/a"]
    assert await paths(label="x,y") == ["u/admin/a"]
    assert await paths(per_page=2, page=2) == ["u/admin/b", "u/admin/a"]
    assert (await client.get(f"{BASE}/list_names/c_odd")).json() == []
    assert (await client.get(f"{BASE}/list?page=-1")).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"path":"u/admin/r","value":1}',
        b'{"path":"u/admin/r","resource_type":"bad type","value":1}',
        b'{"path":"x/admin/r","resource_type":"any","value":1}',
        b'{"path":"u/r","resource_type":"any","value":1}',
        b'{"path":"u/admin/' + b"r" * 300 + b'","resource_type":"any","value":1}',
        b'{"path":"u/admin/r","resource_type":"any","value":"\xff"}',
        b'{"path":"u/admin/r","resource_type":"any","value":"\x00"}',
        b'{"path":"u/admin/r","resource_type":"any","value":"\\ud800"}',
        b'{"path":"u/admin/r","resource_type":"any","value":01}',
        b'{"path":"u/admin/r","resource_type":"any","value":NaN}',
        b'{"path":"u/admin/r","resource_type":"any","value":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
)
async def test_what_cannot_be_stored_is_refused_with_400(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post(f"{BASE}/create", content=body)
    assert answer.status_code == 400, answer.text
    assert (await client.get(f"{BASE}/list")).json() == []


@pytest.mark.parametrize("path", ["u/admin/%00", "u/admin/%FF", "x" * 3000, "u/admin/a%2F..%2Fb", "single"])
async def test_odd_paths_in_urls_are_refused_without_a_crash(client: httpx.AsyncClient, path: str) -> None:
    for reader in ("get", "get_value", "get_value_interpolated"):
        answer: Any = await client.get(f"{BASE}/{reader}/{path}")
        assert answer.status_code in (400, 404), answer.text


async def test_operators_keep_resources_of_their_own(client: httpx.AsyncClient, client_of: ClientOf) -> None:
    operator = await client_of("olga", role="operator")
    await create(operator, "u/olga/r", "1")
    answer = await operator.post(
        f"{BASE}/create", json={"path": "f/team/r", "value": 1, "resource_type": "any"}
    )
    assert answer.status_code == 403
