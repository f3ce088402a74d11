"""Flows over HTTP as documents: deploying and its rules, reading, renaming, archiving, deleting."""

import asyncio

import pytest
from httpx import AsyncClient

from tests.integration.flow_documents import (
    API,
    PATH,
    answer,
    body,
    create,
    deploy,
    names,
    read,
    redeploy,
    star,
    update,
)
from tests.unit.engine_flows import flow, identity, loop, module

SCHEMA = {"type": "object", "properties": {"b": {}, "a": {"default": 1.0}}, "required": []}


# Deploying


async def test_a_deployed_flow_reads_back_as_given(client: AsyncClient) -> None:
    value = flow(identity("a", summary="First"), same_worker=True)
    response = await create(
        client,
        value=value,
        description="Loads",
        schema=SCHEMA,
        tag="etl",
        timeout=5,
        labels=["x"],
        priority=7,
    )
    assert (response.status_code, response.text) == (201, PATH)
    assert response.headers["content-type"].startswith("text/plain")
    read_back = await read(client)
    assert read_back.pop("edited_at")
    assert isinstance(read_back.pop("version_id"), int)
    assert read_back == {
        "workspace_id": "main",
        "path": PATH,
        "summary": "Load",
        "description": "Loads",
        "value": value,
        "schema": SCHEMA,
        "edited_by": "admin",
        "archived": False,
        "extra_perms": {},
        "tag": "etl",
        "timeout": 5,
        "priority": 7,
        "labels": ["x"],
    }


async def test_what_is_not_set_is_left_out(client: AsyncClient) -> None:
    await deploy(client, tag=None, schema=None, visible_to_runner_only=False, ws_error_handler_muted=False)
    assert sorted(await read(client)) == [
        "archived", "description", "edited_at", "edited_by", "extra_perms", "path", "summary", "value", "version_id",
        "workspace_id",
    ]  # fmt: skip


async def test_value_and_schema_are_kept_byte_for_byte(client: AsyncClient) -> None:
    value = '{"modules": [ {"value": {"type":"identity"}, "id":"a"} ],"flow_env":{"z":1.00,"a":12345678901234567890}}'
    schema = '{"type": "object",  "properties": {"b": {"default": 1e2}, "a": {}}}'
    text = f'{{"path": "{PATH}", "summary": "", "schema": {schema}, "value": {value}}}'
    response = await client.post(f"{API}/create", content=text)
    assert response.status_code == 201, response.text
    stored = (await client.get(f"{API}/get/{PATH}")).text
    assert f'"value":{value},' in stored
    assert f'"schema":{schema}' in stored


async def test_what_steps_refer_to_need_not_exist(client: AsyncClient) -> None:
    await deploy(client, value=flow(module("a", "script", {"path": "u/nobody/nothing"})))


async def test_a_taken_path_is_a_conflict_also_when_archived(client: AsyncClient) -> None:
    await deploy(client)
    refused = await create(client)
    assert (refused.status_code, refused.text) == (400, f"Bad request: Flow {PATH} already exists")
    await client.post(f"{API}/archive/{PATH}", json={})
    assert (await create(client)).status_code == 400
    assert len(await answer(client, f"history/p/{PATH}")) == 1


async def test_of_two_creations_at_once_one_wins(client: AsyncClient) -> None:
    responses = await asyncio.gather(*(create(client, summary=summary) for summary in "abc"))
    assert sorted(response.status_code for response in responses) == [201, 400, 400]
    assert len(await answer(client, f"history/p/{PATH}")) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": "u/admin/a b"}, "Invalid path"),
        ({"path": "u/admin/" + "a" * 300}, "255 are allowed"),
        ({"summary": "a\x00b"}, "summary holds a NUL character"),
        ({"summary": None}, "Expected `str`, got `null` - at `$.summary`"),
        ({"value": None}, "Invalid flow"),
        ({"value": {}}, "`modules`"),
        ({"value": flow(identity("a", surprise=1))}, "step 'a': Object contains unknown field `surprise`"),
        ({"value": flow(module("a", "aiagent"))}, "unknown or unsupported type: 'aiagent'"),
        ({"value": flow(identity("a"), loop("b", [1], identity("a")))}, "two steps have the id 'a'"),
        ({"value": flow(loop("b", [1], cache_ttl=5))}, "`cache_ttl` is not supported"),
        (
            {"value": flow(loop("b", [1], module("c", "rawscript", {"content": "", "language": "cobol"})))},
            "Invalid enum value 'cobol'",
        ),
        (
            {
                "value": flow(
                    loop("b", [1], module("c", "rawscript", {"content": "", "language": "oracledb"}))
                )
            },
            "step 'c': scripts in 'oracledb' cannot run here",
        ),
        ({"schema": 5}, "schema must be a JSON object"),
        ({"tag": "x" * 51}, "51 characters long, 50 are allowed"),
        ({"timeout": -1}, "timeout must be between 1 and"),
        ({"priority": 101}, "priority must be between 1 and 100"),
        ({"labels": [""]}, "labels of 1 to 50 characters"),
        ({"dedicated_worker": True}, "does not support the flow setting dedicated_worker"),
        (
            {"draft_only": True, "ws_error_handler_muted": True},
            "does not support the flow setting ws_error_handler_muted, draft_only",
        ),
        ({"job_token_scopes": []}, "does not support the flow setting job_token_scopes"),
        ({"on_behalf_of_email": "henri@localhost"}, "on_behalf_of_email"),
        ({"on_behalf_of": "u/henri"}, "on_behalf_of with anybody but the deployer, u/admin"),
    ],
)
async def test_a_body_that_breaks_a_rule_is_refused_also_on_update(
    client: AsyncClient, change: dict[str, object], message: str
) -> None:
    refused = await client.post(f"{API}/create", json=body() | change)
    assert refused.status_code == 400
    assert message in refused.text
    assert await names(client) == []
    await deploy(client)
    refused = await update(client, **change)
    assert refused.status_code == 400
    assert message in refused.text
    assert len(await answer(client, f"history/p/{PATH}")) == 1


async def test_on_behalf_of_the_deployer_is_kept_as_it_was_given(client: AsyncClient) -> None:
    await deploy(client, on_behalf_of_email="admin@localhost", preserve_on_behalf_of=True)
    assert (await read(client))["on_behalf_of_email"] == "admin@localhost"
    await redeploy(client, on_behalf_of="u/admin")
    stored = await read(client)
    assert (stored["on_behalf_of"], stored["on_behalf_of_email"]) == ("u/admin", "admin@localhost")


# Updating


async def test_an_update_is_a_new_version_and_replaces_the_whole(client: AsyncClient) -> None:
    await deploy(client, tag="etl", description="Loads", labels=["x"], visible_to_runner_only=True)
    first = await read(client)
    response = await update(client, summary="Other", value=flow(identity("a")), deployment_message="second")
    assert (response.status_code, response.text) == (200, PATH)
    second = await read(client)
    assert second["version_id"] > first["version_id"]
    assert second["summary"] == "Other"
    assert second["value"] == flow(identity("a"))
    assert second["description"] == ""
    assert {"tag", "labels", "visible_to_runner_only"}.isdisjoint(second)
    history = await answer(client, f"history/p/{PATH}")
    assert [version["id"] for version in history] == [second["version_id"], first["version_id"]]
    assert [version.get("deployment_msg") for version in history] == ["second", None]
    assert {version["created_by"] for version in history} == {"admin"}
    assert await answer(client, f"get_latest_version/{PATH}") == history[0]


async def test_an_older_version_stays_readable(client: AsyncClient) -> None:
    await deploy(client, value=flow(identity("a")))
    first = (await read(client))["version_id"]
    await redeploy(client)
    for route in (f"get/v/{first}", f"get/v/{first}/p/{PATH}"):
        old = await answer(client, route)
        assert (old["version_id"], old["value"], old["path"]) == (first, flow(identity("a")), PATH)
    missed = await client.get(f"{API}/get/v/{first}/p/u/admin/other")
    assert (missed.status_code, missed.text) == (404, f"Not found: Flow u/admin/other has no version {first}")


@pytest.mark.parametrize("version", ["0", "999999", "x", "9" * 30, "-1"])
async def test_a_version_nobody_has_is_not_there(client: AsyncClient, version: str) -> None:
    for route in (f"get/v/{version}", f"get/v/{version}/p/{PATH}"):
        assert (await client.get(f"{API}/{route}")).status_code in (400, 404)
    refused = await client.post(f"{API}/history_update/v/{version}", json={"deployment_msg": "x"})
    assert refused.status_code in (400, 404)


async def test_an_update_of_what_is_not_there_is_404(client: AsyncClient) -> None:
    refused = await update(client)
    assert (refused.status_code, refused.text) == (404, f"Not found: Flow {PATH} not found")


async def test_updates_at_once_all_land_in_the_history(client: AsyncClient) -> None:
    await deploy(client)
    responses = await asyncio.gather(*(update(client, summary=summary) for summary in "abcd"))
    assert [response.status_code for response in responses] == [200] * 4
    history = await answer(client, f"history/p/{PATH}")
    assert len(history) == 5
    assert (await read(client))["version_id"] == history[0]["id"]


async def test_a_rename_moves_history_grants_and_stars(client: AsyncClient) -> None:
    await deploy(client)
    await star(client)
    grant = {"owner": "g/all", "write": False}
    assert (await client.post(f"/api/w/main/acls/add/flow/{PATH}", json=grant)).is_success
    response = await update(client, path="u/admin/moved")
    assert (response.status_code, response.text) == (200, "u/admin/moved")
    moved = await read(client, "u/admin/moved")
    assert (moved["extra_perms"], moved["starred"]) == ({"g/all": False}, True)
    history = await answer(client, "history/p/u/admin/moved")
    assert len(history) == 2
    assert (await answer(client, f"get/v/{history[1]['id']}"))["path"] == "u/admin/moved"
    assert await answer(client, f"exists/{PATH}") is False
    assert (await client.get(f"{API}/get/{PATH}")).status_code == 404
    await deploy(client)
    assert "starred" not in await read(client)


async def test_a_rename_onto_another_flow_is_a_conflict(client: AsyncClient) -> None:
    await deploy(client)
    await deploy(client, "u/admin/other")
    refused = await update(client, path="u/admin/other")
    assert (refused.status_code, refused.text) == (400, "Bad request: Flow u/admin/other already exists")
    responses = await asyncio.gather(
        update(client, path="u/admin/third"), update(client, "u/admin/other", path="u/admin/third")
    )
    assert sorted(response.status_code for response in responses) == [200, 400]


# Out of use, and gone


async def test_an_archived_flow_is_read_but_not_listed_until_it_is_back(client: AsyncClient) -> None:
    await deploy(client)
    response = await client.post(f"{API}/archive/{PATH}", json={})
    assert (response.status_code, response.text) == (200, f"Flow {PATH} archived")
    assert (await read(client))["archived"] is True
    assert await answer(client, f"exists/{PATH}") is True
    assert await names(client) == []
    assert await answer(client, "list_paths") == []
    assert await answer(client, "list_search") == []
    assert await names(client, show_archived="true") == [PATH]
    await client.post(f"{API}/archive/{PATH}", json={"archived": False})
    assert await names(client) == [PATH]
    assert (await client.post(f"{API}/archive/u/admin/none", json={})).status_code == 404


async def test_an_archived_flow_that_is_deployed_again_is_in_use(client: AsyncClient) -> None:
    await deploy(client)
    await client.post(f"{API}/archive/{PATH}", json={"archived": True})
    await redeploy(client)
    assert (await read(client))["archived"] is False


async def test_deleting_twice_is_no_error(client: AsyncClient) -> None:
    await deploy(client)
    await redeploy(client)
    await star(client)
    version = (await read(client))["version_id"]
    for _ in range(2):
        response = await client.delete(f"{API}/delete/{PATH}")
        assert (response.status_code, response.text) == (200, f"Flow {PATH} deleted")
    assert await answer(client, f"exists/{PATH}") is False
    assert (await client.get(f"{API}/get/v/{version}")).status_code == 404
    await deploy(client)
    assert "starred" not in await read(client)
    assert len(await answer(client, f"history/p/{PATH}")) == 1


async def test_muting_the_error_handler_is_refused_by_name(client: AsyncClient) -> None:
    await deploy(client)
    url = f"{API}/toggle_workspace_error_handler/{PATH}"
    assert (await client.post(url, json={"muted": False})).status_code == 200
    assert (await client.post(url, json={})).status_code == 200
    refused = await client.post(url, json={"muted": True})
    assert refused.status_code == 400
    assert "ws_error_handler_muted" in refused.text
    missed = await client.post(f"{API}/toggle_workspace_error_handler/u/admin/none", json={})
    assert missed.status_code == 404


async def test_a_note_on_a_deployment_can_be_changed(client: AsyncClient) -> None:
    await deploy(client, deployment_message="first")
    version = (await read(client))["version_id"]
    note = {"deployment_msg": "better"}
    for route in (f"history_update/v/{version}", f"history_update/v/{version}/p/{PATH}"):
        assert (await client.post(f"{API}/{route}", json=note)).status_code == 200
    assert (await answer(client, f"history/p/{PATH}"))[0]["deployment_msg"] == "better"
    elsewhere = await client.post(f"{API}/history_update/v/{version}/p/u/admin/other", json=note)
    assert elsewhere.status_code == 404
    assert (await client.post(f"{API}/history_update/v/{version}", json={"deployment_msg": ""})).is_success
    assert "deployment_msg" not in (await answer(client, f"history/p/{PATH}"))[0]
