"""Groups over HTTP: who may manage them, and what belonging to one opens."""

import httpx
import pytest

from tests.conftest import ClientOf

BASE = "/api/w/main/groups"


async def create(client: httpx.AsyncClient, name: str, summary: str | None = None) -> None:
    answer = await client.post(f"{BASE}/create", json={"name": name, "summary": summary})
    assert (answer.status_code, answer.text) == (200, f"Created group {name}")


async def add(client: httpx.AsyncClient, name: str, username: str) -> httpx.Response:
    return await client.post(f"{BASE}/adduser/{name}", json={"username": username})


async def test_a_group_is_created_changed_and_deleted(client: httpx.AsyncClient) -> None:
    await create(client, "data", "s")
    assert (await add(client, "data", "admin")).status_code == 200
    assert (await add(client, "data", "admin")).status_code == 200, "a member stays a member"
    group = (await client.get(f"{BASE}/get/data")).json()
    assert group == {
        "workspace_id": "main",
        "name": "data",
        "summary": "s",
        "members": ["admin"],
        "extra_perms": {"u/admin": True},
    }
    assert (await client.post(f"{BASE}/update/data", json={"summary": "new"})).status_code == 200
    assert (await client.get(f"{BASE}/get/data")).json()["summary"] == "new"
    assert [each["name"] for each in (await client.get(f"{BASE}/list?page=0&per_page=10")).json()] == [
        "all",
        "data",
    ]
    assert (await client.get(f"{BASE}/listnames")).json() == ["all", "data"]
    removed = await client.post(f"{BASE}/removeuser/data", json={"username": "admin"})
    assert removed.status_code == 200
    assert (await client.post(f"{BASE}/removeuser/data", json={"username": "admin"})).status_code == 404
    assert (await client.delete(f"{BASE}/delete/data")).status_code == 200
    assert (await client.get(f"{BASE}/get/data")).status_code == 404


async def test_what_is_refused_says_why(client: httpx.AsyncClient) -> None:
    await create(client, "data")
    answers = [
        await client.post(f"{BASE}/create", json={"name": "data"}),
        await client.post(f"{BASE}/create", json={"name": "all"}),
        await client.post(f"{BASE}/create", json={"name": "a b"}),
        await add(client, "all", "admin"),
        await client.post(f"{BASE}/removeuser/all", json={"username": "admin"}),
        await client.delete(f"{BASE}/delete/all"),
    ]
    assert [answer.status_code for answer in answers] == [400] * len(answers)
    unknown = [
        await add(client, "nope", "admin"),
        await add(client, "data", "nobody"),
        await client.get(f"{BASE}/get/no"),
    ]
    assert [answer.status_code for answer in unknown] == [404] * 3


async def test_everybody_is_in_all(client: httpx.AsyncClient, client_of: ClientOf) -> None:
    henri = await client_of("henri")
    assert (await client.get(f"{BASE}/get/all")).json()["members"] == ["admin", "henri"]
    await create(client, "data")
    assert (await henri.get(f"{BASE}/listnames?only_member_of=true")).json() == ["all"]
    await add(client, "data", "henri")
    assert (await henri.get(f"{BASE}/listnames?only_member_of=true")).json() == ["all", "data"]


async def test_a_creator_manages_without_being_a_member(client_of: ClientOf) -> None:
    henri, other = await client_of("henri"), await client_of("other")
    await create(henri, "team")
    assert (await henri.get("/api/w/main/users/whoami")).json()["groups"] == ["all"]
    assert (await add(henri, "team", "other")).status_code == 200
    refused = [
        await add(other, "team", "henri"),
        await other.post(f"{BASE}/removeuser/team", json={"username": "other"}),
        await other.post(f"{BASE}/update/team", json={"summary": "mine"}),
        await other.delete(f"{BASE}/delete/team"),
        await other.post("/api/w/main/acls/add/group_/team", json={"owner": "u/other", "write": True}),
    ]
    assert [answer.status_code for answer in refused] == [403] * len(refused), "belonging is not managing"
    grant = {"owner": "u/other", "write": True}
    assert (await henri.post("/api/w/main/acls/add/group_/team", json=grant)).status_code == 200
    assert (await other.delete(f"{BASE}/delete/team")).status_code == 200


async def test_operators_change_no_groups(client: httpx.AsyncClient, client_of: ClientOf) -> None:
    operator = await client_of("olga", role="operator")
    await create(client, "data")
    await client.post("/api/w/main/acls/add/group_/data", json={"owner": "u/olga", "write": True})
    assert (await operator.post(f"{BASE}/create", json={"name": "mine"})).status_code == 403
    assert (await add(operator, "data", "olga")).status_code == 403
    assert (await operator.get(f"{BASE}/get/data")).status_code == 200


async def test_belonging_opens_what_the_group_is_granted_at_once(
    client: httpx.AsyncClient, client_of: ClientOf
) -> None:
    henri = await client_of("henri")
    await create(client, "data")
    await client.post("/api/w/main/folders/create", json={"name": "etl", "extra_perms": {"g/data": True}})
    resource = {"path": "f/etl/r", "value": 1, "resource_type": "any"}
    assert (await henri.post("/api/w/main/resources/create", json=resource)).status_code == 403
    await add(client, "data", "henri")
    assert (await henri.post("/api/w/main/resources/create", json=resource)).status_code == 201
    await client.post(f"{BASE}/removeuser/data", json={"username": "henri"})
    assert (await henri.get("/api/w/main/resources/get/f/etl/r")).status_code == 403


@pytest.mark.parametrize("traces", ["folder", "owner", "item", "acl"])
async def test_nobody_takes_over_a_deleted_group_by_its_name(
    client: httpx.AsyncClient, client_of: ClientOf, traces: str
) -> None:
    henri = await client_of("henri")
    resources = "/api/w/main/resources/create"
    match traces:
        case "folder":
            await client.post(
                "/api/w/main/folders/create", json={"name": "etl", "extra_perms": {"g/gone": False}}
            )
        case "owner":
            await client.post("/api/w/main/folders/create", json={"name": "etl", "owners": ["g/gone"]})
        case "item":
            await client.post(resources, json={"path": "g/gone/r", "value": 1, "resource_type": "any"})
        case _:
            await client.post(resources, json={"path": "u/admin/r", "value": 1, "resource_type": "any"})
            grant = {"owner": "g/gone", "write": False}
            await client.post("/api/w/main/acls/add/resource/u/admin/r", json=grant)
    answer = await henri.post(f"{BASE}/create", json={"name": "gone"})
    assert answer.status_code == 403
    assert (await client.get(f"{BASE}/get/gone")).status_code == 404
    await create(client, "gone")
