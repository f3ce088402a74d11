"""Folders and the permissions of single items over HTTP."""

import httpx
import pytest

from tests.conftest import ClientOf

BASE = "/api/w/main/folders"
ACLS = "/api/w/main/acls"


async def create(client: httpx.AsyncClient, name: str, **more: object) -> None:
    answer = await client.post(f"{BASE}/create", json={"name": name, **more})
    assert (answer.status_code, answer.text) == (200, f"Created folder {name}")


async def put(client: httpx.AsyncClient, path: str) -> int:
    body = {"path": path, "value": {"a": 1}, "resource_type": "any"}
    return (await client.post("/api/w/main/resources/create", json=body)).status_code


async def test_a_folder_is_created_changed_and_deleted(client: httpx.AsyncClient) -> None:
    await create(client, "etl", summary="s")
    folder = (await client.get(f"{BASE}/get/etl")).json()
    assert folder.pop("edited_at")
    assert folder == {
        "workspace_id": "main",
        "name": "etl",
        "display_name": "etl",
        "summary": "s",
        "owners": ["u/admin"],
        "extra_perms": {"u/admin": True},
        "created_by": "admin",
    }
    change = {"summary": None, "display_name": "ETL", "extra_perms": {"g/all": False}}
    assert (await client.post(f"{BASE}/update/etl", json=change)).status_code == 200
    folder = (await client.get(f"{BASE}/get/etl")).json()
    assert (folder["summary"], folder["display_name"], folder["owners"]) == (None, "ETL", ["u/admin"])
    assert folder["extra_perms"] == {"g/all": False}
    assert (await client.get(f"{BASE}/exists/etl")).json() is True
    assert (await client.get(f"{BASE}/listnames")).json() == ["etl"]
    assert [each["name"] for each in (await client.get(f"{BASE}/list?page=0&per_page=10")).json()] == ["etl"]
    assert (await client.delete(f"{BASE}/delete/etl")).status_code == 200
    assert (await client.get(f"{BASE}/exists/etl")).json() is False
    for gone in (await client.get(f"{BASE}/get/etl"), await client.delete(f"{BASE}/delete/etl")):
        assert gone.status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"name": "etl"},
        {"name": "a/b"},
        {"name": "new", "owners": ["henri"]},
        {"name": "new", "extra_perms": {"f/x": True}},
        {"name": "new", "extra_perms": {"u/henri": "yes"}},
        {"summary": "no name"},
    ],
)
async def test_folders_that_exist_or_cannot_are_refused(
    client: httpx.AsyncClient, body: dict[str, object]
) -> None:
    await create(client, "etl")
    assert (await client.post(f"{BASE}/create", json=body)).status_code == 400
    assert (await client.get(f"{BASE}/listnames")).json() == ["etl"]


async def test_what_lies_in_a_folder_is_counted(client: httpx.AsyncClient) -> None:
    await create(client, "etl")
    assert await put(client, "f/etl/r") == 201
    assert await put(client, "f/etl2/r") == 201
    usage = (await client.get(f"{BASE}/getusage/etl")).json()
    assert (usage["resources"], usage["variables"], usage["scripts"], usage["flows"]) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("folder", "statuses"),
    [
        ({"extra_perms": {}}, (403, 403, 403)),
        ({"extra_perms": {"u/henri": False}}, (200, 403, 403)),
        ({"extra_perms": {"g/all": False}}, (200, 403, 403)),
        ({"extra_perms": {"u/henri": True}}, (200, 201, 403)),
        ({"extra_perms": {"u/other": True}}, (403, 403, 403)),
        ({"owners": ["u/henri"]}, (200, 201, 200)),
        ({"owners": ["g/data"]}, (403, 403, 403)),
    ],
)
async def test_readers_read_writers_write_and_owners_manage(
    client: httpx.AsyncClient, client_of: ClientOf, folder: dict[str, object], statuses: tuple[int, int, int]
) -> None:
    reads, writes, manages = statuses
    henri = await client_of("henri")
    await create(client, "etl", **folder)
    assert await put(client, "f/etl/r") == 201
    assert ("etl" in (await henri.get(f"{BASE}/listnames")).json()) is (reads == 200)
    assert bool((await henri.get(f"{BASE}/list")).json()) is (reads == 200)
    for path in (
        f"{BASE}/get/etl",
        f"{BASE}/getusage/etl",
        f"{ACLS}/get/folder/etl",
        "/api/w/main/resources/get/f/etl/r",
    ):
        assert (await henri.get(path)).status_code == reads
    assert await put(henri, "f/etl/new") == writes
    assert (await henri.get(f"{BASE}/is_owner/etl")).json() is (manages == 200)
    changes = [
        await henri.post(f"{BASE}/update/etl", json={"summary": "mine"}),
        await henri.post(f"{BASE}/addowner/etl", json={"owner": "g/all"}),
        await henri.post(f"{ACLS}/add/folder/etl", json={"owner": "u/henri", "write": True}),
        await henri.post(f"{ACLS}/add/resource/f/etl/r", json={"owner": "u/henri", "write": True}),
        await henri.post(f"{BASE}/removeowner/etl", json={"owner": "u/admin"}),
        await henri.delete(f"{BASE}/delete/etl"),
    ]
    assert [answer.status_code for answer in changes] == [manages] * len(changes)


async def test_owners_come_and_go(client: httpx.AsyncClient, client_of: ClientOf) -> None:
    henri = await client_of("henri")
    await create(client, "etl")
    assert (await client.post(f"{BASE}/addowner/etl", json={"owner": "u/henri"})).status_code == 200
    assert (await henri.get(f"{BASE}/is_owner/etl")).json() is True
    former = {"owner": "u/henri", "write": False}
    assert (await client.post(f"{BASE}/removeowner/etl", json=former)).status_code == 200
    assert (await henri.get(f"{BASE}/is_owner/etl")).json() is False
    assert (await henri.get(f"{BASE}/get/etl")).json()["extra_perms"] == {"u/admin": True, "u/henri": False}
    assert (await client.post(f"{BASE}/removeowner/etl", json={"owner": "u/henri"})).status_code == 200
    assert (await henri.get(f"{BASE}/get/etl")).status_code == 403


async def test_developers_create_folders_of_their_own_and_operators_do_not(client_of: ClientOf) -> None:
    henri, olga = await client_of("henri"), await client_of("olga", role="operator")
    await create(henri, "mine", owners=["u/other"])
    assert (await henri.get(f"{BASE}/get/mine")).json()["owners"] == ["u/other", "u/henri"]
    assert await put(henri, "f/mine/r") == 201
    assert (await olga.post(f"{BASE}/create", json={"name": "hers"})).status_code == 403
    await henri.post(f"{BASE}/addowner/mine", json={"owner": "u/olga"})
    assert (await olga.post(f"{BASE}/update/mine", json={"summary": "x"})).status_code == 403
    assert (await olga.get("/api/w/main/resources/get/f/mine/r")).status_code == 200


async def test_a_folder_that_does_not_exist_is_open_to_administrators_only(
    client: httpx.AsyncClient, client_of: ClientOf
) -> None:
    henri = await client_of("henri")
    assert await put(henri, "f/nowhere/r") == 403
    assert await put(client, "f/nowhere/r") == 201
    taken_over = await henri.post(f"{BASE}/create", json={"name": "nowhere"})
    assert taken_over.status_code == 403, "its creator would own what lies there"
    assert (await client.get(f"{BASE}/exists/nowhere")).json() is False
    await create(client, "nowhere")


async def test_an_item_is_shared_and_unshared(client: httpx.AsyncClient, client_of: ClientOf) -> None:
    henri, other = await client_of("henri"), await client_of("other")
    assert await put(henri, "u/henri/r") == 201
    path, item = "/api/w/main/resources/get/u/henri/r", "resource/u/henri/r"
    assert (await other.get(path)).status_code == 403
    assert (
        await other.post(f"{ACLS}/add/{item}", json={"owner": "u/other", "write": True})
    ).status_code == 403
    assert (
        await henri.post(f"{ACLS}/add/{item}", json={"owner": "u/other", "write": False})
    ).status_code == 200
    assert (await other.get(path)).status_code == 200
    assert (await other.get(f"{ACLS}/get/{item}")).json() == {"u/other": False}
    update = "/api/w/main/resources/update_value/u/henri/r"
    assert (await other.post(update, json={"value": 2})).status_code == 403
    await henri.post(f"{ACLS}/add/{item}", json={"owner": "u/other", "write": True})
    assert (await other.post(update, json={"value": 2})).status_code == 200
    assert (await other.post(f"{ACLS}/add/{item}", json={"owner": "g/all"})).status_code == 403, (
        "writing is not owning"
    )
    assert (await henri.post(f"{ACLS}/remove/{item}", json={"owner": "u/other"})).status_code == 200
    assert (await henri.post(f"{ACLS}/remove/{item}", json={"owner": "u/other"})).status_code == 200
    assert (await other.get(path)).status_code == 403
    assert (await henri.get(f"{ACLS}/get/{item}")).json() == {}


@pytest.mark.parametrize("kind", ["variable", "script"])
async def test_other_kinds_carry_permissions_too(
    client: httpx.AsyncClient, client_of: ClientOf, kind: str
) -> None:
    henri = await client_of("henri")
    if kind == "variable":
        body: dict[str, object] = {"path": "u/admin/x", "value": "v", "is_secret": False, "description": ""}
        assert (await client.post("/api/w/main/variables/create", json=body)).status_code == 201
        path = "/api/w/main/variables/get/u/admin/x"
    else:
        body = {
            "path": "u/admin/x",
            "content": "def main(): ...",
            "language": "python3",
            "summary": "",
            "description": "",
            "lock": "",
        }
        assert (await client.post("/api/w/main/scripts/create", json=body)).status_code == 201
        path = "/api/w/main/scripts/get/p/u/admin/x"
    assert (await henri.get(path)).status_code == 403
    grant = {"owner": "g/all", "write": False}
    assert (await client.post(f"{ACLS}/add/{kind}/u/admin/x", json=grant)).status_code == 200
    assert (await henri.get(path)).status_code == 200


async def test_unknown_kinds_items_and_principals_are_refused(client: httpx.AsyncClient) -> None:
    assert await put(client, "u/admin/r") == 201
    grant = {"owner": "u/henri", "write": True}
    for kind in ("app", "resource%22%20--", "workspace_user"):
        answer = await client.post(f"{ACLS}/add/{kind}/u/admin/r", json=grant)
        assert answer.status_code == 400
        assert "carry no permissions" in answer.text
    assert (await client.post(f"{ACLS}/add/resource/u/admin/none", json=grant)).status_code == 404
    assert (await client.get(f"{ACLS}/get/group_/none")).status_code == 404
    assert (await client.post(f"{ACLS}/add/resource/u/admin/r", json={"owner": "henri"})).status_code == 400
    assert (await client.post(f"{ACLS}/add/folder/a/b/c", json=grant)).status_code == 400
