"""Who may see, deploy, and delete which scripts."""

from httpx import AsyncClient

from tests.integration.script_calls import API, ClientOf, create, deploy, make_folder, names, read


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
