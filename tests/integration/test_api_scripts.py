"""Scripts over HTTP: deploying and its rules."""

import asyncio

import pytest
from httpx import AsyncClient

from millpond.store.pool import Database
from tests.integration.script_calls import API, CODE, UNKNOWN, body, create, deploy, names, read, record


async def test_a_deployed_script_reads_back_as_given(client: AsyncClient) -> None:
    schema = {"type": "object", "properties": {"b": {}, "a": {"default": 1.0}}, "required": []}
    response = await create(
        client, description="Loads", schema=schema, lock="# py: 3.11\n", tag="etl", timeout=5, labels=["x"]
    )
    assert response.status_code == 201
    assert response.headers["content-type"].startswith("text/plain")
    script = await read(client)
    assert script.pop("created_at")
    assert script == {
        "hash": response.text,
        "workspace_id": "main",
        "path": "u/admin/load",
        "summary": "Load",
        "description": "Loads",
        "content": CODE,
        "language": "python3",
        "kind": "script",
        "schema": schema,
        "lock": "# py: 3.11\n",
        "lock_error_logs": None,
        "created_by": "admin",
        "archived": False,
        "deleted": False,
        "is_template": False,
        "extra_perms": {},
        "starred": False,
        "has_preprocessor": False,
        "no_main_func": False,
        "ws_error_handler_muted": False,
        "tag": "etl",
        "timeout": 5,
        "labels": ["x"],
    }
    assert list(script["schema"]["properties"]) == ["b", "a"]


async def test_the_schema_is_inferred_when_none_is_given(client: AsyncClient) -> None:
    await deploy(client)
    assert (await read(client))["schema"]["properties"]["n"]["default"] == 1


async def test_a_new_version_archives_its_parent_and_remembers_its_lineage(client: AsyncClient) -> None:
    first = await deploy(client)
    second = await deploy(client, content="2", parent_hash=first)
    third = await deploy(client, content="3", parent_hash=second)
    assert len({first, second, third}) == 3
    assert (await read(client))["parent_hashes"] == [second, first]
    assert (await client.get(f"{API}/get/h/{first}")).json()["archived"] is True
    assert await names(client, include_without_main="true") == ["u/admin/load"]
    history = (await client.get(f"{API}/history/p/u/admin/load")).json()
    assert [version["script_hash"] for version in history] == [third, second, first]


async def test_the_same_version_twice_is_refused(client: AsyncClient) -> None:
    await deploy(client)
    response = await create(client)
    assert response.status_code == 400
    assert "A script with same hash (hence same path, description, summary, content) already" in response.text


async def test_the_same_version_again_after_archiving_tells_the_way_out(client: AsyncClient) -> None:
    first = await deploy(client)
    await client.post(f"{API}/archive/p/u/admin/load")
    response = await create(client)
    assert response.status_code == 400
    assert f"name {first} as parent_hash" in response.text
    await deploy(client, parent_hash=first)
    assert (await read(client))["archived"] is False


async def test_a_taken_path_without_a_parent_is_a_conflict(client: AsyncClient) -> None:
    first = await deploy(client)
    response = await create(client, content="2")
    assert response.status_code == 400
    assert f"Path conflict for u/admin/load with non-archived hash {first}" in response.text


async def test_an_unknown_parent_is_refused(client: AsyncClient) -> None:
    response = await create(client, parent_hash=UNKNOWN)
    assert (response.status_code, response.text) == (
        400,
        "Bad request: The parent hash does not seem to exist",
    )


async def test_a_lineage_stays_linear(client: AsyncClient) -> None:
    first = await deploy(client)
    second = await deploy(client, content="2", parent_hash=first)
    response = await create(client, content="3", parent_hash=first)
    assert response.status_code == 400
    assert f"A script with hash {second} with same parent_hash has been found" in response.text
    assert (await read(client))["hash"] == second


async def test_an_archived_parent_can_be_continued_unless_another_script_took_its_path(
    client: AsyncClient,
) -> None:
    first = await deploy(client)
    await client.post(f"{API}/archive/p/u/admin/load")
    other = await deploy(client, content="other")
    response = await create(client, content="2", parent_hash=first)
    assert response.status_code == 400
    assert f"Path conflict for u/admin/load with non-archived hash {other}" in response.text
    await client.post(f"{API}/archive/p/u/admin/load")
    assert await deploy(client, content="2", parent_hash=first)


async def test_auto_parent_continues_whatever_is_live(client: AsyncClient) -> None:
    first = await deploy(client, auto_parent=True)
    second = await deploy(client, content="2", auto_parent=True)
    assert (await read(client))["parent_hashes"] == [first]
    # The command line names the parent it saw; what was deployed since is continued all the same.
    await deploy(client, content="3", auto_parent=True, parent_hash=first)
    assert (await read(client))["parent_hashes"] == [second, first]


async def test_skip_if_noop_answers_with_the_live_version_when_nothing_changes(client: AsyncClient) -> None:
    url = f"{API}/create?skip_if_noop=true"
    schema = {"type": "object", "properties": {}}
    first = (await client.post(url, json=body(schema=schema, lock="x==1\n"))).text
    again = await client.post(
        url, json=body(schema=schema, lock="x==1", parent_hash=first, deployment_message="again")
    )
    assert (again.status_code, again.text) == (201, first)
    changes: list[dict[str, object]] = [
        {"summary": "Other"},
        {"lock": "x==2"},
        {"tag": "gpu"},
        {"labels": ["a"]},
        {"schema": {}},
        {"content": "2"},
    ]
    for change in changes:
        changed = body(schema=schema, lock="x==1", auto_parent=True) | change
        assert (await client.post(url, json=changed)).text != first, change
    assert len((await client.get(f"{API}/history/p/u/admin/load")).json()) == 7


async def test_skip_if_noop_retries_dependencies_that_failed(client: AsyncClient, database: Database) -> None:
    url = f"{API}/create?skip_if_noop=true"
    first = (await client.post(url, json=body(lock=""))).text
    assert (await client.post(url, json=body(lock="", auto_parent=True))).text == first
    await record(database, first, None, "no such package")
    second = (await client.post(url, json=body(lock="", auto_parent=True))).text
    assert second != first
    await record(database, second, "httpx==0.28.1")
    assert (await client.post(url, json=body(lock="", auto_parent=True))).text == second


@pytest.mark.parametrize("round_number", range(3))
async def test_of_two_deployments_at_once_one_wins(client: AsyncClient, round_number: int) -> None:
    responses = await asyncio.gather(*(create(client, content=content) for content in "aba"))
    assert sorted(response.status_code for response in responses) == [201, 400, 400]
    first = next(response.text for response in responses if response.status_code == 201)
    responses = await asyncio.gather(
        *(create(client, content=content, parent_hash=first) for content in "cd")
    )
    assert sorted(response.status_code for response in responses) == [201, 400]
    lost = next(response.text for response in responses if response.status_code == 400)
    assert lost.startswith(("Bad request: Path conflict for", "Bad request: A script with hash"))
    assert (await read(client))["parent_hashes"] == [first]


async def test_two_renames_of_one_script_at_once_leave_one_child(client: AsyncClient) -> None:
    first = await deploy(client)
    responses = await asyncio.gather(
        *(create(client, f"u/admin/{name}", parent_hash=first) for name in ("a", "b"))
    )
    assert sorted(response.status_code for response in responses) == [201, 400]
    assert len(await names(client)) == 1


async def test_a_rename_moves_the_script_its_grants_and_its_stars(client: AsyncClient) -> None:
    first = await deploy(client)
    await client.post("/api/w/main/favorites/star", json={"favorite_kind": "script", "path": "u/admin/load"})
    granted = await client.post(
        "/api/w/main/acls/add/script/u/admin/load", json={"owner": "g/all", "write": False}
    )
    assert granted.is_success, granted.text
    await deploy(client, "u/admin/store", parent_hash=first)
    moved = await read(client, "u/admin/store")
    assert (moved["extra_perms"], moved["starred"], moved["parent_hashes"]) == (
        {"g/all": False},
        True,
        [first],
    )
    assert (await client.get(f"{API}/exists/p/u/admin/load")).json() is False
    assert (await read(client))["archived"] is True


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"language": "oracledb"}, "Scripts in 'oracledb' cannot run here"),
        ({"language": "cobol"}, "Invalid enum value 'cobol'"),
        ({"kind": "poem"}, "Invalid enum value 'poem'"),
        ({"path": "u/admin/" + "a" * 300}, "255 are allowed"),
        ({"path": "u/admin/a b"}, "Invalid path"),
        ({"content": "a\x00b"}, "NUL"),
        ({"debounce_delay_s": 60}, "does not support the script setting debounce_delay_s"),
        ({"cache_ttl": -1}, "cache_ttl must be between 1 and"),
        ({"concurrent_limit": 2**31}, "concurrent_limit must be between 1 and"),
        ({"concurrency_key": "k" * 1001}, "concurrency_key is 1001 characters long"),
        ({"delete_after_secs": -5}, "delete_after_secs must be between 1 and"),
        ({"modules": {"a.py": {"content": ""}}}, "does not support the script setting modules"),
        (
            {"dedicated_worker": True, "restart_unless_cancelled": True},
            "does not support the script setting dedicated_worker, restart_unless_cancelled",
        ),
        ({"on_behalf_of_email": "henri@localhost"}, "on_behalf_of_email"),
        ({"parent_hash": "xyz"}, "Invalid script hash 'xyz': 16 hex digits are expected"),
        ({"schema": 5}, "schema must be a JSON object"),
        ({"content": None}, "Expected `str`, got `null` - at `$.content`"),
    ],
)
async def test_a_body_that_breaks_a_rule_is_refused(
    client: AsyncClient, change: dict[str, object], message: str
) -> None:
    response = await client.post(f"{API}/create", json=body() | change)
    assert response.status_code == 400
    assert message in response.text
    assert await names(client) == []


async def test_a_script_with_a_syntax_error_can_be_deployed_and_is_listed(client: AsyncClient) -> None:
    await deploy(client, content="def main(:")
    assert (await read(client))["no_main_func"] is False
    assert await names(client) == ["u/admin/load"]
