"""Who may answer a wait, with a link and without (compat facts, flows 2.7 and 6.D 51-53)."""

import pytest

from tests.integration.flows.approving import Stranger, resume_urls, signature, waiting_for
from tests.integration.flows.building import (
    Json,
    deploy_flow,
    flow,
    identity,
    modules_of,
    py,
    start_deployed,
    start_flow,
    static,
    step,
)
from tests.integration.flows.outside import Outside
from tests.integration.live_instance import Api, LiveInstance


def waiting(**suspend: object) -> Json:
    """A step that waits, and one that returns what it was told."""
    reads = py("return [r, rs, who]", r="resume", rs="resumes", who="approvers")
    return flow(step("a", py("return 'a'"), suspend={"required_events": 1, **suspend}), step("b", reads))


@pytest.fixture
def stranger(live: LiveInstance) -> Stranger:
    return Stranger(live)


async def test_the_owner_resumes_without_a_link(api: Api) -> None:
    job_id = await start_flow(api, waiting())
    await waiting_for(api, job_id, "b")
    answer = await api.post(f"jobs/flow/resume/{job_id}", {"by": "owner"})
    assert answer.status_code == 201, answer.text
    assert (await api.ended(job_id))["result"] == [{"by": "owner"}, [{"by": "owner"}], ["admin"]]
    late = await api.post(f"jobs/flow/resume/{job_id}", {})
    assert 400 <= late.status_code < 500


async def test_a_flow_that_does_not_wait_cannot_be_resumed_by_its_owner(api: Api, outside: Outside) -> None:
    outside.hold("a")
    job_id = await start_flow(api, flow(step("a", outside.step("visit('a')")), step("b", identity())))
    await outside.visited("a")
    assert 400 <= (await api.post(f"jobs/flow/resume/{job_id}", {})).status_code < 500
    outside.release("a")
    assert (await api.ended(job_id))["success"] is True


async def test_resuming_by_the_newest_call(api: Api) -> None:
    for approved, status in ((True, True), (False, False)):
        job_id = await start_flow(api, waiting())
        await waiting_for(api, job_id, "b")
        info = (await api.get(f"jobs_u/flow/approval_info/{job_id}")).json()
        assert (info["flow_id"], info["can_approve"]) == (job_id, True)
        body = {"payload": {"p": 1}, "approved": approved}
        answer = await api.post(f"jobs_u/flow/resume_suspended/{job_id}", body)
        assert answer.status_code in (200, 201), answer.text
        job = await api.ended(job_id)
        assert job["success"] is status
        assert job["result"] == (
            [{"p": 1}, [{"p": 1}], ["admin"]]
            if approved
            else {"error": {"name": "SuspendedDisapproved", "message": "Disapproved by admin"}}
        )


async def test_51_to_53_who_started_the_flow_may_be_barred_from_approving(
    live: LiveInstance, api: Api
) -> None:
    runner = await live.member("runner")
    rules = {"user_auth_required": True, "self_approval_disabled": True}
    await deploy_flow(runner, "u/runner/strict", waiting(**rules))
    await deploy_flow(
        runner, "u/runner/lenient", waiting(user_auth_required=True, self_approval_disabled=False)
    )
    strict, lenient = [await start_deployed(runner, f"u/runner/{name}") for name in ("strict", "lenient")]
    for job_id in (strict, lenient):
        await waiting_for(runner, job_id, "b")
    conditions = (await runner.job(strict))["flow_status"]["approval_conditions"]
    assert conditions == {
        "user_auth_required": True,
        "user_groups_required": [],
        "self_approval_disabled": True,
    }
    refused = await runner.post(f"jobs/flow/resume/{strict}", {})
    assert refused.status_code == 403
    assert (await runner.post(f"jobs/flow/resume/{lenient}", {})).status_code == 201
    assert (await api.post(f"jobs/flow/resume/{strict}", {})).status_code == 201
    assert (await runner.ended(strict))["result"][2] == ["admin"]
    assert (await runner.ended(lenient))["result"][2] == ["runner"]


async def test_a_wait_for_logged_in_users_refuses_strangers(api: Api, stranger: Stranger) -> None:
    job_id = await start_flow(api, waiting(user_auth_required=True))
    urls = await resume_urls(api, await waiting_for(api, job_id, "b"))
    refused = await stranger.follow(urls["resume"])
    assert refused.status_code == 401
    assert "Only logged in users can approve this flow step" in refused.text
    assert modules_of(await api.job(job_id))["b"]["count"] == 1
    await api.cancel(job_id)


async def test_a_wait_for_a_group_takes_answers_of_its_members_only(live: LiveInstance, api: Api) -> None:
    member, other = await live.member("inside"), await live.member("beside")
    for path, body in (
        ("groups/create", {"name": "approvers", "summary": ""}),
        ("groups/adduser/approvers", {"username": "inside"}),
    ):
        assert (await api.post(path, body)).status_code in (200, 201)
    rules = {"user_auth_required": True, "user_groups_required": static(["approvers"])}
    job_id = await start_flow(api, waiting(**rules))
    asks = await waiting_for(api, job_id, "b")
    proof = await signature(api, asks)
    refused = await other.post(f"jobs_u/resume/{asks}/0/{proof}", "beside")
    assert refused.status_code == 403
    accepted = await member.post(f"jobs_u/resume/{asks}/0/{proof}", "inside")
    assert accepted.status_code == 201, accepted.text
    assert (await api.ended(job_id))["result"][:2] == ["inside", ["inside"]]
