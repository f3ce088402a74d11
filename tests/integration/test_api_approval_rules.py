"""Who may answer the wait of a flow: by its conditions, before it begins, and as its owner."""

from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import uuid4

import httpx
import pytest

from millpond.engine.status import FlowStatus, ModuleStatus, Phase
from tests.conftest import ClientOf, Instance, client_with
from tests.integration.flow_trees import end, push, push_flow
from tests.integration.waiting_flows import (
    PASSED,
    RUNS,
    WAITS,
    W,
    Waiting,
    approval,
    link,
    signature,
    step,
    two_steps,
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


async def test_without_a_login_a_wait_for_users_is_refused(
    client: httpx.AsyncClient, client_of: ClientOf, stranger: httpx.AsyncClient, waiting: Waiting
) -> None:
    member = await client_of("henri")
    expired = client_with(waiting.instance, "mp_unknown")
    made = await member.post("/api/users/tokens/create", json={"label": "t", "scopes": ["jobs:read"]})
    limited = client_with(waiting.instance, made.text)
    groups = waits_under(user_groups_required=("all",))
    for status in (waits_under(user_auth_required=True), groups, waits_under(self_approval_disabled=True)):
        await waiting.moves(status)
        for visitor in (stranger, expired, limited):
            for verb in ("resume", "cancel"):
                answer = await visitor.post(await link(client, verb, waiting.job))
                refused(answer, 401, "Only logged in users can approve this flow step")
    assert await waiting.answers() == []
    assert (await member.post(await link(client, "resume", waiting.job))).status_code == 201
    assert await waiting.told() == [approval(approver="henri")]


async def test_who_started_the_flow_may_be_kept_from_approving(
    client: httpx.AsyncClient, client_of: ClientOf, instance: Instance
) -> None:
    runner, other = await client_of("runner"), await client_of("other")
    waiting = await waiting_flow(instance, waits_under(self_approval_disabled=True), by="runner")
    refused(await runner.post(await link(runner, "resume", waiting.job)), 403, "Self-approval is disabled")
    refused(await runner.post(f"{W}/jobs/flow/resume/{waiting.flow}"), 403, "Self-approval is disabled")
    assert (await other.post(await link(runner, "resume", waiting.job))).status_code == 201
    own = await waiting_flow(instance, waits_under(self_approval_disabled=True))
    assert (await client.post(f"{W}/jobs/flow/resume/{own.flow}")).status_code == 201, "administrators may"


async def test_who_is_in_no_group_of_the_wait_is_refused(
    client: httpx.AsyncClient, client_of: ClientOf, waiting: Waiting
) -> None:
    inside, beside = await client_of("inside"), await client_of("beside")
    assert (await client.post(f"{W}/groups/create", json={"name": "team", "summary": ""})).is_success
    assert (await client.post(f"{W}/groups/adduser/team", json={"username": "inside"})).is_success
    await waiting.moves(waits_under(user_groups_required=("none", "team")))
    address = await link(client, "resume", waiting.job)
    refused(await beside.post(address), 403, "none, team")
    assert (await inside.post(address)).status_code == 201


EARLY = [
    ({"user_auth_required": True}, 401, "Only logged in users", 201),
    ({"self_approval_disabled": True}, 401, "Only logged in users", 201),
    ({"user_groups_required": {"type": "static", "value": ["team"]}}, 401, "Only logged in users", 403),
    ({"user_groups_required": {"type": "static", "value": ["all"]}}, 401, "Only logged in users", 201),
    ({"user_groups_required": {"type": "static", "value": []}}, 201, "", 201),
    ({"user_groups_required": {"type": "static", "value": "team"}}, 400, "'a'", 400),
    ({"user_groups_required": {"type": "javascript", "expr": "['all']"}}, 400, "'a' is worked out when", 400),
]


@pytest.mark.parametrize("level", ["step", "flow"])
@pytest.mark.parametrize(("suspend", "status", "named", "of_member"), EARLY, ids=range(len(EARLY)))
async def test_an_answer_before_the_wait_obeys_the_settings_of_the_step(
    client: httpx.AsyncClient,
    client_of: ClientOf,
    stranger: httpx.AsyncClient,
    instance: Instance,
    suspend: Mapping[str, Any],
    status: int,
    named: str,
    of_member: int,
    level: str,
) -> None:
    member = await client_of("henri")
    waiting = await waiting_flow(instance, RUNS, suspend=suspend)
    job = waiting.job if level == "step" else waiting.flow
    answer = await stranger.post(await link(client, "resume", job))
    assert answer.status_code == status, answer.text
    assert named in answer.text
    assert (await member.post(await link(client, "resume", job, 1))).status_code == of_member


async def test_an_answer_to_the_whole_flow_obeys_the_waits_that_come_later(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, instance: Instance
) -> None:
    later = {"required_events": 1, "user_auth_required": True}
    modules = [*two_steps()[:1], step("b", suspend=later), step("c")]
    status = FlowStatus(step=1, modules=(*WAITS.modules, ModuleStatus()), phase=Phase.SUSPENDED, waits=1)
    flow = await push_flow(instance.database, modules, status=status)
    job = await push(instance.database, parent=flow, flow_step_id="a", step_attempt=0)
    refused(await stranger.post(await link(client, "resume", flow)), 401, "Only logged in users")
    assert (await stranger.post(await link(client, "resume", job))).status_code == 201


async def test_a_foreign_page_does_not_answer_with_the_visitors_name(
    client: httpx.AsyncClient, client_of: ClientOf, instance: Instance, stranger: httpx.AsyncClient
) -> None:
    member = await client_of("henri")
    stranger.cookies.set("token", member.headers["authorization"].removeprefix("Bearer "))
    waiting = await waiting_flow(instance, waits_under(user_auth_required=True))
    address = await link(client, "resume", waiting.job)
    for site in ("cross-site", "same-site"):
        answer = await stranger.get(address, headers={"sec-fetch-site": site})
        refused(answer, 401, "Only logged in users")
    answer = await stranger.post(f"{address}?token=x", headers={"sec-fetch-site": "cross-site"})
    refused(answer, 401, "Only logged in users")
    assert (await stranger.get(address, headers={"sec-fetch-site": "none"})).status_code == 201
    assert await waiting.told() == [approval(approver="henri")]


async def test_owners_answer_the_wait_in_force(client: httpx.AsyncClient, waiting: Waiting) -> None:
    answer = await client.post(f"{W}/jobs/flow/resume/{waiting.flow}", content="[1,  2]")
    assert answer.status_code == 201, answer.text
    assert await waiting.told() == [approval(approver="admin")]
    assert (await waiting.answers())[0].payload == "[1,  2]"
    again = await client.post(f"{W}/jobs/flow/resume/{waiting.flow}")
    refused(again, 400, "resume request already sent")
    # What an owner answers with is the link with number 0.
    refused(await client.post(await link(client, "resume", waiting.job)), 400, "already sent")


async def test_owners_answer_a_step_that_took_no_job(client: httpx.AsyncClient, instance: Instance) -> None:
    flow = await push_flow(instance.database, two_steps(), status=WAITS)
    assert (await client.post(f"{W}/jobs/flow/resume/{flow}", params={"payload": "WzFd"})).status_code == 201
    refused(await client.post(f"{W}/jobs/flow/resume/{flow}"), 400, "already sent")
    assert await Waiting(instance, flow, flow).told() == [approval(approver="admin")]


async def test_who_does_not_own_the_flow_needs_a_link(
    client: httpx.AsyncClient, client_of: ClientOf, stranger: httpx.AsyncClient, instance: Instance
) -> None:
    owner, writer, outsider = [await client_of(name) for name in ("owner", "writer", "outsider")]
    folder = {"name": "team", "owners": ["u/owner"], "extra_perms": {"u/owner": True, "u/writer": True}}
    assert (await client.post(f"{W}/folders/create", json=folder)).is_success
    flow = await push_flow(
        instance.database, two_steps(), status=WAITS, by="writer", runnable_path="f/team/flow"
    )
    async with instance.database.statement() as connection:
        # Deployed, as far as rights go; its definition stays with it.
        await connection.execute("UPDATE job SET kind = 'flow' WHERE id = $1", flow)
    for member, status in ((outsider, 403), (writer, 403), (stranger, 401), (owner, 201)):
        answer = await member.post(f"{W}/jobs/flow/resume/{flow}")
        assert answer.status_code == status, answer.text
    mine = await waiting_flow(instance, by="writer")
    refused(await outsider.post(f"{W}/jobs/flow/resume/{mine.flow}"), 403, "outsider")
    assert (await writer.post(f"{W}/jobs/flow/resume/{mine.flow}")).status_code == 201


async def test_owners_cannot_answer_where_nothing_waits(client: httpx.AsyncClient, waiting: Waiting) -> None:
    address = f"{W}/jobs/flow/resume"
    for status in (RUNS, PASSED):
        await waiting.moves(status)
        refused(await client.post(f"{address}/{waiting.flow}"), 400, "does not wait for approvals")
    await waiting.moves(WAITS)
    await end(waiting.instance.database, waiting.flow)
    refused(await client.post(f"{address}/{waiting.flow}"), 400, "not in a suspended state anymore")
    refused(await client.post(f"{address}/{uuid4()}"), 404)
    assert await waiting.answers() == []


async def test_a_wait_is_answered_by_a_token_or_by_its_owner(
    client: httpx.AsyncClient, client_of: ClientOf, stranger: httpx.AsyncClient, waiting: Waiting
) -> None:
    address = f"{W}/jobs_u/flow/resume_suspended"
    member = await client_of("henri")
    refused(await stranger.post(f"{address}/{waiting.flow}"), 401, "approval_token")
    refused(await member.post(f"{address}/{waiting.flow}"), 403, "henri")
    body = {"payload": {"p": 1}, "approved": False}
    assert (await client.post(f"{address}/{waiting.job}", json=body)).status_code == 201
    proof = await signature(client, waiting.flow)
    body = {"approval_token": proof}
    assert (await stranger.post(f"{address}/{waiting.flow}", json=body)).status_code == 201
    assert await waiting.told() == [
        approval(approver="admin", approved=False),
        approval(module=None),
    ]
    assert [answer.payload for answer in await waiting.answers()] == ['{"p":1}', "null"]
    refused(await stranger.post(f"{address}/{waiting.flow}", json=body), 400, "already sent")
