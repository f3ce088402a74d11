"""Scripts over HTTP: deploying and its rules, reading, archiving, deleting, and which version a run uses."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from httpx import AsyncClient, Response

from millpond.base.errors import InvalidInput, NotFound, PermissionDenied
from millpond.base.ids import hash_from_hex, hash_to_hex
from millpond.model.actors import Actor
from millpond.services.dependency_jobs import DependencyJobs
from millpond.services.scripts import Scripts
from millpond.store import scripts as store
from millpond.store.pool import Database

API = "/api/w/main/scripts"
CODE = "def main(n: int = 1):\n    return n\n"
ADMIN = Actor(workspace_id="main", email="admin@localhost", username="admin", is_admin=True)
UNKNOWN = "0123456789abcdef"

ClientOf = Callable[..., Awaitable[AsyncClient]]


def body(path: str = "u/admin/load", **changes: object) -> dict[str, object]:
    return {"path": path, "summary": "Load", "content": CODE, "language": "python3"} | changes


async def create(client: AsyncClient, path: str = "u/admin/load", **changes: object) -> Response:
    return await client.post(f"{API}/create", json=body(path, **changes))


async def deploy(client: AsyncClient, path: str = "u/admin/load", **changes: object) -> str:
    response = await create(client, path, **changes)
    assert response.status_code == 201, response.text
    return response.text


async def read(client: AsyncClient, path: str = "u/admin/load") -> dict[str, Any]:
    response = await client.get(f"{API}/get/p/{path}")
    assert response.status_code == 200, response.text
    return cast("dict[str, Any]", response.json())


async def names(client: AsyncClient, **query: object) -> list[str]:
    response = await client.get(f"{API}/list", params=cast("dict[str, str]", query))
    assert response.status_code == 200, response.text
    return [script["path"] for script in response.json()]


async def record(database: Database, script_hash: str, lock: str | None, error: str | None = None) -> None:
    number = hash_from_hex(script_hash)
    assert number is not None
    async with database.transaction() as transaction:
        await store.record_lock(transaction, "main", number, lock, error)


async def make_folder(client: AsyncClient, name: str, **fields: object) -> None:
    response = await client.post("/api/w/main/folders/create", json={"name": name} | fields)
    assert response.is_success, response.text


@pytest.fixture
def scripts(instance: object, database: Database) -> Scripts:
    """The use cases with a set of languages of their own, whatever runtimes this machine has."""
    return Scripts(database, DependencyJobs(), frozenset({"python3", "bash"}))


# Deploying


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
        ({"cache_ttl": 60}, "does not support the script setting cache_ttl"),
        ({"modules": {"a.py": {"content": ""}}}, "does not support the script setting modules"),
        (
            {"concurrent_limit": 1, "concurrency_key": "k"},
            "does not support the script setting concurrent_limit, concurrency_key",
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


# Rights


async def test_operators_read_and_star_but_do_not_deploy(client: AsyncClient, client_of: ClientOf) -> None:
    operator = await client_of("henri", role="operator")
    assert (await create(operator, "u/henri/load")).status_code == 403
    version = await deploy(client, "u/henri/load")
    assert (await operator.get(f"{API}/get/p/u/henri/load")).status_code == 200
    assert (await operator.post(f"{API}/archive/p/u/henri/load")).status_code == 403
    assert (await operator.post(f"{API}/archive/h/{version}")).status_code == 403
    star = {"favorite_kind": "script", "path": "u/henri/load"}
    assert (await operator.post("/api/w/main/favorites/star", json=star)).status_code == 200


async def test_a_developer_sees_and_changes_only_what_is_theirs(
    client: AsyncClient, client_of: ClientOf
) -> None:
    henri = await client_of("henri")
    version = await deploy(client)
    for url in (
        "get/p/u/admin/load",
        f"get/h/{version}",
        "raw/p/u/admin/load.py",
        f"raw/h/{version}.py",
        "history/p/u/admin/load",
        "get_latest_version/u/admin/load",
        f"deployment_status/h/{version}",
        "list_tokens/u/admin/load",
    ):
        assert (await henri.get(f"{API}/{url}")).status_code == 403, url
    note = {"deployment_msg": "x"}
    for url in (
        "archive/p/u/admin/load",
        f"archive/h/{version}",
        f"history_update/h/{version}/p/u/admin/load",
    ):
        assert (await henri.post(f"{API}/{url}", json=note)).status_code == 403, url
    refused = await create(henri, content="2", parent_hash=version)
    assert refused.status_code == 403
    assert await names(henri) == []
    assert (await henri.get(f"{API}/list_paths")).json() == []
    assert (await henri.get(f"{API}/list_search")).json() == []
    await deploy(henri, "u/henri/load")
    assert await names(henri) == ["u/henri/load"]


async def test_a_conflict_is_not_told_to_those_without_access(
    client: AsyncClient, client_of: ClientOf
) -> None:
    henri = await client_of("henri")
    version = await deploy(client)
    assert version not in (await create(henri, content="2")).text


async def test_a_reader_of_a_folder_reads_and_a_writer_writes(
    client: AsyncClient, client_of: ClientOf
) -> None:
    henri = await client_of("henri")
    await make_folder(client, "etl", extra_perms={"u/henri": False})
    first = await deploy(client, "f/etl/load")
    assert (await read(henri, "f/etl/load"))["hash"] == first
    refused = await create(henri, "f/etl/load", content="2", parent_hash=first)
    assert (refused.status_code, refused.text) == (
        403,
        "Permission denied: henri has no write access to script f/etl/load",
    )
    granted = await client.post(
        "/api/w/main/acls/add/script/f/etl/load", json={"owner": "u/henri", "write": True}
    )
    assert granted.is_success, granted.text
    second = await deploy(henri, "f/etl/load", content="2", parent_hash=first)
    assert (await read(client, "f/etl/load"))["extra_perms"] == {"u/henri": True}
    # To move it away the path must be their own.
    moved = await create(henri, "u/henri/load", parent_hash=second)
    assert (moved.status_code, moved.text) == (
        403,
        "Permission denied: henri does not own script f/etl/load",
    )


async def test_only_administrators_delete(client: AsyncClient, client_of: ClientOf) -> None:
    henri = await client_of("henri")
    version = await deploy(henri, "u/henri/load")
    bulk = {"paths": ["u/henri/load"]}
    assert (await henri.post(f"{API}/delete/p/u/henri/load")).status_code == 403
    assert (await henri.post(f"{API}/delete/h/{version}")).status_code == 403
    assert (await henri.request("DELETE", f"{API}/delete_bulk", json=bulk)).status_code == 403
    assert (await client.post(f"{API}/delete/p/u/henri/load")).status_code == 200


# Reading


async def test_sources_are_served_as_plain_text(client: AsyncClient) -> None:
    version = await deploy(client)
    for url in (
        "raw/p/u/admin/load.py",
        "raw_unpinned/p/u/admin/load.py",
        f"raw/h/{version}.py",
        f"raw/h/{version}.pg.sql",
    ):
        response = await client.get(f"{API}/{url}")
        assert (response.status_code, response.text) == (200, CODE)
        assert response.headers["content-type"].startswith("text/plain")
    await client.post(f"{API}/archive/p/u/admin/load")
    assert (await client.get(f"{API}/raw/p/u/admin/load.py")).status_code == 404
    assert (await client.get(f"{API}/raw/h/{version}.py")).text == CODE


async def test_sources_can_be_had_with_the_token_in_the_address(
    client: AsyncClient, client_of: ClientOf
) -> None:
    await deploy(client)
    token = client.headers["authorization"].removeprefix("Bearer ")
    henri = (await client_of("henri")).headers["authorization"].removeprefix("Bearer ")
    del client.headers["authorization"]
    url = "/api/scripts_u/tokened_raw/main/{}/u/admin/load.py"
    response = await client.get(url.format(token))
    assert (response.status_code, response.text) == (200, CODE)
    assert (await client.get(url.format("wrong"))).status_code == 401
    assert (await client.get(url.format(henri))).status_code == 403
    empty = await client.get("/api/scripts_u/empty_ts/any/thing.ts")
    assert (empty.status_code, empty.text) == (200, "")


async def test_what_does_not_exist_is_not_found(client: AsyncClient) -> None:
    for url in (
        "get/p/u/admin/load",
        f"get/h/{UNKNOWN}",
        "raw/p/u/admin/load.py",
        f"raw/h/{UNKNOWN}.py",
        "history/p/u/admin/load",
        "get_latest_version/u/admin/load",
        f"deployment_status/h/{UNKNOWN}",
        "list_tokens/u/admin/load",
    ):
        response = await client.get(f"{API}/{url}")
        assert response.status_code == 404, url
        assert response.text.startswith("Not found: ")
    for url in (
        "archive/p/u/admin/load",
        f"archive/h/{UNKNOWN}",
        "delete/p/u/admin/load",
        f"delete/h/{UNKNOWN}",
    ):
        assert (await client.post(f"{API}/{url}")).status_code == 404, url
    for bad in ("xyz", "0" * 17, "zzzzzzzzzzzzzzzz"):
        assert (await client.get(f"{API}/get/h/{bad}")).status_code == 400
    assert (await client.get(f"{API}/get/p/u/admin/a%00b")).status_code == 400
    assert (await client.get(f"{API}/get/p/load")).status_code == 404


async def test_the_list_is_narrowed_by_each_filter(client: AsyncClient) -> None:
    await make_folder(client, "etl")
    first = await deploy(client, "f/etl/a", labels=["x", "y"], description="A")
    second = await deploy(client, "f/etl/a", labels=["x", "y"], description="A2", parent_hash=first)
    third = await deploy(client, "f/etl/a", labels=["x", "y"], description="A3", parent_hash=second)
    await deploy(client, "u/admin/b", kind="failure", is_template=True, deployment_message="why")
    await deploy(client, "u/admin/module", content="X = 1")
    everything = ["u/admin/b", "f/etl/a"]
    assert await names(client) == everything
    assert await names(client, order_desc="false") == everything[::-1]
    assert await names(client, include_without_main="true") == ["u/admin/module", *everything]
    for query, expected in (
        ({"path_start": "f/etl/"}, ["f/etl/a"]),
        ({"path_exact": "u/admin/b"}, ["u/admin/b"]),
        ({"path_exact": "u/admin"}, []),
        ({"created_by": "admin"}, everything),
        ({"created_by": "henri"}, []),
        ({"kinds": "failure,trigger"}, ["u/admin/b"]),
        ({"languages": "python3,bash"}, everything),
        ({"languages": "bash"}, []),
        ({"label": "x"}, ["f/etl/a"]),
        ({"label": "x,z"}, []),
        ({"is_template": "true"}, ["u/admin/b"]),
        ({"is_template": "false"}, ["f/etl/a"]),
        ({"dedicated_worker": "true"}, []),
        ({"parent_hash": first}, ["f/etl/a"]),
        ({"first_parent_hash": first}, []),
        ({"first_parent_hash": second}, ["f/etl/a"]),
        ({"last_parent_hash": first}, ["f/etl/a"]),
        ({"last_parent_hash": third}, []),
        ({"show_archived": "true"}, []),
        ({"page": "1", "per_page": "1"}, ["u/admin/b"]),
        ({"page": "2", "per_page": "1"}, ["f/etl/a"]),
        ({"page": "0", "per_page": "1"}, ["u/admin/b"]),
    ):
        assert await names(client, **query) == expected, query
    rows = (await client.get(f"{API}/list", params={"with_deployment_msg": "true"})).json()
    assert "content" not in rows[0]
    assert rows[0]["deployment_msg"] == "why"
    rows = (await client.get(f"{API}/list", params={"without_description": "true"})).json()
    assert [("description" in row, "deployment_msg" in row) for row in rows] == [(False, False)] * 2
    for bad in ({"page": "-1"}, {"parent_hash": "xyz"}, {"is_template": "perhaps"}):
        assert (await client.get(f"{API}/list", params=bad)).status_code == 400, bad
    await client.post(f"{API}/archive/p/f/etl/a")
    assert await names(client) == ["u/admin/b"]
    archived = (await client.get(f"{API}/list", params={"show_archived": "true"})).json()
    assert [script["hash"] for script in archived] == [third]
    assert (await client.get(f"{API}/list_paths")).json() == ["u/admin/b", "u/admin/module"]
    search = (await client.get(f"{API}/list_search")).json()
    assert {"path": "u/admin/module", "content": "X = 1"} in search


async def test_starred_scripts_come_first_for_who_starred_them(
    client: AsyncClient, client_of: ClientOf
) -> None:
    henri = await client_of("henri", role="admin")
    await deploy(client, "u/admin/a")
    await deploy(client, "u/admin/b")
    star = {"favorite_kind": "script", "path": "u/admin/a"}
    for _ in range(2):
        assert (await client.post("/api/w/main/favorites/star", json=star)).status_code == 200
    assert await names(client) == ["u/admin/a", "u/admin/b"]
    assert await names(henri) == ["u/admin/b", "u/admin/a"]
    assert await names(client, starred_only="true") == ["u/admin/a"]
    assert await names(henri, starred_only="true") == []
    assert (await read(client, "u/admin/a"))["starred"] is True
    assert (await read(henri, "u/admin/a"))["starred"] is False
    await client.post("/api/w/main/favorites/unstar", json=star)
    assert await names(client) == ["u/admin/b", "u/admin/a"]
    for bad in ({"favorite_kind": "poem", "path": "u/admin/a"}, {"favorite_kind": "script", "path": "x"}):
        assert (await client.post("/api/w/main/favorites/star", json=bad)).status_code == 400


async def test_the_history_tells_what_each_deployment_said(client: AsyncClient) -> None:
    first = await deploy(client, deployment_message="initial")
    second = await deploy(client, content="2", parent_hash=first)
    url = f"{API}/history_update/h/{second}/p/u/admin/load"
    assert (await client.post(url, json={"deployment_msg": "faster"})).status_code == 200
    history = (await client.get(f"{API}/history/p/u/admin/load")).json()
    assert [entry["deployment_msg"] for entry in history] == ["faster", "initial"]
    assert history[0]["created_by"] == "admin"
    latest = await client.get(f"{API}/get_latest_version/u/admin/load")
    assert latest.json() == history[0]
    wrong = f"{API}/history_update/h/{second}/p/u/admin/other"
    assert (await client.post(wrong, json={"deployment_msg": "x"})).status_code == 404


async def test_tokens_of_a_script_are_listed_without_their_secret(client: AsyncClient) -> None:
    await deploy(client)
    made = await client.post(
        "/api/users/tokens/create",
        json={"label": "webhook", "scopes": ["jobs:run:scripts:u/admin/load"], "workspace_id": "main"},
    )
    assert made.status_code == 201, made.text
    listed = await client.get(f"{API}/list_tokens/u/admin/load")
    assert [(token["label"], token["email"]) for token in listed.json()] == [("webhook", "admin@localhost")]
    assert made.text not in listed.text
    await deploy(client, "u/admin/other")
    assert (await client.get(f"{API}/list_tokens/u/admin/other")).json() == []


async def test_a_signature_is_inferred_without_deploying(client: AsyncClient) -> None:
    url = f"{API}/infer_schema"
    good = (await client.post(url, json={"language": "python3", "content": CODE})).json()
    assert (good["has_main"], good["schema"]["order"]) == (True, ["n"])
    broken = (await client.post(url, json={"language": "python3", "content": "def main(:"})).json()
    assert "line 1" in broken["error"]
    assert (await client.post(url, json={"language": "cobol", "content": ""})).status_code == 400


# Archiving and deleting


async def test_archived_scripts_stay_readable_and_archiving_twice_is_harmless(client: AsyncClient) -> None:
    first = await deploy(client)
    for _ in range(2):
        assert (await client.post(f"{API}/archive/p/u/admin/load")).status_code == 200
    assert (await read(client))["archived"] is True
    assert (await client.get(f"{API}/exists/p/u/admin/load")).json() is False
    second = await deploy(client, content="2", parent_hash=first)
    assert (await client.get(f"{API}/exists/p/u/admin/load")).json() is True
    answer = await client.post(f"{API}/archive/h/{second}")
    assert (answer.status_code, answer.json()["archived"]) == (200, True)


async def test_a_deleted_version_keeps_its_place_without_its_content(client: AsyncClient) -> None:
    first = await deploy(client, envs=["SECRET=hunter2"])
    answer = await client.post(f"{API}/delete/h/{first}")
    assert answer.status_code == 200
    gone = answer.json()
    assert (gone["content"], gone["schema"], gone["archived"], gone["deleted"]) == ("", None, True, True)
    assert "hunter2" not in answer.text
    assert await names(client, show_archived="true") == []
    assert (await read(client))["hash"] == first
    assert await deploy(client, content="2", parent_hash=first)


async def test_deleting_a_path_removes_every_version_and_star(client: AsyncClient) -> None:
    first = await deploy(client)
    await deploy(client, content="2", parent_hash=first)
    await client.post("/api/w/main/favorites/star", json={"favorite_kind": "script", "path": "u/admin/load"})
    answer = await client.post(f"{API}/delete/p/u/admin/load")
    assert (answer.status_code, answer.json()) == (200, "u/admin/load")
    assert (await client.get(f"{API}/get/h/{first}")).status_code == 404
    await deploy(client)
    assert (await read(client))["starred"] is False


async def test_bulk_deletion_answers_with_what_existed(client: AsyncClient) -> None:
    await deploy(client, "u/admin/a")
    await deploy(client, "u/admin/b")
    paths = {"paths": ["u/admin/a", "u/admin/nothing", "u/admin/a"]}
    answer = await client.request("DELETE", f"{API}/delete_bulk", json=paths)
    assert (answer.status_code, answer.json()) == (200, ["u/admin/a"])
    assert await names(client) == ["u/admin/b"]
    many = {"paths": [f"u/admin/a{number}" for number in range(1001)]}
    assert (await client.request("DELETE", f"{API}/delete_bulk", json=many)).status_code == 400


# Dependencies, and what a run uses


async def test_a_deployment_without_a_lock_pushes_a_dependency_job(
    client: AsyncClient, database: Database
) -> None:
    version = await deploy(client, tag="gpu", deployment_message="first")
    assert (await read(client))["lock"] is None
    status = (await client.get(f"{API}/deployment_status/h/{version}")).json()
    assert (status["lock"], status["lock_error_logs"]) == (None, None)
    async with database.statement() as connection:
        job = await connection.fetch_row(
            "SELECT id::text, kind, runnable_path, script_hash, tag, raw_code FROM job"
        )
    assert job is not None
    assert tuple(job) == (
        status["job_id"],
        "dependencies",
        "u/admin/load",
        hash_from_hex(version),
        "gpu",
        CODE,
    )
    await record(database, version, "httpx==0.28.1\n")
    assert (await read(client))["lock"] == "httpx==0.28.1\n"


async def test_a_given_lock_and_a_refused_deployment_push_no_job(
    client: AsyncClient, database: Database
) -> None:
    await deploy(client, lock="# py: 3.11\n")
    await create(client, content="2")
    async with database.statement() as connection:
        assert await connection.fetch_value("SELECT count(*) FROM job") == 0


async def test_a_late_second_answer_does_not_replace_a_lock(client: AsyncClient, database: Database) -> None:
    version = await deploy(client)
    await record(database, version, None, "broken\x00 pipe")
    assert (await read(client))["lock_error_logs"] == "broken\ufffd pipe"
    assert (await client.get(f"{API}/list")).json()[0]["has_deploy_errors"] is True
    await record(database, version, "good")
    await record(database, version, None, "late")
    script = await read(client)
    assert (script["lock"], script["lock_error_logs"]) == ("good", None)


async def test_a_run_uses_the_newest_version_that_is_locked(
    client: AsyncClient, database: Database, scripts: Scripts
) -> None:
    first = await deploy(client)
    # At once after the first deployment: the run resolves the dependencies itself.
    resolved = await scripts.resolve_by_path(ADMIN, "u/admin/load")
    assert (hash_to_hex(resolved.hash), resolved.lock) == (first, None)
    await record(database, first, "one")
    second = await deploy(client, content="2", parent_hash=first)
    resolved = await scripts.resolve_by_path(ADMIN, "u/admin/load")
    assert (hash_to_hex(resolved.hash), resolved.content, resolved.lock) == (first, CODE, "one")
    await record(database, second, None, "no such package")
    third = await deploy(client, content="3", parent_hash=second)
    assert hash_to_hex((await scripts.resolve_by_path(ADMIN, "u/admin/load")).hash) == first
    await record(database, third, "three")
    assert hash_to_hex((await scripts.resolve_by_path(ADMIN, "u/admin/load")).hash) == third


async def test_a_renamed_script_runs_its_last_locked_version_under_its_new_path(
    client: AsyncClient, database: Database, scripts: Scripts
) -> None:
    first = await deploy(client)
    await record(database, first, "one")
    await deploy(client, "u/admin/store", content="2", parent_hash=first)
    resolved = await scripts.resolve_by_path(ADMIN, "u/admin/store")
    assert (resolved.path, resolved.lock) == ("u/admin/store", "one")
    with pytest.raises(NotFound, match="No live script at path u/admin/load"):
        await scripts.resolve_by_path(ADMIN, "u/admin/load")


async def test_an_unrelated_archived_script_never_runs_in_place_of_a_new_one(
    client: AsyncClient, database: Database, scripts: Scripts
) -> None:
    old = await deploy(client)
    await record(database, old, "one")
    await client.post(f"{API}/archive/p/u/admin/load")
    new = await deploy(client, content="2")
    assert hash_to_hex((await scripts.resolve_by_path(ADMIN, "u/admin/load")).hash) == new


async def test_a_script_whose_dependencies_never_resolved_says_why(
    client: AsyncClient, database: Database, scripts: Scripts
) -> None:
    version = await deploy(client)
    await record(database, version, None, "no such package: nothere")
    number = hash_from_hex(version)
    assert number is not None
    for attempt in (scripts.resolve_by_path(ADMIN, "u/admin/load"), scripts.resolve_by_hash(ADMIN, number)):
        with pytest.raises(InvalidInput, match="no such package: nothere"):
            await attempt


async def test_a_run_by_hash_uses_that_version_also_when_archived(
    client: AsyncClient, database: Database, scripts: Scripts
) -> None:
    first = await deploy(client, lock="one", tag="gpu", timeout=9, priority=2, envs=["A=1"])
    await deploy(client, content="2", parent_hash=first, lock="two")
    number = hash_from_hex(first)
    assert number is not None
    resolved = await scripts.resolve_by_hash(ADMIN, number)
    assert (resolved.path, resolved.content, resolved.lock) == ("u/admin/load", CODE, "one")
    assert (resolved.tag, resolved.timeout, resolved.priority, resolved.envs) == ("gpu", 9, 2, ["A=1"])
    await client.post(f"{API}/delete/h/{first}")
    with pytest.raises(NotFound, match=first):
        await scripts.resolve_by_hash(ADMIN, number)


async def test_who_may_not_read_a_script_may_not_run_it(client: AsyncClient, scripts: Scripts) -> None:
    version = hash_from_hex(await deploy(client))
    assert version is not None
    henri = Actor(workspace_id="main", email="henri@localhost", username="henri")
    scoped = Actor(
        workspace_id="main",
        email="admin@localhost",
        username="admin",
        is_admin=True,
        scopes=("jobs:run:scripts:u/admin/other",),
    )
    for actor in (henri, scoped):
        with pytest.raises(PermissionDenied):
            await scripts.resolve_by_path(actor, "u/admin/load")
        with pytest.raises(PermissionDenied):
            await scripts.resolve_by_hash(actor, version)
    elsewhere = Actor(workspace_id="other", email="admin@localhost", username="admin", is_admin=True)
    with pytest.raises(NotFound):
        await scripts.resolve_by_path(elsewhere, "u/admin/load")
