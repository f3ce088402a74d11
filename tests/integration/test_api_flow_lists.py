"""Flows over HTTP as documents: what lists tell, what is found, and what is not there."""

import json

import pytest
from httpx import AsyncClient

from tests.integration.flow_documents import (
    API,
    EMPTY,
    PATH,
    answer,
    deploy,
    make_folder,
    names,
    read,
    redeploy,
    star,
)
from tests.unit.engine_flows import branch, branch_all, branch_one, flow, identity, loop, module, py


@pytest.mark.parametrize(
    "route",
    [
        "get",
        "get/draft",
        "history/p",
        "get_latest_version",
        "deployment_status/p",
        "list_tokens",
        "get_triggers_count",
    ],
)
async def test_an_unknown_path_is_404_in_plain_text(client: AsyncClient, route: str) -> None:
    response = await client.get(f"{API}/{route}/u/admin/none")
    assert (response.status_code, response.text) == (404, "Not found: Flow u/admin/none not found")
    assert response.headers["content-type"].startswith("text/plain")
    assert await answer(client, "exists/u/admin/none") is False


async def test_an_editor_begins_with_what_is_deployed(client: AsyncClient) -> None:
    await deploy(client)
    assert await answer(client, f"get/draft/{PATH}") == await read(client)


async def test_lists_carry_no_values_and_can_be_narrowed(client: AsyncClient) -> None:
    await make_folder(client, "etl")
    await deploy(client, "f/etl/a", labels=["x", "y"], tag="gpu", description="A", deployment_message="first")
    await deploy(client, "f/etl/b", labels=["x"])
    await deploy(client, "u/admin/c")
    await star(client, "f/etl/b")
    listed = await answer(client, "list")
    assert [entry["path"] for entry in listed] == ["f/etl/b", "u/admin/c", "f/etl/a"]
    assert [entry["starred"] for entry in listed] == [True, False, False]
    assert "value" not in listed[0]
    first = await read(client, "f/etl/a")
    shared = (
        "workspace_id",
        "summary",
        "description",
        "edited_by",
        "edited_at",
        "extra_perms",
        "version_id",
        "tag",
    )
    assert {name: listed[2][name] for name in shared} == {name: first[name] for name in shared}
    assert await names(client, order_desc="false") == ["f/etl/b", "f/etl/a", "u/admin/c"]
    assert await names(client, path_start="f/etl/") == ["f/etl/b", "f/etl/a"]
    assert await names(client, path_exact="f/etl/a") == ["f/etl/a"]
    assert await names(client, label="x,y") == ["f/etl/a"]
    assert await names(client, starred_only="true") == ["f/etl/b"]
    assert await names(client, created_by="henri") == []
    assert await names(client, edited_by="admin", page="2", per_page="2") == ["f/etl/a"]
    assert await names(client, dedicated_worker="true") == []
    told = await answer(client, "list", with_deployment_msg="true", without_description="true", label="y")
    assert [(entry["deployment_msg"], "description" in entry) for entry in told] == [("first", False)]
    assert await answer(client, "list_paths") == ["f/etl/a", "f/etl/b", "u/admin/c"]
    assert (await answer(client, "list_search"))[0] == {"path": "f/etl/a", "value": EMPTY}


async def test_flows_are_found_by_what_their_steps_run(client: AsyncClient) -> None:
    script = module("s", "script", {"path": "f/etl/load"})
    sub_flow = module("f", "flow", {"path": "f/etl/all"})
    await make_folder(client, "etl")
    await deploy(client, "f/etl/deep", value=flow(loop("a", [1], branch_all("b", branch(script)))))
    await deploy(client, "f/etl/choice", value=flow(branch_one("a", default=[sub_flow])))
    await deploy(client, "f/etl/handled", value=flow(failure_module=script))
    await deploy(
        client, "f/etl/other", value=flow(module("a", "script", {"path": "hub/1/x"}), py("b", "f/etl/load"))
    )
    route = "list_paths_from_workspace_runnable"
    assert await answer(client, f"{route}/script/f/etl/load") == ["f/etl/deep", "f/etl/handled"]
    assert await answer(client, f"{route}/flow/f/etl/all") == ["f/etl/choice"]
    assert await answer(client, f"{route}/flow/f/etl/load") == []
    assert await answer(client, f"{route}/script/f/etl") == []
    assert await answer(client, f"{route}/script/f/etl", match_path_start="true") == [
        "f/etl/deep",
        "f/etl/handled",
    ]
    await redeploy(client, "f/etl/deep")
    assert await answer(client, f"{route}/script/f/etl/load") == ["f/etl/handled"]
    assert (await client.get(f"{API}/{route}/poem/f/etl/load")).status_code in (400, 404)


async def test_tokens_made_for_a_flow_are_listed_and_counted(client: AsyncClient) -> None:
    await deploy(client)
    assert set((await answer(client, f"get_triggers_count/{PATH}")).values()) == {0}
    made = {"label": "hook", "scopes": [f"jobs:run:flows:{PATH}"], "workspace_id": "main"}
    assert (await client.post("/api/users/tokens/create", json=made)).is_success
    (token,) = await answer(client, f"list_tokens/{PATH}")
    assert (token["label"], token["scopes"]) == ("hook", made["scopes"])
    assert (await answer(client, f"get_triggers_count/{PATH}"))["webhook_count"] == 1


async def test_a_large_flow_is_stored(client: AsyncClient) -> None:
    value = flow(*(identity(f"step_{number}", summary="x" * 500) for number in range(1000)))
    await deploy(client, value=value)
    assert json.dumps((await read(client))["value"]) == json.dumps(value)
