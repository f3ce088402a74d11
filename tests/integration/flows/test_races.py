"""Things that happen to flows at the same moment."""

import asyncio

from tests.integration.flows.approving import Stranger, resume_urls, waiting_for
from tests.integration.flows.building import (
    Json,
    branch,
    branch_all,
    children,
    flow,
    identity,
    loop,
    modules_of,
    py,
    result_of,
    run_flow,
    start_flow,
    step,
)
from tests.integration.flows.outside import Outside
from tests.integration.live_instance import Api, LiveInstance

ITEM = "flow_input.iter.value"


async def test_many_flows_at_once(api: Api) -> None:
    definition = flow(
        step("a", py("return n", n="flow_input.n")),
        step("l", loop("[1, 2]", step("b", py("return n * m", n=ITEM, m="results.a")))),
        step("z", py("return sum(l)", l="results.l")),
    )
    results = await asyncio.gather(*(result_of(api, definition, {"n": n}) for n in range(40)))
    assert results == [3 * n for n in range(40)]


async def test_approvals_at_the_same_moment_all_count(live: LiveInstance, api: Api) -> None:
    reads = py("return [sorted(rs), len(who)]", rs="resumes", who="approvers")
    waits = step("a", py("return 1"), suspend={"required_events": 12})
    job_id = await start_flow(api, flow(waits, step("b", reads)))
    asks = await waiting_for(api, job_id, "b")
    stranger = Stranger(live)
    urls = [(await resume_urls(api, asks, number))["resume"] for number in range(12)]
    answers = await asyncio.gather(*(stranger.follow(url, number) for number, url in enumerate(urls)))
    assert {answer.status_code for answer in answers} == {201}
    assert (await api.ended(job_id))["result"] == [list(range(12)), 12]


async def test_one_link_followed_many_times_at_once_counts_once(live: LiveInstance, api: Api) -> None:
    waits = step("a", py("return 1"), suspend={"required_events": 2})
    job_id = await start_flow(api, flow(waits, step("b", py("return rs", rs="resumes"))))
    asks = await waiting_for(api, job_id, "b")
    stranger = Stranger(live)
    url = (await resume_urls(api, asks, 0))["resume"]
    answers = await asyncio.gather(*(stranger.follow(url, "first") for _ in range(8)))
    assert [answer.status_code for answer in answers].count(201) == 1
    last = (await resume_urls(api, asks, 1))["resume"]
    assert (await stranger.follow(last, "second")).status_code == 201
    assert (await api.ended(job_id))["result"] == ["first", "second"]


async def test_an_approval_and_a_disapproval_at_once_leave_one_ending(live: LiveInstance, api: Api) -> None:
    stranger = Stranger(live)
    definition = flow(
        step("a", py("return 1"), suspend={"required_events": 1}), step("b", py("return 'approved'"))
    )
    for _ in range(5):
        job_id = await start_flow(api, definition)
        asks = await waiting_for(api, job_id, "b")
        yes, no = (await resume_urls(api, asks, 0))["resume"], (await resume_urls(api, asks, 1))["cancel"]
        await asyncio.gather(stranger.follow(yes), stranger.follow(no))
        job = await api.ended(job_id)
        if job["success"]:
            assert job["result"] == "approved"
        else:
            assert job["result"]["error"]["name"] == "SuspendedDisapproved"


async def test_an_approval_and_a_cancellation_at_once_leave_one_ending(live: LiveInstance, api: Api) -> None:
    stranger = Stranger(live)
    definition = flow(
        step("a", py("return 1"), suspend={"required_events": 1}), step("b", py("return 'approved'"))
    )
    for _ in range(5):
        job_id = await start_flow(api, definition)
        link = (await resume_urls(api, await waiting_for(api, job_id, "b")))["resume"]
        await asyncio.gather(stranger.follow(link), api.cancel(job_id))
        job = await api.ended(job_id)
        assert job["canceled"] is (job["result"] != "approved")
        for each in await children(api, job_id):
            assert (await api.ended(each["id"]))["type"] == "CompletedJob"


async def test_flows_cancelled_at_any_moment_end_with_all_they_started(api: Api) -> None:
    body = branch_all(
        branch(step("b", py("return 1"))), branch(step("c", identity()), step("d", py("return 2")))
    )
    definition = flow(step("l", loop(list(range(20)), step("n", body), parallel=True)), step("z", identity()))
    jobs = [await start_flow(api, definition) for _ in range(6)]
    for job_id in jobs:
        assert (await api.cancel(job_id)).status_code == 200
    for job_id in jobs:
        job = await api.ended(job_id)
        assert job["canceled"] or job["success"]
        for iteration in await children(api, job_id):
            assert (await api.ended(iteration["id"]))["type"] == "CompletedJob"
            for below in await children(api, iteration["id"]):
                assert (await api.ended(below["id"]))["type"] == "CompletedJob"


async def test_iterations_that_end_at_the_same_moment_are_counted_each(api: Api, outside: Outside) -> None:
    names = [str(n) for n in range(8)]
    outside.hold(*names)
    body = outside.step("visit(n)\nreturn n", n=ITEM)
    definition = flow(step("l", loop(names, step("b", body), step("i", identity()), parallel=True)))
    job_id = await start_flow(api, definition)
    await outside.visited(*names)
    outside.release(*names)
    job = await api.ended(job_id)
    assert job["result"] == names
    assert modules_of(job)["l"]["flow_jobs_success"] == [True] * 8


async def test_states_written_from_outside_and_inside_at_once(api: Api, outside: Outside) -> None:
    outside.hold("go")
    body = """
    import os, wmill
    path = f"/w/main/jobs/flow/user_states/{os.environ['WM_ROOT_FLOW_JOB_ID']}/n/increment"
    visit("go")
    for _ in range(10):
        wmill.Windmill().post(path, json={"by": 1})
    """
    job_id = await start_flow(api, flow(step("a", outside.step(body))))
    await outside.visited("go")
    outside.release("go")
    path = f"jobs/flow/user_states/{job_id}/n/increment"
    answers = await asyncio.gather(*(api.post(path, {"by": 10}) for _ in range(10)))
    assert {answer.status_code for answer in answers} <= {200, 404}
    counted = sum(10 for answer in answers if answer.status_code == 200)
    job = await api.ended(job_id)
    assert job["flow_status"]["user_states"] == {"n": 10 + counted}


async def test_two_workers_share_the_steps_of_a_flow(live: LiveInstance, api: Api, outside: Outside) -> None:
    names = [str(n) for n in range(12)]
    outside.hold(*names)
    value: Json = outside.step("visit(n)\nreturn n", n=ITEM)
    async with live.worker("beside"):
        job_id = await start_flow(
            api, flow(step("l", loop(names, step("b", value), parallel=True)), step("z", identity()))
        )
        await outside.visited(*names)
        outside.release(*names)
        assert (await api.ended(job_id))["result"] == names


async def test_a_flow_of_every_kind_of_step_again_and_again(api: Api) -> None:
    inner = loop(
        [1, 2], step("c", py("return n * m", n=ITEM, m="results.a")), step("d", identity()), parallel=True
    )
    definition = flow(
        step("a", py("return 3")),
        step(
            "b",
            branch_all(
                branch(step("e", inner)), branch(step("f", loop([4], step("g", py("return n", n=ITEM)))))
            ),
        ),
        step("z", py("return [b, a]", b="results.b", a="results.a")),
    )
    for _ in range(5):
        job = await run_flow(api, definition)
        assert job["result"] == [[[3, 6], [4]], 3]
