"""What approvers see before they answer."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.conftest import ClientOf, Instance, client_with
from tests.integration.flow_trees import end
from tests.integration.waiting_flows import (
    W,
    Waiting,
    link,
    signature,
    waiting_flow,
    waits_under,
)
from tests.refusals import refused


@pytest.fixture
async def waiting(instance: Instance) -> Waiting:
    return await waiting_flow(instance)


@pytest.fixture
async def stranger(instance: Instance) -> AsyncIterator[httpx.AsyncClient]:
    async with client_with(instance, None) as stranger:
        yield stranger


async def test_what_a_page_needs_to_ask(
    client: httpx.AsyncClient, client_of: ClientOf, stranger: httpx.AsyncClient, instance: Instance
) -> None:
    form = {"type": "object", "properties": {"x": {"type": "string"}}}
    suspend = {"resume_form": {"schema": form}, "hide_cancel": True, "skin": "minimal"}
    waiting = await waiting_flow(instance, suspend=suspend)
    await stranger.post(await link(client, "resume", waiting.job, 4, approver="ruben"))
    address = f"{W}/jobs_u/flow/approval_info"
    expected = {
        "flow_id": str(waiting.flow),
        "can_approve": True,
        "user_auth_required": False,
        "skin": "minimal",
        "approvers": [{"resume_id": 4, "approver": "ruben"}],
        "form_schema": form,
        "hide_cancel": True,
    }
    proof = await signature(client, waiting.job)
    assert (await stranger.get(f"{address}/{waiting.job}", params={"token": proof})).json() == expected
    for job in (waiting.flow, waiting.job):
        assert (await client.get(f"{address}/{job}")).json() == expected
    refused(await stranger.get(f"{address}/{waiting.flow}"), 401, "token")
    refused(await (await client_of("henri")).get(f"{address}/{waiting.flow}"), 403, "henri")
    await end(instance.database, waiting.flow)
    assert (await client.get(f"{address}/{waiting.flow}")).json()["can_approve"] is False


async def test_a_page_says_who_may_answer(
    client: httpx.AsyncClient, client_of: ClientOf, stranger: httpx.AsyncClient, instance: Instance
) -> None:
    runner = await client_of("runner")
    waiting = await waiting_flow(instance, waits_under(self_approval_disabled=True), by="runner")
    address, proof = f"{W}/jobs_u/flow/approval_info/{waiting.job}", await signature(client, waiting.job)
    for visitor, may in ((stranger, False), (runner, False), (client, True)):
        info = (await visitor.get(address, params={"token": proof})).json()
        assert (info["can_approve"], info["user_auth_required"]) == (may, True)
        assert info["approval_conditions"] == {
            "user_auth_required": False,
            "user_groups_required": [],
            "self_approval_disabled": True,
        }


async def test_a_page_shows_what_the_step_says(client: httpx.AsyncClient, waiting: Waiting) -> None:
    async with waiting.instance.database.statement() as connection:
        await connection.execute(
            "INSERT INTO job_completed (workspace_id, job_id, status, result, duration_ms)"
            """ VALUES ('main', $1, 'success', '{"description": {"md": "# Deploy?"}}', 1)""",
            waiting.job,
        )
        await connection.execute("DELETE FROM job_queue WHERE job_id = $1", waiting.job)
    info = (await client.get(f"{W}/jobs_u/flow/approval_info/{waiting.flow}")).json()
    assert info["description"] == {"md": "# Deploy?"}
    assert info["can_approve"] is True


async def test_a_link_shows_its_flow(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, waiting: Waiting
) -> None:
    await stranger.post(await link(client, "resume", waiting.job, 3))
    await stranger.post(await link(client, "cancel", waiting.job, 4))
    place = (await link(client, "resume", waiting.job)).replace("/resume/", "/get_flow/")
    for _ in range(2):
        shown = await stranger.get(place)
        assert shown.status_code == 200, shown.text
        assert shown.json()["job"]["id"] == str(waiting.flow)
        assert shown.json()["approvers"] == [{"resume_id": 3, "approver": "anonymous"}]
        await end(waiting.instance.database, waiting.flow)
    assert shown.json()["job"]["type"] == "CompletedJob"


async def test_a_link_shows_nothing_where_a_login_is_asked_for(
    client: httpx.AsyncClient, client_of: ClientOf, stranger: httpx.AsyncClient, waiting: Waiting
) -> None:
    await waiting.moves(waits_under(user_auth_required=True))
    place = (await link(client, "resume", waiting.job)).replace("/resume/", "/get_flow/")
    refused(await stranger.get(place), 401, "Only logged in users")
    assert (await (await client_of("henri")).get(place)).status_code == 200
