"""Resource types over HTTP, and the validation of resources against their schemas."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from millpond.store.pool import Database

ClientOf = Callable[..., Awaitable[httpx.AsyncClient]]

TYPES = "/api/w/main/resources/type"
RESOURCES = "/api/w/main/resources"
POINT = {
    "type": "object",
    "required": ["x"],
    "properties": {"x": {"type": "integer"}, "tags": {"type": "array", "items": {"type": "string"}}},
}


async def create(client: httpx.AsyncClient, name: str, schema: object, **more: object) -> None:
    answer = await client.post(f"{TYPES}/create", json={"name": name, "schema": schema, **more})
    assert (answer.status_code, answer.text) == (201, f"resource_type {name} created")


async def keep(client: httpx.AsyncClient, value: object, query: str = "", **more: object) -> httpx.Response:
    body = {"path": "u/admin/r", "value": value, "resource_type": "point", **more}
    return await client.post(f"{RESOURCES}/create?update_if_exists=true{query}", json=body)


async def test_a_type_is_created_read_changed_and_deleted(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{TYPES}/exists/point")).json() is False
    await create(client, "point", POINT, description="d")
    assert (await client.get(f"{TYPES}/exists/point")).json() is True
    found = (await client.get(f"{TYPES}/get/point")).json()
    assert found.pop("edited_at").endswith("Z")
    assert found == {
        "workspace_id": "main",
        "name": "point",
        "schema": POINT,
        "description": "d",
        "created_by": "admin",
    }
    answer = await client.post(f"{TYPES}/update/point", json={"description": "new"})
    assert (answer.status_code, answer.text) == (200, "resource_type point updated")
    found = (await client.get(f"{TYPES}/get/point")).json()
    assert (found["description"], found["schema"]) == ("new", POINT)
    assert "point" in (await client.get(f"{TYPES}/listnames")).json()
    answer = await client.delete(f"{TYPES}/delete/point")
    assert (answer.status_code, answer.text) == (200, "resource_type point deleted")
    answer = await client.delete(f"{TYPES}/delete/point")
    assert answer.status_code == 404


async def test_missing_types_are_404(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{TYPES}/get/nothing")
    assert (answer.status_code, answer.text) == (404, "Not found: ResourceType not found at name nothing")
    assert (await client.post(f"{TYPES}/update/nothing", json={})).status_code == 404


async def test_a_taken_name_is_refused(client: httpx.AsyncClient) -> None:
    await create(client, "point", POINT)
    answer = await client.post(f"{TYPES}/create", json={"name": "point", "schema": {}})
    assert (answer.status_code, answer.text) == (400, "Bad request: Resource type point already exists")


async def test_a_schema_comes_back_byte_for_byte(client: httpx.AsyncClient) -> None:
    schema = b'{"type":"object",  "properties":{"b":{"default":1.0},"a":{"maximum":1E2}},"order":["b","a"]}'
    answer = await client.post(f"{TYPES}/create", content=b'{"name":"point","schema":' + schema + b"}")
    assert answer.status_code == 201
    assert schema in (await client.get(f"{TYPES}/get/point")).content
    assert schema in (await client.get(f"{TYPES}/list")).content


async def test_common_types_are_there_and_a_type_of_ones_own_hides_them(client: httpx.AsyncClient) -> None:
    listed = {entry["name"]: entry for entry in (await client.get(f"{TYPES}/list")).json()}
    assert {"state", "cache", "any", "postgresql", "mysql", "s3", "smtp", "slack", "github", "openai"} == set(
        listed
    )
    assert {entry["workspace_id"] for entry in listed.values()} == {"admins"}
    assert (await client.get(f"{TYPES}/exists/postgresql")).json() is True
    assert (await client.get(f"{TYPES}/get/postgresql")).json()["schema"]["required"] == ["host", "dbname"]
    await create(client, "postgresql", POINT)
    assert (await client.get(f"{TYPES}/get/postgresql")).json()["workspace_id"] == "main"
    names = (await client.get(f"{TYPES}/listnames")).json()
    assert names == sorted(listed)
    assert (await keep(client, {"x": 1}, resource_type="postgresql")).status_code == 201
    await client.delete(f"{TYPES}/delete/postgresql")
    assert (await client.delete(f"{TYPES}/delete/postgresql")).status_code == 404
    assert (await keep(client, {"x": 1}, resource_type="postgresql")).status_code == 400


async def test_file_types_are_mapped_to_their_extensions(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{RESOURCES}/file_resource_type_to_file_ext_map")).json() == {}
    await create(client, "ini", None, format_extension="ini")
    await create(client, "site", None, is_fileset=True)
    assert (await client.get(f"{RESOURCES}/file_resource_type_to_file_ext_map")).json() == {
        "ini": {"format_extension": "ini", "is_fileset": False},
        "site": {"format_extension": None, "is_fileset": True},
    }
    both = {"name": "both", "format_extension": "x", "is_fileset": True}
    assert (await client.post(f"{TYPES}/create", json=both)).status_code == 400
    assert (await client.post(f"{TYPES}/update/ini", json={"is_fileset": True})).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {"name": "bad name", "schema": {}},
        {"name": "x" * 51, "schema": {}},
        {"name": "point", "schema": {"type": "objet"}},
        {"name": "point", "schema": []},
        {"name": "point", "schema": "{}"},
        {"name": "point", "schema": {"pattern": "("}},
        {"name": "point", "schema": {"$ref": "http://127.0.0.1:1/schema.json"}},
        {"name": "point", "format_extension": "x" * 21},
        {"schema": {}},
    ],
)
async def test_what_is_no_type_is_refused(client: httpx.AsyncClient, body: dict[str, object]) -> None:
    answer = await client.post(f"{TYPES}/create", json=body)
    assert answer.status_code == 400, answer.text
    assert (await client.get(f"{TYPES}/exists/point")).json() is False


async def test_a_schema_makes_the_server_read_no_file(client: httpx.AsyncClient, tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text('{"type": "object"}')
    body = {"name": "point", "schema": {"$ref": file.as_uri()}}
    answer = await client.post(f"{TYPES}/create", json=body)
    assert answer.status_code == 400
    assert "lies outside the schema" in answer.text


async def test_a_schema_with_unset_keywords_as_editors_write_them_is_accepted(
    client: httpx.AsyncClient,
) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": None, "format": ""}}}
    await create(client, "point", schema)
    assert (await keep(client, {"a": "x"})).status_code == 201


async def test_operators_change_no_types_and_only_admins_delete_them(
    client: httpx.AsyncClient, client_of: ClientOf
) -> None:
    operator, developer = await client_of("olga", role="operator"), await client_of("henri")
    assert (await operator.post(f"{TYPES}/create", json={"name": "point"})).status_code == 403
    await create(developer, "point", POINT)
    assert (await operator.post(f"{TYPES}/update/point", json={})).status_code == 403
    answer = await developer.delete(f"{TYPES}/delete/point")
    assert (answer.status_code, answer.text) == (403, "Permission denied: Require Admin privileges for henri")
    assert (await operator.get(f"{TYPES}/get/point")).status_code == 200
    assert (await client.delete(f"{TYPES}/delete/point")).status_code == 200


async def test_a_value_that_breaks_its_schema_is_refused_with_the_place(client: httpx.AsyncClient) -> None:
    await create(client, "point", POINT)
    answer = await keep(client, {"x": 1, "tags": ["a", 7]})
    assert answer.status_code == 400
    assert "point" in answer.text
    assert "'/tags/1'" in answer.text
    assert (await keep(client, {"tags": []})).status_code == 400
    assert (await client.get(f"{RESOURCES}/exists/u/admin/r")).json() is False
    assert (await keep(client, {"x": 1})).status_code == 201
    for path, body in (("update", {"value": {"x": "no"}}), ("update_value", {"value": {"x": "no"}})):
        assert (await client.post(f"{RESOURCES}/{path}/u/admin/r", json=body)).status_code == 400
        assert (await client.get(f"{RESOURCES}/get_value/u/admin/r")).json() == {"x": 1}
        answer = await client.post(f"{RESOURCES}/{path}/u/admin/r?validate=false", json=body)
        assert answer.status_code == 200
        assert (await client.get(f"{RESOURCES}/get_value/u/admin/r")).json() == {"x": "no"}
        assert (await keep(client, {"x": 1})).status_code == 201
    assert (await keep(client, {"x": "no"}, "&validate=false")).status_code == 201


async def test_a_refusal_does_not_repeat_the_value(client: httpx.AsyncClient) -> None:
    await create(client, "point", POINT)
    answer = await keep(client, {"x": "correct horse"})
    assert answer.status_code == 400
    assert "correct horse" not in answer.text


async def test_references_are_valid_anywhere(client: httpx.AsyncClient) -> None:
    await create(client, "point", POINT)
    assert (await keep(client, {"x": "$var:u/admin/v", "tags": "$res:u/admin/t"})).status_code == 201
    assert (await keep(client, "$res:u/admin/whole")).status_code == 201
    assert (await keep(client, {"x": "Bearer $var:u/admin/v"})).status_code == 400
    choice = {"anyOf": [{"properties": {"x": {"type": "integer"}}}, {"required": ["y"]}]}
    await client.post(f"{TYPES}/update/point", json={"schema": choice})
    assert (await keep(client, {"x": "$var:u/admin/v"})).status_code == 201
    assert (await keep(client, {"x": "text"})).status_code == 400


async def test_a_changed_schema_and_a_changed_type_act_at_once(client: httpx.AsyncClient) -> None:
    assert (await keep(client, {"y": 1})).status_code == 201
    await create(client, "point", POINT)
    assert (await keep(client, {"y": 1})).status_code == 400
    await client.post(f"{TYPES}/update/point", json={"schema": {"required": ["y"]}})
    assert (await keep(client, {"y": 1})).status_code == 201
    await create(client, "other", POINT)
    change = {"resource_type": "other"}
    assert (await client.post(f"{RESOURCES}/update/u/admin/r", json=change)).status_code == 400
    assert (await client.post(f"{RESOURCES}/update/u/admin/r?validate=false", json=change)).status_code == 200


async def test_states_and_any_are_never_validated(client: httpx.AsyncClient) -> None:
    for name in ("state", "any", "cache"):
        await create(client, name, False)
        assert (await keep(client, {"free": 1}, resource_type=name)).status_code == 201


async def test_a_broken_stored_schema_does_not_block_writes(
    client: httpx.AsyncClient, database: Database
) -> None:
    await create(client, "point", POINT)
    async with database.statement() as connection:
        await connection.execute("""UPDATE resource_type SET schema = '{"type": "objet"}'""")
    assert (await keep(client, {"y": 1})).status_code == 201


async def test_numbers_beyond_doubles_and_deep_values_are_answered(client: httpx.AsyncClient) -> None:
    await create(client, "point", {"type": "object"})
    for value in (b'{"a":1e400}', b'{"a":' + b"9" * 400 + b"}", b'{"a":' + b"[" * 60 + b"]" * 60 + b"}"):
        body = b'{"path":"u/admin/r","resource_type":"point","value":' + value + b"}"
        answer: Any = await client.post(f"{RESOURCES}/create?update_if_exists=true", content=body)
        assert answer.status_code == 201, answer.text
        assert (await client.get(f"{RESOURCES}/get_value/u/admin/r")).content == value
