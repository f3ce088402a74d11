"""Workspaces and their members over HTTP."""

from typing import Any

import httpx
import pytest

from millpond.base.errors import NotFound, SecretUnreadable
from millpond.base.sealing import KEY_BYTES, MasterKey
from millpond.services.workspace_keys import WorkspaceKeys
from millpond.store.pool import Database
from tests.conftest import ClientOf, Instance, client_with

EMAIL = "henri@example.com"


async def create(client: httpx.AsyncClient, workspace_id: str, **more: object) -> httpx.Response:
    return await client.post("/api/workspaces/create", json={"id": workspace_id, "name": "Second", **more})


async def usernames(client: httpx.AsyncClient, workspace: str = "main") -> list[str]:
    answer = await client.get(f"/api/w/{workspace}/users/list_usernames")
    assert answer.status_code == 200, answer.text
    names: list[str] = answer.json()
    return names


async def test_a_workspace_is_created_as_the_command_line_does_it(client: httpx.AsyncClient) -> None:
    exists = await client.post("/api/workspaces/exists", json={"id": "second"})
    assert (exists.status_code, exists.json()) == (200, False)
    answer = await create(client, "second", username="boss")
    assert (answer.status_code, answer.text) == (201, "Created workspace second")
    assert (await client.post("/api/workspaces/exists", json={"id": "second"})).json() is True
    listed = (await client.get("/api/workspaces/list")).json()
    assert [(each["id"], each["name"], each["owner"]) for each in listed] == [
        ("main", "main", "admin@localhost"),
        ("second", "Second", "admin@localhost"),
    ]
    memberships = (await client.get("/api/workspaces/users")).json()
    assert memberships["email"] == "admin@localhost"
    second = memberships["workspaces"][1]
    assert {"id", "name", "username", "color", "parent_workspace_id", "disabled"} <= set(second)
    assert (second["id"], second["username"], second["role"]) == ("second", "boss", "admin")
    groups = (await client.get("/api/w/second/groups/list")).json()
    assert [(group["name"], group["members"]) for group in groups] == [("all", ["boss"])]


@pytest.mark.parametrize(
    "body", [{"id": "main"}, {"id": "Main"}, {"id": "x", "name": ""}, {"id": "x", "username": "a b"}]
)
async def test_workspaces_that_exist_or_cannot_are_refused(
    client: httpx.AsyncClient, body: dict[str, str]
) -> None:
    assert (await create(client, **{"workspace_id": body.pop("id"), **body})).status_code == 400
    assert len((await client.get("/api/workspaces/list_as_superadmin")).json()) == 1


async def test_settings_name_and_rename(client: httpx.AsyncClient, client_of: ClientOf) -> None:
    henri = await client_of("henri")
    assert (await henri.get("/api/w/main/workspaces/get_workspace_name")).text == "main"
    rename = {"new_name": "Main hall"}
    assert (await henri.post("/api/w/main/workspaces/change_workspace_name", json=rename)).status_code == 403
    assert (await client.post("/api/w/main/workspaces/change_workspace_name", json=rename)).status_code == 200
    settings = (await henri.get("/api/w/main/workspaces/get_settings")).json()
    assert (settings["workspace_id"], settings["name"]) == ("main", "Main hall")


async def test_an_archived_workspace_opens_for_nobody_until_it_is_brought_back(
    client: httpx.AsyncClient, client_of: ClientOf
) -> None:
    henri = await client_of("henri")
    assert (await henri.post("/api/w/main/workspaces/archive")).status_code == 403
    assert (await client.delete("/api/workspaces/delete/main")).status_code == 400, "in use"
    assert (await client.post("/api/w/main/workspaces/archive")).status_code == 200
    for each in (henri, client):
        answer = await each.get("/api/w/main/users/whoami")
        assert answer.status_code == 404
        assert "archived" in answer.text
    assert (await henri.get("/api/workspaces/list")).json() == []
    listed = (await client.get("/api/workspaces/list_as_superadmin?page=0&per_page=100")).json()
    assert [(each["id"], each["deleted"]) for each in listed] == [("main", True)]
    assert (await henri.post("/api/workspaces/unarchive/main")).status_code == 403
    assert (await client.post("/api/workspaces/unarchive/main")).status_code == 200
    assert (await client.post("/api/workspaces/unarchive/main")).status_code == 404
    assert (await henri.get("/api/w/main/users/whoami")).status_code == 200


async def test_deleting_a_workspace_leaves_nothing_for_its_successor(
    client: httpx.AsyncClient, database: Database
) -> None:
    await create(client, "second")
    resource = {"path": "u/admin/r", "value": 1, "resource_type": "any"}
    assert (await client.post("/api/w/second/resources/create", json=resource)).status_code == 201
    job = """
        INSERT INTO job (workspace_id, id, kind, tag, created_by, permissioned_as, email, scheduled_for)
        VALUES ('second', gen_random_uuid(), 'noop', 't', 'admin', 'u/admin', 'admin@localhost', now())"""
    async with database.statement() as connection:
        await connection.execute(job)
    await client.post("/api/w/second/workspaces/archive")
    assert (await client.delete("/api/workspaces/delete/second")).status_code == 200
    assert (await client.delete("/api/workspaces/delete/second")).status_code == 404
    await create(client, "second")
    assert (await client.get("/api/w/second/resources/list")).json() == []
    async with database.statement() as connection:
        assert await connection.fetch_value("SELECT count(*) FROM job WHERE workspace_id = 'second'") == 0


async def test_each_workspace_has_a_key_of_its_own_that_only_the_master_key_opens(
    client: httpx.AsyncClient, instance: Instance
) -> None:
    await create(client, "second")
    keys = WorkspaceKeys(instance.database, instance.master_key)
    main, second = await keys.key_of("main"), await keys.key_of("second")
    assert len(main) == len(second) == KEY_BYTES
    assert main != second
    assert await WorkspaceKeys(instance.database, instance.master_key).key_of("main") == main
    with pytest.raises(SecretUnreadable, match="MILLPOND_MASTER_KEY"):
        await WorkspaceKeys(instance.database, MasterKey.generate()).key_of("main")
    with pytest.raises(NotFound):
        await keys.key_of("third")


async def test_an_unknown_workspace_is_not_told_from_a_foreign_one(
    client: httpx.AsyncClient, client_of: ClientOf
) -> None:
    henri = await client_of("henri")
    await create(client, "second")
    foreign = await henri.get("/api/w/second/users/whoami")
    unknown = await henri.get("/api/w/third/users/whoami")
    assert (foreign.status_code, unknown.status_code) == (403, 403)
    assert foreign.text.replace("second", "third") == unknown.text
    assert (await client.get("/api/w/third/users/whoami")).status_code == 404
    assert (await client.get("/api/w/second/users/whoami")).status_code == 200


async def test_members_are_added_listed_changed_and_removed(client: httpx.AsyncClient) -> None:
    assert (
        await client.post("/api/users/create", json={"email": EMAIL, "password": "pw"})
    ).status_code == 201
    member = {"email": "Henri@example.com", "is_admin": False, "operator": True}
    assert (await client.post("/api/w/main/workspaces/add_user", json=member)).status_code == 201
    assert await usernames(client) == ["admin", "henri"]
    got = (await client.get("/api/w/main/users/get/henri")).json()
    assert (got["email"], got["operator"], got["is_admin"], got["disabled"]) == (EMAIL, True, False, False)
    assert got["groups"] == ["all"]
    assert (await client.get("/api/w/main/users/username_to_email/henri")).text == EMAIL
    assert (await client.post("/api/w/main/users/exists", json={"username": "henri"})).json() is True
    taken = {"id": "main", "username": "henri"}
    assert (await client.post("/api/workspaces/exists_username", json=taken)).json() is True
    change = {"is_admin": True, "operator": False}
    assert (await client.post("/api/w/main/users/update/henri", json=change)).status_code == 200
    listed = {each["username"]: each for each in (await client.get("/api/w/main/users/list")).json()}
    assert (listed["henri"]["is_admin"], listed["henri"]["role"]) == (True, "admin")
    assert (await client.delete("/api/w/main/users/delete/henri")).status_code == 200
    assert await usernames(client) == ["admin"]
    for gone in ("get/henri", "username_to_email/henri"):
        assert (await client.get(f"/api/w/main/users/{gone}")).status_code == 404


async def test_members_that_cannot_be_are_refused(client: httpx.AsyncClient, client_of: ClientOf) -> None:
    henri = await client_of("henri")
    add = "/api/w/main/workspaces/add_user"
    assert (await client.post(add, json={"email": "nobody@example.com"})).status_code == 404
    again = await client.post(add, json={"email": EMAIL, "username": "other"})
    assert again.status_code == 400
    assert "member of the workspace already" in again.text
    await client.post("/api/users/create", json={"email": "henri@elsewhere.example"})
    taken = await client.post(add, json={"email": "henri@elsewhere.example"})
    assert taken.status_code == 400
    assert "choose another username" in taken.text
    assert (await henri.post(add, json={"email": "henri@elsewhere.example"})).status_code == 403


async def test_the_last_administrator_stays(client: httpx.AsyncClient, client_of: ClientOf) -> None:
    henri = await client_of("henri", role="admin")
    for change in ({"is_admin": False}, {"disabled": True}):
        assert (await client.post("/api/w/main/users/update/admin", json=change)).status_code == 200
        for refused in ({"is_admin": False}, {"disabled": True}):
            answer = await client.post("/api/w/main/users/update/henri", json=refused)
            assert answer.status_code == 400
            assert "last administrator" in answer.text
        assert (await client.delete("/api/w/main/users/delete/henri")).status_code == 400
        assert (await henri.post("/api/w/main/users/leave")).status_code == 400
        await client.post("/api/w/main/users/update/admin", json={"is_admin": True, "disabled": False})
    assert (await henri.post("/api/w/main/users/leave")).status_code == 200
    assert (await henri.get("/api/w/main/users/whoami")).status_code == 403


async def test_a_removed_member_leaves_no_rights_to_the_next_of_that_name(
    client: httpx.AsyncClient, client_of: ClientOf
) -> None:
    await client_of("henri")
    await client.post("/api/w/main/groups/create", json={"name": "data"})
    await client.post("/api/w/main/groups/adduser/data", json={"username": "henri"})
    await client.post("/api/w/main/acls/add/group_/data", json={"owner": "u/henri", "write": True})
    await client.post("/api/w/main/folders/create", json={"name": "etl", "owners": ["u/henri"]})
    assert (await client.delete("/api/w/main/users/delete/henri")).status_code == 200
    folder = (await client.get("/api/w/main/folders/get/etl")).json()
    assert (folder["owners"], folder["extra_perms"]) == (["u/admin"], {"u/admin": True})
    group = (await client.get("/api/w/main/groups/get/data")).json()
    assert (group["members"], group["extra_perms"]) == ([], {"u/admin": True})


async def test_whoami_inside_names_roles_groups_and_folders(
    client: httpx.AsyncClient, client_of: ClientOf
) -> None:
    henri = await client_of("henri")
    await client.post("/api/w/main/groups/create", json={"name": "data"})
    await client.post("/api/w/main/groups/adduser/data", json={"username": "henri"})
    for name, grants in (
        ("seen", {"g/data": False}),
        ("written", {"u/henri": True}),
        ("hidden", {"g/x": True}),
    ):
        await client.post("/api/w/main/folders/create", json={"name": name, "extra_perms": grants})
    await client.post("/api/w/main/folders/create", json={"name": "own", "owners": ["g/data"]})
    facts: dict[str, Any] = (await henri.get("/api/w/main/users/whoami")).json()
    created_at = facts.pop("created_at")
    assert created_at.endswith("Z")
    assert facts == {
        "workspace_id": "main",
        "username": "henri",
        "email": EMAIL,
        "name": None,
        "role": "developer",
        "is_admin": False,
        "is_super_admin": False,
        "operator": False,
        "disabled": False,
        "groups": ["all", "data"],
        "folders": ["own", "written"],
        "folders_owners": ["own"],
        "folders_read": ["own", "seen", "written"],
    }


async def test_a_superadmin_is_an_administrator_everywhere(
    client: httpx.AsyncClient, instance: Instance
) -> None:
    await client.post("/api/users/create", json={"email": EMAIL, "password": "pw", "super_admin": True})
    token = (await client.post("/api/auth/login", json={"email": EMAIL, "password": "pw"})).text
    async with client_with(instance, token) as henri:
        facts = (await henri.get("/api/w/main/users/whoami")).json()
        assert (facts["username"], facts["is_admin"], facts["is_super_admin"]) == ("henri", True, True)
        assert (await henri.get("/api/workspaces/list")).json() == [], "no member of any"
        assert (await henri.post("/api/w/main/users/leave")).status_code == 404
        member = {"email": EMAIL, "username": "h", "operator": True}
        assert (await henri.post("/api/w/main/workspaces/add_user", json=member)).status_code == 201
        facts = (await henri.get("/api/w/main/users/whoami")).json()
        assert (facts["username"], facts["is_admin"], facts["operator"]) == ("h", True, False)
        await client.post("/api/w/main/users/update/h", json={"disabled": True})
        assert (await henri.get("/api/w/main/users/whoami")).status_code == 200
    client.cookies.clear()


async def test_whether_a_path_is_ones_own(client: httpx.AsyncClient, client_of: ClientOf) -> None:
    henri = await client_of("henri")
    for path, own in (("u/henri/x", True), ("u/admin/x", False), ("f/etl/x", False)):
        assert (await henri.get(f"/api/w/main/users/is_owner_of_path/{path}")).json() is own
        assert (await client.get(f"/api/w/main/users/is_owner_of_path/{path}")).json() is True
    assert (await henri.get("/api/w/main/users/is_owner_of_path/nonsense")).status_code == 400
