"""Waiting for approvals: who may give them, how, how often, and what becomes of them (compat facts, flows 2.7 and 6.D)."""

import pytest

from tests.integration.flows.approving import (
    Stranger,
    approve,
    approvers_of,
    misses,
    resume_urls,
    signature,
    waiting_for,
)
from tests.integration.flows.building import (
    Json,
    flow,
    loop,
    module_comes_to,
    modules_of,
    py,
    start_flow,
    step,
)
from tests.integration.flows.outside import Outside
from tests.integration.live_instance import Api, LiveInstance

WAIT = {"required_events": 1}
SEEN = {"r": "resume", "rs": "resumes", "who": "approvers"}
READS = py("return [r, rs, who]", **SEEN)


def waiting(**suspend: object) -> Json:
    """A step that waits, and one that returns what it was told."""
    return flow(step("a", py("return 'a'"), suspend={**WAIT, **suspend}), step("b", READS))


@pytest.fixture
def stranger(live: LiveInstance) -> Stranger:
    return Stranger(live)


async def test_a_flow_waits_until_somebody_approves(api: Api, stranger: Stranger) -> None:
    job_id = await start_flow(api, waiting())
    asks = await waiting_for(api, job_id, "b")
    job = await api.job(job_id)
    assert (job["type"], job["suspend"]) == ("QueuedJob", 1)
    assert job["suspend_until"] > job["created_at"]
    assert modules_of(job)["b"] == {"type": "WaitingForEvents", "id": "b", "count": 1, "job": asks}
    urls = await resume_urls(api, asks)
    answer = await stranger.follow(urls["resume"], {"yes": True})
    assert answer.status_code == 201, answer.text
    job = await api.ended(job_id)
    assert job["result"] == [{"yes": True}, [{"yes": True}], ["anonymous"]]
    assert approvers_of(job, "a") == [(0, "anonymous")]


async def test_the_links_name_job_number_and_approver(live: LiveInstance, api: Api) -> None:
    job_id = await start_flow(api, waiting())
    asks = await waiting_for(api, job_id, "b")
    proof = await signature(api, asks, 7, approver="ruben")
    assert await resume_urls(api, asks, 7, approver="ruben") == {
        "approvalPage": f"{live.url}/approve/main/{asks}/7/{proof}?approver=ruben",
        "resume": f"{live.url}/api/w/main/jobs_u/resume/{asks}/7/{proof}?approver=ruben",
        "cancel": f"{live.url}/api/w/main/jobs_u/cancel/{asks}/7/{proof}?approver=ruben",
    }
    assert proof != await signature(api, asks, 7)
    assert proof != await signature(api, asks, 8, approver="ruben")
    await api.cancel(job_id)


async def test_48_an_approval_from_the_step_itself_and_one_from_outside(api: Api, stranger: Stranger) -> None:
    body = """
    import os, wmill
    client, job = wmill.Windmill(), os.environ["WM_JOB_ID"]
    proof = client.get(f"/w/main/jobs/job_signature/{job}/0", params={"approver": "ruben"}).text
    client.post(f"/w/main/jobs_u/resume/{job}/0/{proof}?approver=ruben", json="from job")
    return n + 1
    """
    second = py(
        "return {'n': n, 'resume': resume, 'resumes': resumes}",
        n="results.a",
        resume="resume",
        resumes="resumes",
    )
    last = py("return {'last': last, 'resume': resume, 'resumes': resumes}", last="results.b", resume="resume",
              resumes="resumes")  # fmt: skip
    definition = flow(
        step("a", py(body, n="flow_input.n"), suspend=WAIT), step("b", second, suspend=WAIT), step("c", last)
    )
    job_id = await start_flow(api, definition, {"n": 2})
    asks = await waiting_for(api, job_id, "c")
    proof = await signature(api, asks, approver="ruben")
    link = f"/api/w/main/jobs_u/resume/{asks}/0/{proof}?approver=ruben"
    assert (await stranger.get(link, "from test")).status_code == 201
    job = await api.ended(job_id)
    assert job["result"] == {
        "last": {"n": 3, "resume": "from job", "resumes": ["from job"]},
        "resume": "from test",
        "resumes": ["from test"],
    }
    assert approvers_of(job, "a") == approvers_of(job, "b") == [(0, "ruben")]


async def test_49_a_disapproval_from_the_step_itself(api: Api, outside: Outside) -> None:
    body = """
    import os, wmill
    client, job = wmill.Windmill(), os.environ["WM_JOB_ID"]
    proof = client.get(f"/w/main/jobs/job_signature/{job}/0", params={"approver": "ruben"}).text
    client.post(f"/w/main/jobs_u/cancel/{job}/0/{proof}?approver=ruben", json="no")
    """
    definition = flow(
        step("a", py(body), suspend=WAIT),
        step("b", outside.step("visit('b')")),
        failure_module=step("failure", outside.step("visit('failure')")),
    )
    job = await api.ended(await start_flow(api, definition))
    assert (job["success"], job["canceled"]) == (False, False)
    assert job["result"] == {"error": {"name": "SuspendedDisapproved", "message": "Disapproved by ruben"}}
    assert outside.visits == []


async def test_50_a_disapproval_after_the_wait_began(api: Api, stranger: Stranger) -> None:
    job_id = await start_flow(api, waiting())
    urls = await resume_urls(api, await waiting_for(api, job_id, "b"))
    assert (await stranger.follow(urls["cancel"])).status_code == 201
    job = await api.ended(job_id)
    assert job["result"] == {"error": {"name": "SuspendedDisapproved", "message": "Disapproved by unknown"}}
    assert job["success"] is False


async def test_an_approval_before_the_wait_counts(api: Api, outside: Outside, stranger: Stranger) -> None:
    outside.hold("a")
    definition = flow(step("a", outside.step("return visit('a')"), suspend=WAIT), step("b", READS))
    job_id = await start_flow(api, definition)
    await outside.visited("a")
    running = await module_comes_to(api, job_id, "a", "InProgress")
    urls = await resume_urls(api, running["job"])
    assert (await stranger.follow(urls["resume"], "early")).status_code == 201
    outside.release("a")
    assert (await api.ended(job_id))["result"] == ["early", ["early"], ["anonymous"]]


@pytest.mark.parametrize("early", [True, False])
async def test_an_approval_of_the_flow_as_a_whole(
    api: Api, outside: Outside, stranger: Stranger, early: bool
) -> None:
    outside.hold("a")
    definition = flow(step("a", outside.step("return visit('a')"), suspend=WAIT), step("b", READS))
    job_id = await start_flow(api, definition)
    await outside.visited("a")
    running = (await module_comes_to(api, job_id, "a", "InProgress"))["job"]
    if not early:
        outside.release("a")
        await waiting_for(api, job_id, "b")
    urls = await resume_urls(api, running, 3, flow_level="true")
    assert job_id in urls["resume"]
    assert (await stranger.follow(urls["resume"], 1)).status_code == 201
    outside.release("a")
    assert (await api.ended(job_id))["result"] == [1, [1], ["anonymous"]]


async def test_several_approvals_come_in_their_order(api: Api, stranger: Stranger) -> None:
    job_id = await start_flow(api, waiting(required_events=3))
    asks = await waiting_for(api, job_id, "b")
    for number, (approver, left) in enumerate((("henri", 2), ("petra", 1), ("olga", 0))):
        urls = await resume_urls(api, asks, number, approver=approver)
        assert (await stranger.follow(urls["resume"], number * 10)).status_code == 201
        if left:
            await misses(api, job_id, left)
            assert modules_of(await api.job(job_id))["b"]["count"] == 3
    job = await api.ended(job_id)
    assert job["result"] == [20, [0, 10, 20], ["henri", "petra", "olga"]]
    assert approvers_of(job, "a") == [(0, "henri"), (1, "petra"), (2, "olga")]


async def test_an_answer_counts_once(api: Api, stranger: Stranger) -> None:
    job_id = await start_flow(api, waiting(required_events=2))
    asks = await waiting_for(api, job_id, "b")
    urls = await resume_urls(api, asks, 1)
    assert (await stranger.follow(urls["resume"])).status_code == 201
    again = await stranger.follow(urls["resume"])
    assert 400 <= again.status_code < 500
    assert "resume request already sent" in again.text
    await misses(api, job_id, 1)
    await api.cancel(job_id)


async def test_a_wrong_signature_is_refused(api: Api, stranger: Stranger) -> None:
    job_id = await start_flow(api, waiting())
    asks = await waiting_for(api, job_id, "b")
    proof = await signature(api, asks, 0, approver="henri")
    for answer in (
        await stranger.answer("resume", asks, "00" * 32),
        await stranger.answer("cancel", asks, "00" * 32),
        await stranger.answer("resume", asks, "no hex"),
        await stranger.answer("resume", asks, proof),
        await stranger.answer("resume", asks, proof, approver="petra"),
        await stranger.answer("resume", asks, proof, resume_id=1, approver="henri"),
        await stranger.answer("resume", job_id, proof, approver="henri"),
    ):
        assert 400 <= answer.status_code < 500
        assert "Invalid signature" in answer.text
    assert modules_of(await api.job(job_id))["b"]["count"] == 1
    assert (await stranger.answer("resume", asks, proof, approver="henri")).status_code == 201
    assert (await api.ended(job_id))["result"] == [None, [None], ["henri"]]


async def test_an_answer_after_the_end_is_refused(api: Api, stranger: Stranger) -> None:
    job_id = await start_flow(api, waiting())
    asks = await waiting_for(api, job_id, "b")
    for number in range(2):
        urls = await resume_urls(api, asks, number)
        answer = await stranger.follow(urls["resume"])
        await api.ended(job_id)
        if number == 0:
            assert answer.status_code == 201
        else:
            assert 400 <= answer.status_code < 500
    assert (await stranger.follow(urls["cancel"])).status_code >= 400
    assert (await api.job(job_id))["success"] is True


async def test_nobody_answers_in_time(api: Api, outside: Outside) -> None:
    definition = waiting(timeout=1) | {"failure_module": step("failure", outside.step("visit('failure')"))}
    job = await api.ended(await start_flow(api, definition))
    assert (job["success"], job["canceled"]) == (False, False)
    assert job["result"] == {
        "error": {"name": "SuspendedTimedOut", "message": "Timed out waiting to be resumed"}
    }
    assert outside.visits == []


async def test_going_on_when_nobody_answers(api: Api) -> None:
    job = await api.ended(await start_flow(api, waiting(timeout=1, continue_on_disapprove_timeout=True)))
    error = {"error": {"name": "SuspendedTimedOut", "message": "Timed out waiting to be resumed"}}
    assert (job["success"], job["result"]) == (True, [error, [error], []])


async def test_going_on_when_somebody_disapproves(api: Api, stranger: Stranger) -> None:
    job_id = await start_flow(api, waiting(required_events=2, continue_on_disapprove_timeout=True))
    asks = await waiting_for(api, job_id, "b")
    assert (
        await stranger.follow((await resume_urls(api, asks, 0, approver="henri"))["resume"], 1)
    ).status_code == 201
    assert (
        await stranger.follow((await resume_urls(api, asks, 1, approver="petra"))["cancel"])
    ).status_code == 201
    job = await api.ended(job_id)
    resume, resumes, _ = job["result"]
    error = {"error": {"name": "SuspendedDisapproved", "message": "Disapproved by petra"}}
    assert (job["success"], resume, resumes) == (True, error, [1, error])


async def test_the_wait_of_the_last_step_takes_effect(live: LiveInstance, api: Api) -> None:
    job_id = await start_flow(api, flow(step("a", py("return 5"), suspend=WAIT)))
    assert (await approve(live, job_id, "a-v")).status_code == 201
    job = await api.ended(job_id)
    assert (job["result"], [module["id"] for module in job["flow_status"]["modules"]]) == (5, ["a", "a-v"])


async def test_only_the_next_step_is_told(live: LiveInstance, api: Api) -> None:
    definition = waiting()
    definition["modules"].append(step("c", READS))
    job_id = await start_flow(api, definition)
    await approve(live, job_id, "b", 1)
    assert (await api.ended(job_id))["result"] == [None, [], []]


async def test_each_iteration_waits_for_its_own_approval(live: LiveInstance, api: Api) -> None:
    body = [step("b", py("return n", n="flow_input.iter.value"), suspend=WAIT), step("c", py("return [p, r]", p="results.b",
            r="resume"))]  # fmt: skip
    job_id = await start_flow(api, flow(step("a", loop([1, 2], *body))))
    for number in (0, 1):
        iteration = await _iteration(api, job_id, number)
        assert (await approve(live, iteration, "c", f"yes {number}")).status_code == 201
    assert (await api.ended(job_id))["result"] == [[1, "yes 0"], [2, "yes 1"]]


async def _iteration(api: Api, job_id: str, number: int) -> str:
    while True:
        module = await module_comes_to(api, job_id, "a", "InProgress")
        if len(module["flow_jobs"]) > number:
            return str(module["flow_jobs"][number])


async def test_what_a_link_shows(api: Api, stranger: Stranger) -> None:
    job_id = await start_flow(api, waiting(required_events=2))
    asks = await waiting_for(api, job_id, "b")
    await stranger.follow((await resume_urls(api, asks, 0, approver="henri"))["resume"])
    proof = await signature(api, asks, 1)
    answer = await stranger.get(f"/api/w/main/jobs_u/get_flow/{asks}/1/{proof}")
    assert answer.status_code == 200, answer.text
    assert answer.json()["job"]["id"] == job_id
    assert answer.json()["approvers"] == [{"resume_id": 0, "approver": "henri"}]
    assert (await stranger.get(f"/api/w/main/jobs_u/get_flow/{asks}/1/{'00' * 32}")).status_code >= 400
    await api.cancel(job_id)
