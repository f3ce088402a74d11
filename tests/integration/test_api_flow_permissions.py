"""Who may read, deploy, rename and delete flows, and run them: the rules are those of scripts."""

from collections.abc import Awaitable, Callable

import pytest
from httpx import AsyncClient

from millpond.base.errors import NotFound, PermissionDenied
from millpond.model.actors import Actor
from millpond.services.flows import Flows
from millpond.store.pool import Database
from tests.integration.flow_documents import (
    API,
    PATH,
    answer,
    create,
    deploy,
    make_folder,
    names,
    read,
    redeploy,
    star,
    update,
)
from tests.unit.engine_flows import flow, identity, py

ClientOf = Callable[..., Awaitable[AsyncClient]]
ADMIN = Actor(workspace_id="main", email="admin@localhost", username="admin", is_admin=True)
HENRI = Actor(workspace_id="main", email="henri@example.com", username="henri")


@pytest.fixture
def flows(instance: object, database: Database) -> Flows:
    """The use cases, for what no route shows."""
    return Flows(database, frozenset({"python3"}))


async def test_operators_read_and_star_but_do_not_deploy(client: AsyncClient, client_of: ClientOf) -> None:
    operator = await client_of("henri", role="operator")
    assert (await create(operator, "u/henri/etl")).status_code == 403
    await deploy(client, "u/henri/etl")
    assert (await read(operator, "u/henri/etl"))["path"] == "u/henri/etl"
    await star(operator, "u/henri/etl")
    assert await names(operator, starred_only="true") == ["u/henri/etl"]
    assert (await update(operator, "u/henri/etl")).status_code == 403
    assert (await operator.post(f"{API}/archive/u/henri/etl", json={})).status_code == 403
    assert (await operator.delete(f"{API}/delete/u/henri/etl")).status_code == 403


async def test_a_developer_sees_and_changes_only_what_is_theirs(
    client: AsyncClient, client_of: ClientOf
) -> None:
    henri = await client_of("henri")
    await deploy(client)
    version = (await read(client))["version_id"]
    for route in (
        f"get/{PATH}",
        f"get/draft/{PATH}",
        f"get/v/{version}",
        f"get/v/{version}/p/{PATH}",
        f"history/p/{PATH}",
        f"get_latest_version/{PATH}",
        f"deployment_status/p/{PATH}",
        f"list_tokens/{PATH}",
        f"get_triggers_count/{PATH}",
    ):
        assert (await henri.get(f"{API}/{route}")).status_code == 403, route
    for route in (f"archive/{PATH}", f"history_update/v/{version}", f"toggle_workspace_error_handler/{PATH}"):
        assert (await henri.post(f"{API}/{route}", json={})).status_code == 403, route
    assert (await update(henri)).status_code == 403
    assert (await create(henri)).text == f"Permission denied: henri has no write access to flow {PATH}"
    assert (await henri.delete(f"{API}/delete/{PATH}")).status_code == 403
    assert await names(henri) == []
    assert await answer(henri, "list_paths") == []
    assert await answer(henri, "list_search") == []
    await deploy(henri, "u/henri/etl")
    assert await names(henri) == ["u/henri/etl"]
    assert (await read(client))["version_id"] == version


async def test_who_uses_a_script_is_told_of_visible_flows_only(
    client: AsyncClient, client_of: ClientOf
) -> None:
    henri = await client_of("henri")
    await deploy(client, value=flow({"id": "a", "value": {"type": "script", "path": "f/etl/load"}}))
    route = "list_paths_from_workspace_runnable/script/f/etl/load"
    assert await answer(client, route) == [PATH]
    assert await answer(henri, route) == []


async def test_a_reader_of_a_folder_reads_and_a_writer_writes(
    client: AsyncClient, client_of: ClientOf
) -> None:
    henri = await client_of("henri")
    await make_folder(client, "etl", extra_perms={"u/henri": False})
    await deploy(client, "f/etl/load")
    await read(henri, "f/etl/load")
    refused = await update(henri, "f/etl/load")
    assert (refused.status_code, refused.text) == (
        403,
        "Permission denied: henri has no write access to flow f/etl/load",
    )
    grant = {"owner": "u/henri", "write": True}
    assert (await client.post("/api/w/main/acls/add/flow/f/etl/load", json=grant)).is_success
    await redeploy(henri, "f/etl/load", summary="Other")
    changed = await read(client, "f/etl/load")
    assert (changed["edited_by"], changed["extra_perms"]) == ("henri", {"u/henri": True})
    # To move it away the path must be their own.
    moved = await update(henri, "f/etl/load", path="u/henri/load")
    assert (moved.status_code, moved.text) == (403, "Permission denied: henri does not own flow f/etl/load")
    # And to move one in, the place must be one they may write to.
    await deploy(henri, "u/henri/own")
    assert (await update(henri, "u/henri/own", path="f/etl/own")).status_code == 403
    assert (await henri.delete(f"{API}/delete/f/etl/load")).status_code == 200


async def test_grants_of_a_flow_are_read_given_and_taken(client: AsyncClient, client_of: ClientOf) -> None:
    henri = await client_of("henri")
    await deploy(client)
    acls = "/api/w/main/acls"
    assert (await client.get(f"{acls}/get/flow/{PATH}")).json() == {}
    assert (await client.get(f"{acls}/get/flow/u/admin/none")).status_code == 404
    assert (await henri.post(f"{acls}/add/flow/{PATH}", json={"owner": "u/henri"})).status_code == 403
    assert (await client.post(f"{acls}/add/flow/{PATH}", json={"owner": "u/henri"})).is_success
    assert await names(henri) == [PATH]
    assert (await client.post(f"{acls}/remove/flow/{PATH}", json={"owner": "u/henri"})).is_success
    assert await names(henri) == []


async def test_a_token_limited_to_paths_stays_there(client: AsyncClient, instance: object) -> None:
    await deploy(client)
    await deploy(client, "u/admin/other")
    made = {"label": "narrow", "scopes": ["flows:write:u/admin/other"], "workspace_id": "main"}
    token = (await client.post("/api/users/tokens/create", json=made)).text
    version = (await read(client))["version_id"]
    client.headers["authorization"] = f"Bearer {token}"
    await redeploy(client, "u/admin/other")
    assert (await client.get(f"{API}/get/{PATH}")).status_code == 403
    assert (await client.get(f"{API}/get/v/{version}")).status_code == 403
    assert (await client.get(f"{API}/list")).status_code == 403
    assert (await update(client, "u/admin/other", path="u/admin/third")).status_code == 403


# Which version a run uses


async def test_a_run_by_path_uses_the_newest_version(client: AsyncClient, flows: Flows) -> None:
    await deploy(
        client, value=flow(py("a", "1")), visible_to_runner_only=True, tag="etl", timeout=5, priority=7
    )
    first = await flows.resolve_by_path(ADMIN, PATH)
    assert (first.path, first.tag, first.timeout, first.priority) == (PATH, "etl", 5, 7)
    assert (first.visible_to_owner, first.has_preprocessor, first.on_behalf_of_email) == (False, False, None)
    await redeploy(client, value=flow(identity("a"), preprocessor_module=py("p", "2", None)))
    second = await flows.resolve_by_path(ADMIN, PATH)
    assert second.version_id > first.version_id
    assert (second.visible_to_owner, second.has_preprocessor, second.tag) == (True, True, None)
    assert (await flows.resolve_by_version(ADMIN, first.version_id)).value == first.value


async def test_rights_are_lent_to_the_version_they_were_lent_with_only(
    client: AsyncClient, client_of: ClientOf, flows: Flows
) -> None:
    henri = await client_of("henri")
    await make_folder(client, "etl", extra_perms={"u/henri": True})
    await deploy(henri, "f/etl/load", value=flow(py("a", "print('henri wrote this')")))
    written_by_henri = await flows.resolve_by_path(ADMIN, "f/etl/load")
    await redeploy(client, "f/etl/load", on_behalf_of_email="admin@localhost")
    newest = await flows.resolve_by_path(ADMIN, "f/etl/load")
    assert (newest.on_behalf_of_email, newest.created_by) == ("admin@localhost", "admin")
    old = await flows.resolve_by_version(ADMIN, written_by_henri.version_id)
    assert (old.on_behalf_of_email, old.created_by) == (None, "henri")


async def test_what_cannot_be_run_is_told(client: AsyncClient, flows: Flows) -> None:
    await deploy(client)
    version = (await read(client))["version_id"]
    with pytest.raises(PermissionDenied, match="henri has no access"):
        await flows.resolve_by_path(HENRI, PATH)
    with pytest.raises(PermissionDenied, match="henri has no access"):
        await flows.resolve_by_version(HENRI, version)
    await client.post(f"{API}/archive/{PATH}", json={})
    with pytest.raises(NotFound, match="is archived"):
        await flows.resolve_by_path(ADMIN, PATH)
    with pytest.raises(NotFound, match="is archived"):
        await flows.resolve_by_version(ADMIN, version)
    with pytest.raises(NotFound, match="No flow at path u/admin/none"):
        await flows.resolve_by_path(ADMIN, "u/admin/none")
    with pytest.raises(NotFound, match="No flow version 999"):
        await flows.resolve_by_version(ADMIN, 999)
