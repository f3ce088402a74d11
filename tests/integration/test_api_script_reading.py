"""Scripts over HTTP: reading, listing, archiving, deleting."""

from httpx import AsyncClient

from tests.integration.script_calls import (
    API,
    CODE,
    UNKNOWN,
    ClientOf,
    deploy,
    make_folder,
    names,
    read,
)


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
