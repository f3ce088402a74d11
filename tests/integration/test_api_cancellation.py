"""Ending jobs before their time, over HTTP and by going away."""

import asyncio
from uuid import uuid4

import httpx
import pytest

from tests.integration.live_instance import Api, LiveInstance, eventually

SLEEPS = """
import time
def main():
    print("asleep", flush=True)
    time.sleep(60)
"""


async def test_a_waiting_job_is_cancelled_at_once(api: Api) -> None:
    job_id = await api.start(SLEEPS, scheduled_in_secs=3600)
    answer = await api.post(f"jobs_u/queue/cancel/{job_id}", {"reason": "changed my mind"})
    assert (answer.status_code, answer.text) == (200, job_id)
    job = await api.job(job_id)
    assert (job["type"], job["success"], job["canceled"], job["canceled_by"], job["canceled_reason"]) == (
        "CompletedJob",
        False,
        True,
        "admin",
        "changed my mind",
    )
    assert job["result"] == {
        "error": {
            "name": "Canceled",
            "message": "Job canceled: changed my mind by admin",
            "reason": "changed my mind",
            "canceler": "admin",
        }
    }
    assert job["duration_ms"] == 0


@pytest.mark.parametrize("call", ["cancel", "force_cancel"])
async def test_a_running_job_is_killed(api: Api, call: str) -> None:
    job_id = await api.start(SLEEPS)
    await api.printed(job_id, "asleep")
    answer = await api.http.post(f"/api/w/main/jobs_u/queue/{call}/{job_id}")
    assert (answer.status_code, answer.text) == (200, job_id)
    job = await api.ended(job_id)
    assert (job["canceled"], job["canceled_reason"], job["success"]) == (True, "unexplicited reasons", False)
    assert job["result"]["error"]["name"] == "Canceled"
    assert job["duration_ms"] < 30_000
    assert job["logs"] == "asleep\n"
    listed = (await api.get("jobs/completed/list", status="canceled")).json()
    assert job_id in [entry["id"] for entry in listed]


async def test_a_job_that_ignores_its_end_ends_all_the_same(api: Api) -> None:
    code = """
    import signal, subprocess, time
    def main():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        subprocess.Popen(["sleep", "60"])
        print("deaf", flush=True)
        time.sleep(60)
    """
    job_id = await api.start(code)
    await api.printed(job_id, "deaf")
    await api.cancel(job_id)
    assert (await api.ended(job_id))["canceled"] is True


async def test_what_has_ended_or_never_was_cannot_be_cancelled(api: Api) -> None:
    job = await api.run("def main(): return 1")
    answer = await api.cancel(job["id"])
    assert (answer.status_code, answer.text) == (200, f"queued job id {job['id']} is already completed")
    assert (await api.job(job["id"]))["success"] is True
    unknown = uuid4()
    answer = await api.cancel(str(unknown))
    assert (answer.status_code, answer.text) == (404, f"Not found: queued job id {unknown} does not exist")


async def test_children_end_with_their_parent(api: Api) -> None:
    parent = await api.start(SLEEPS)
    await api.printed(parent, "asleep")
    running = await api.start(SLEEPS, parent_job=parent)
    waiting = await api.start(SLEEPS, parent_job=running, scheduled_in_secs=3600)
    beside = await api.start(SLEEPS, scheduled_in_secs=3600)
    await api.printed(running, "asleep")
    await api.cancel(parent, "all of it")
    for job_id in (parent, running, waiting):
        assert (await api.ended(job_id))["canceled_reason"] == "all of it"
    assert (await api.job(beside))["type"] == "QueuedJob"
    await api.cancel(beside)


async def test_children_end_with_a_parent_that_has_ended_already(api: Api) -> None:
    parent = (await api.run("def main(): return 1"))["id"]
    child = await api.start(SLEEPS, parent_job=parent, scheduled_in_secs=3600)
    assert "already completed" in (await api.cancel(parent)).text
    assert (await api.ended(child))["canceled"] is True


async def test_a_selection_is_cancelled(live: LiveInstance, api: Api) -> None:
    henri = await live.member("henri")
    own = await henri.start(SLEEPS, scheduled_in_secs=3600)
    foreign = await api.start(SLEEPS, scheduled_in_secs=3600)
    ended = (await henri.run("def main(): return 1"))["id"]
    selection = [own, foreign, ended, str(uuid4())]
    answer = await henri.post("jobs/queue/cancel_selection", selection)
    assert (answer.status_code, answer.json()) == (200, [own])
    assert (await henri.job(own))["canceled_reason"] == "cancel all"
    assert (await api.job(foreign))["type"] == "QueuedJob"
    await api.cancel(foreign)


async def test_a_client_that_goes_away_cancels_what_it_waits_for(live: LiveInstance, api: Api) -> None:
    await api.deploy("u/admin/awaited", SLEEPS)

    async def running() -> list[str]:
        listed = (
            await api.get("jobs/queue/list", script_path_exact="u/admin/awaited", job_kinds="script")
        ).json()
        return [entry["id"] for entry in listed if entry["running"]]

    async def is_running() -> bool:
        return bool(await running())

    for method, query in (("POST", {}), ("GET", {"payload": "e30"})):
        async with httpx.AsyncClient(base_url=live.url, headers=api.http.headers) as leaving:
            path = "/api/w/main/jobs/run_wait_result/p/u/admin/awaited"
            waiting = asyncio.create_task(leaving.request(method, path, params=query, timeout=60))
            await eventually(is_running)
            (job_id,) = await running()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        job = await api.ended(job_id)
        assert (job["canceled"], job["canceled_reason"]) == (True, "http connection broke")


async def test_a_cancelled_dependency_job_leaves_its_words_at_the_script(idle: LiveInstance) -> None:
    api = idle.api
    script_hash = await api.deploy("u/admin/unlocked", "def main(): return 1")
    (job,) = (await api.get("jobs/queue/list", job_kinds="dependencies")).json()
    await api.cancel(job["id"], "not now")
    status = (await api.get(f"scripts/deployment_status/h/{script_hash}")).json()
    assert status["lock"] is None
    assert "not now" in status["lock_error_logs"]


async def test_an_operator_may_cancel_what_it_started(live: LiveInstance, api: Api) -> None:
    operator = await live.member("olga", "operator")
    await live.folder("operated", u_olga=False)
    await api.deploy("f/operated/sleeps", SLEEPS)
    job_id = (await operator.post("jobs/run/p/f/operated/sleeps", {}, scheduled_in_secs=3600)).text
    assert (await operator.cancel(job_id)).text == job_id
