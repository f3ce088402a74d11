"""Answering the waits of flows by links: signatures, payloads, what is told to which flow, and when it is too late."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest

from millpond.engine.status import FlowStatus, ModuleState, ModuleStatus, Phase
from millpond.model.approvals import MAX_PAYLOAD_BYTES
from millpond.services.workspace_keys import WorkspaceKeys
from millpond.store.approvals import StoredApproval
from tests.conftest import ClientOf, Instance, client_with
from tests.integration.flow_trees import end, push, push_flow, token_of
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
)
from tests.refusals import refused


@pytest.fixture
async def waiting(instance: Instance) -> Waiting:
    return await waiting_flow(instance)


@pytest.fixture
async def stranger(instance: Instance) -> AsyncIterator[httpx.AsyncClient]:
    async with client_with(instance, None) as stranger:
        yield stranger


async def test_a_signature_is_what_windmill_makes(client: httpx.AsyncClient, waiting: Waiting) -> None:
    instance = waiting.instance
    key = await WorkspaceKeys(instance.database, instance.master_key).key_of("main")
    for number, approver in ((0, ""), (7, "ruben"), (2**32 - 1, "é b")):
        message = waiting.job.bytes + number.to_bytes(4, "big") + approver.encode()
        expected = hmac.new(key, message, hashlib.sha256).hexdigest()
        assert await signature(client, waiting.job, number, approver=approver) == expected


async def test_the_addresses_of_a_link(client: httpx.AsyncClient, waiting: Waiting) -> None:
    proof = await signature(client, waiting.job, 5, approver="é b&c")
    answer = await client.get(f"{W}/jobs/resume_urls/{waiting.job}/5", params={"approver": "é b&c"})
    place = f"{waiting.job}/5/{proof}?approver=%C3%A9%20b%26c"
    assert answer.json() == {
        "approvalPage": f"http://test/approve/main/{place}",
        "resume": f"http://test{W}/jobs_u/resume/{place}",
        "cancel": f"http://test{W}/jobs_u/cancel/{place}",
    }
    assert await link(client, "resume", waiting.job, approver="") == await link(client, "resume", waiting.job)
    of_flow = await link(client, "resume", waiting.job, 9, flow_level="true")
    assert of_flow == await link(client, "resume", waiting.flow, 9)
    page = await client.get(await link(client, "approvalPage", waiting.job))
    assert page.status_code < 500


async def test_an_approval_is_kept_and_told(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, waiting: Waiting
) -> None:
    answer = await stranger.post(await link(client, "resume", waiting.job), content='{"b": 1.0,  "a": 1}')
    assert (answer.status_code, answer.headers["content-type"]) == (201, "text/plain; charset=utf-8")
    answer = await stranger.post(await link(client, "cancel", waiting.job, 1, approver="ruben"))
    assert answer.status_code == 201
    assert await waiting.told() == [approval(), approval(1, "ruben", approved=False)]
    assert await waiting.answers() == [
        StoredApproval("a", 0, 0, None, True, '{"b": 1.0,  "a": 1}'),
        StoredApproval("a", 0, 1, "ruben", False, "null"),
    ]


async def test_a_flow_that_is_told_is_taken_up(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, waiting: Waiting
) -> None:
    database = waiting.instance.database
    facts = "SELECT version, q.state FROM flow_status JOIN job_queue q USING (job_id) WHERE job_id = $1"
    async with database.statement() as connection:
        await connection.execute("UPDATE job_queue SET started_at = now() WHERE job_id = $1", waiting.flow)
        (before,) = await connection.fetch(facts, waiting.flow)
        assert (await stranger.get(await link(client, "resume", waiting.job))).status_code == 201
        (after,) = await connection.fetch(facts, waiting.flow)
    assert (before["state"], after["state"]) == ("waiting", "queued")
    assert after["version"] > before["version"]


PAYLOAD = '{"text":"???>>>é"}'
STANDARD = base64.b64encode(PAYLOAD.encode()).decode()
URL_SAFE = base64.urlsafe_b64encode(PAYLOAD.encode()).decode()


async def test_a_payload_in_the_address(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, waiting: Waiting
) -> None:
    assert "+" in STANDARD or "/" in STANDARD
    for number, packed in enumerate((STANDARD, URL_SAFE, URL_SAFE.rstrip("="))):
        address = await link(client, "resume", waiting.job, number)
        assert (await stranger.get(address, params={"payload": packed})).status_code == 201
    assert (
        await stranger.get(f"{await link(client, 'resume', waiting.job, 3)}?payload={STANDARD}")
    ).is_success
    assert (
        await stranger.post(await link(client, "resume", waiting.job, 4), params={"payload": STANDARD})
    ).is_success
    assert [answer.payload for answer in await waiting.answers()] == [PAYLOAD] * 5


@pytest.mark.parametrize(
    ("payload", "named"),
    [("***", "base64"), ("é", "base64"), (base64.b64encode(b"{").decode(), "invalid json"), ("AA==", "NUL")],
)
async def test_a_payload_that_is_no_json_is_refused(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, waiting: Waiting, payload: str, named: str
) -> None:
    refused(
        await stranger.get(await link(client, "resume", waiting.job), params={"payload": payload}), 400, named
    )
    refused(await stranger.post(await link(client, "resume", waiting.job), content="{"), 400, "invalid json")
    assert await waiting.answers() == []


async def test_a_payload_has_a_limit(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, waiting: Waiting
) -> None:
    address = await link(client, "resume", waiting.job)
    refused(
        await stranger.post(address, json="x" * MAX_PAYLOAD_BYTES), 413, "payload", str(MAX_PAYLOAD_BYTES)
    )
    assert (await stranger.post(address, json="x" * (MAX_PAYLOAD_BYTES - 2))).status_code == 201


async def test_a_link_answers_once(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, waiting: Waiting
) -> None:
    resume, cancel = [await link(client, verb, waiting.job) for verb in ("resume", "cancel")]
    answers = await asyncio.gather(*(stranger.post(resume) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] + [400] * 9
    await waiting.moves(PASSED)
    for address in (resume, cancel, await link(client, "resume", waiting.job, approver="henri")):
        refused(await stranger.post(address), 400, "resume request already sent")
    assert await waiting.told() == [approval()]


async def test_of_two_jobs_of_one_attempt_one_answers_with_a_number(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, waiting: Waiting
) -> None:
    other = await push(
        waiting.instance.database, parent=waiting.flow, flow_step_id="a", step_attempt=0, step_index=1
    )
    assert (await stranger.post(await link(client, "resume", waiting.job))).status_code == 201
    refused(await stranger.post(await link(client, "resume", other)), 400, "already sent")
    assert (await stranger.post(await link(client, "resume", other, 1))).status_code == 201


async def test_a_wrong_signature_says_nothing_else(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, waiting: Waiting
) -> None:
    proof = await signature(client, waiting.job, 0, approver="henri")
    wrong = "Bad request: Invalid signature"
    for verb in ("resume", "cancel", "get_flow"):
        for place in (
            f"main/jobs_u/{verb}/{waiting.job}/0/{'0' * 64}",
            f"main/jobs_u/{verb}/{waiting.job}/0/é",
            f"main/jobs_u/{verb}/{waiting.job}/0/{proof}",
            f"main/jobs_u/{verb}/{waiting.job}/0/{proof}?approver=petra",
            f"main/jobs_u/{verb}/{waiting.job}/1/{proof}?approver=henri",
            f"main/jobs_u/{verb}/{waiting.flow}/0/{proof}?approver=henri",
            f"main/jobs_u/{verb}/{waiting.job}/0/{proof.upper()}?approver=henri",
            f"main/jobs_u/{verb}/{uuid4()}/0/{proof}?approver=henri",
            f"none/jobs_u/{verb}/{waiting.job}/0/{proof}?approver=henri",
        ):
            answer = await stranger.get(f"/api/w/{place}")
            assert (answer.status_code, answer.text) == (400, wrong), place
    for place in (f"approval_info/{waiting.flow}?token={proof}", f"approval_info/{uuid4()}?token={proof}"):
        answer = await stranger.get(f"{W}/jobs_u/flow/{place}")
        assert (answer.status_code, answer.text) == (400, wrong)
    body = {"approval_token": proof}
    for job in (waiting.flow, waiting.job, uuid4()):
        answer = await stranger.post(f"{W}/jobs_u/flow/resume_suspended/{job}", json=body)
        assert (answer.status_code, answer.text) == (400, wrong)
    assert await waiting.answers() == []


async def test_a_link_of_another_workspace_is_wrong(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, waiting: Waiting
) -> None:
    await client.post("/api/workspaces/create", json={"id": "other", "name": "other"})
    address = (await link(client, "resume", waiting.job)).replace("/main/", "/other/")
    refused(await stranger.post(address), 400, "Invalid signature")


async def test_an_archived_workspace_takes_no_answers(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, waiting: Waiting
) -> None:
    address = await link(client, "resume", waiting.job)
    assert (await client.post("/api/w/main/workspaces/archive")).is_success
    refused(await stranger.post(address), 404, "Job not found")


async def test_numbers_and_names_have_limits(client: httpx.AsyncClient, waiting: Waiting) -> None:
    for number in (-1, 2**32, 10**30):
        refused(await client.get(f"{W}/jobs/job_signature/{waiting.job}/{number}"), 400, "0 to 4294967295")
    for name in ("x" * 256, "a\x00b"):
        answer = await client.get(f"{W}/jobs/job_signature/{waiting.job}/0", params={"approver": name})
        refused(answer, 400, "approver")


async def test_who_may_not_change_a_job_gets_no_link(
    client: httpx.AsyncClient, client_of: ClientOf, stranger: httpx.AsyncClient, waiting: Waiting
) -> None:
    member = await client_of("henri")
    for call in ("job_signature", "resume_urls"):
        refused(await member.get(f"{W}/jobs/{call}/{waiting.job}/0"), 403, "henri")
        refused(await client.get(f"{W}/jobs/{call}/{uuid4()}/0"), 404, "Job not found")
        refused(await stranger.get(f"{W}/jobs/{call}/{waiting.job}/0"), 401)
    made = await client.post("/api/users/tokens/create", json={"label": "t", "scopes": ["jobs:read"]})
    async with client_with(waiting.instance, made.text) as limited:
        refused(await limited.get(f"{W}/jobs/job_signature/{waiting.job}/0"), 403, "jobs:write")


async def test_a_step_makes_links_of_its_own(
    client_of: ClientOf, stranger: httpx.AsyncClient, instance: Instance
) -> None:
    await client_of("helper")
    flow = await push_flow(instance.database, two_steps(), status=RUNS)
    job = await push(instance.database, parent=flow, flow_step_id="a", step_attempt=0, by="helper")
    other = await waiting_flow(instance)
    async with client_with(instance, await token_of(instance, job)) as running:
        for level in ("false", "true"):
            address = await link(running, "resume", job, flow_level=level)
            assert (await stranger.post(address)).status_code == 201
        refused(await running.get(f"{W}/jobs/resume_urls/{other.job}/0"), 403)
    asked = Waiting(instance, flow, job)
    assert await asked.told() == [approval(), approval(module=None)]


async def test_an_answer_before_the_wait_counts(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, waiting: Waiting
) -> None:
    await waiting.moves(RUNS)
    assert (await stranger.post(await link(client, "resume", waiting.job))).status_code == 201
    assert (await stranger.post(await link(client, "resume", waiting.flow))).status_code == 201
    assert await waiting.told() == [approval(), approval(module=None)]


async def test_an_answer_after_the_wait_does_not(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, waiting: Waiting
) -> None:
    addresses = [await link(client, "resume", job) for job in (waiting.job, waiting.flow)]
    await waiting.moves(PASSED)
    for address in addresses:
        refused(await stranger.post(address), 400, "the flow is not in a suspended state anymore")
    await end(waiting.instance.database, waiting.flow)
    for address in addresses:
        refused(await stranger.post(address), 400, "the flow is not in a suspended state anymore")
    assert await waiting.answers() == []
    assert await waiting.told() == []


async def test_a_flow_that_is_being_canceled_hears_no_answers(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, waiting: Waiting
) -> None:
    await waiting.moves(FlowStatus(step=0, modules=RUNS.modules, phase=Phase.CANCELING))
    for job in (waiting.job, waiting.flow):
        answer = await stranger.post(await link(client, "resume", job))
        refused(answer, 400, "not in a suspended state anymore")


async def test_an_answer_to_an_attempt_that_failed_does_not_count(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, waiting: Waiting
) -> None:
    again = ModuleStatus(state=ModuleState.ACTIVE, attempt=1)
    await waiting.moves(FlowStatus(step=0, modules=(again, ModuleStatus()), phase=Phase.RUNNING))
    refused(await stranger.post(await link(client, "resume", waiting.job)), 400, "not in a suspended state")
    second = await push(waiting.instance.database, parent=waiting.flow, flow_step_id="a", step_attempt=1)
    assert (await stranger.post(await link(client, "resume", second))).status_code == 201
    assert (await waiting.told())[0]["attempt"] == 1


async def test_what_nothing_waits_for_cannot_be_approved(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, waiting: Waiting
) -> None:
    database = waiting.instance.database
    alone = await push(database)
    refused(await stranger.post(await link(client, "resume", alone)), 400, str(alone), "not part of a flow")
    refused(
        await client.get(f"{W}/jobs/resume_urls/{alone}/0", params={"flow_level": "true"}),
        400,
        "not part of a flow",
    )
    last = await push(database, parent=waiting.flow, flow_step_id="b", step_attempt=0)
    refused(
        await stranger.post(await link(client, "resume", last)), 400, "'b'", "does not wait for approvals"
    )
    plain = await push_flow(database, [step("a")])
    refused(await stranger.post(await link(client, "resume", plain)), 400, "The flow does not wait")


async def test_the_flow_around_a_step_is_told_and_no_other(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, instance: Instance
) -> None:
    branch = {"type": "branchone", "branches": [], "default": two_steps()}
    outer = await push_flow(
        instance.database,
        [{"id": "o", "value": branch, "suspend": {"required_events": 1}}, step("z")],
        status=RUNS,
    )
    body = await push_flow(
        instance.database,
        kind="flownode",
        parent=outer,
        flow_step_id="o",
        step_attempt=0,
        flow_branch=0,
        depth=1,
        status=WAITS,
    )
    inner = await push(instance.database, parent=body, flow_step_id="a", step_attempt=0, depth=2)
    around, within = Waiting(instance, outer, body), Waiting(instance, body, inner)
    assert (await stranger.post(await link(client, "resume", inner))).status_code == 201
    # A flow that runs is meant itself; once it has ended it is a step that may be approved.
    assert (await stranger.post(await link(client, "resume", body, 1))).status_code == 201
    assert await within.told() == [approval(), approval(1, module=None)]
    assert await around.told() == []
    await end(instance.database, body)
    assert (await stranger.post(await link(client, "resume", body, 2))).status_code == 201
    assert await around.told() == [approval(2, module="o")]


async def test_an_answer_and_the_end_of_the_flow_exclude_each_other(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, waiting: Waiting
) -> None:
    address = await link(client, "resume", waiting.job)
    async with waiting.instance.database.transaction() as ending:
        await ending.execute("UPDATE flow_status SET version = version + 1 WHERE job_id = $1", waiting.flow)
        await ending.execute("DELETE FROM job_queue WHERE job_id = $1", waiting.flow)
        answering = asyncio.create_task(stranger.post(address))
        assert not (await asyncio.wait({answering}, timeout=0.3))[0], "the answer waits for the turn"
    refused(await answering, 400, "the flow is not in a suspended state anymore")
    assert await waiting.answers() == []
