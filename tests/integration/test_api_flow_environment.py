"""What a flow's `flow_env` holds, read through any of its flow jobs."""

from uuid import UUID, uuid4

import httpx
import msgspec
import pytest

from tests.conftest import ClientOf, Instance, client_with
from tests.integration.flow_trees import push, push_flow, set_status, token_of
from tests.refusals import refused

W = "/api/w/main"
LOOP = {"type": "forloopflow", "iterator": {"type": "static", "value": [1]}, "modules": []}
ENV = {
    "plain": {"b": [1.0, {"c": "x"}], "a": None},
    "text": "$ 5",
    "secret": "$var:u/admin/secret",
}


@pytest.fixture
async def flow(instance: Instance) -> UUID:
    """A test of a flow with an environment."""
    written = {"modules": [{"id": "l", "value": LOOP}], "flow_env": ENV}
    flow = await push(instance.database, "flowpreview", raw_flow=msgspec.json.encode(written).decode())
    await set_status(instance.database, flow, None)
    return flow


async def value(client: httpx.AsyncClient, job: UUID, name: str, **query: str) -> httpx.Response:
    return await client.get(f"{W}/jobs/flow_env_by_flow_job_id/{job}/{name}", params=query)


async def test_a_value_comes_as_it_is_written(client: httpx.AsyncClient, flow: UUID) -> None:
    found = await value(client, flow, "plain")
    assert (found.status_code, found.text) == (200, '{"b":[1.0,{"c":"x"}],"a":null}')
    assert (await value(client, flow, "plain", json_path="b[1].c")).json() == "x"
    assert (await value(client, flow, "plain", json_path="b.nothing")).json() is None
    assert (await value(client, flow, "nothing")).json() is None


async def test_what_runs_below_the_flow_reads_the_same(
    client: httpx.AsyncClient, instance: Instance, flow: UUID
) -> None:
    body = await push_flow(
        instance.database, kind="flownode", parent=flow, flow_step_id="l", step_attempt=0, step_index=0
    )
    step = await push(instance.database, parent=body, flow_step_id="a", step_attempt=0)
    assert (await value(client, body, "plain", json_path="b[0]")).text == "1.0"
    async with client_with(instance, await token_of(instance, step)) as running:
        assert (await value(running, flow, "plain", json_path="b[0]")).text == "1.0"


async def test_references_are_read_as_who_asks(
    client: httpx.AsyncClient, client_of: ClientOf, instance: Instance, flow: UUID
) -> None:
    secret = {"path": "u/admin/secret", "value": "hush", "is_secret": True, "description": ""}
    assert (await client.post(f"{W}/variables/create", json=secret)).is_success
    assert (await value(client, flow, "secret")).json() == "hush"
    member = await client_of("henri")
    refused(await value(member, flow, "plain"), 403, "henri")
    async with instance.database.statement() as connection:
        await connection.execute("UPDATE job SET created_by = 'henri' WHERE id = $1", flow)
    assert (await value(member, flow, "plain", json_path="a")).status_code == 200
    answer = await value(member, flow, "secret")
    assert answer.status_code >= 400
    assert "hush" not in answer.text


async def test_what_is_no_flow_has_no_environment(client: httpx.AsyncClient, instance: Instance) -> None:
    refused(await value(client, uuid4(), "plain"), 404, "Job not found")
    alone = await push(instance.database)
    refused(await value(client, alone, "plain"), 404, str(alone), "is no flow")
