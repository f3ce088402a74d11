"""The database goes away under running jobs and waiting callers, and comes back: nothing is lost but time."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import httpx

from tests.chaos.conftest import Call, Serve
from tests.chaos.eventually import eventually
from tests.chaos.served_instance import ServedInstance
from tests.chaos.tolerant_client import TolerantClient

PRINTS_THROUGH_AN_OUTAGE = """
import time

def main():
    for line in range(60):
        print(line, flush=True)
        time.sleep(0.05)
    return "done"
"""
PRINTED = "".join(f"{line}\n" for line in range(60))
SHORT = "import time\n\ndef main():\n    time.sleep(1)\n    return 'done'\n"
END_SECS = 30.0


@asynccontextmanager
async def _outage(served: ServedInstance) -> AsyncIterator[None]:
    """The database is killed, and stays away until the block ends: its supervisor is held meanwhile."""
    database = await served.living("postmaster")
    served.signal(signal.SIGSTOP)
    try:
        database.send(signal.SIGKILL)
        yield
    finally:
        served.signal(signal.SIGCONT)


async def _refused(client: httpx.AsyncClient) -> None:
    """Return once the instance says by name that its database is away."""

    async def look() -> bool:
        answer = await client.get("/w/main/jobs/list")
        assert answer.status_code in (200, 503), answer.text
        return answer.status_code == 503 and "database" in answer.text

    await eventually(look, END_SECS, "the outage is told to callers")


async def _completed(served: ServedInstance, job_ids: list[UUID]) -> None:
    async def look() -> bool:
        rows = await served.ask("SELECT 1 FROM job_completed WHERE job_id = ANY ($1::uuid[])", job_ids)
        return len(rows) == len(job_ids)

    await eventually(look, END_SECS, "the jobs are completed")


async def test_jobs_that_run_through_an_outage_complete_with_their_whole_log(
    serve: Serve, call: Call
) -> None:
    served = serve()
    await served.start()
    client = call(served)
    jobs = [await client.launch("code", PRINTS_THROUGH_AN_OUTAGE) for _ in range(3)]
    for job_id in jobs:
        await client.runs(job_id)
    async with _outage(served), served.client() as http:
        await _refused(http)
    await _completed(served, jobs)
    for job_id in jobs:
        ended = await client.ended(job_id)
        assert (ended["success"], ended["result"]) == (True, "done"), ended
        log = await client.get(f"jobs_u/get_logs/{job_id}")
        assert log.text == PRINTED
    # Each ran once: a second attempt would have been a rescue. And nothing met the outage unprepared.
    for event in ("worker_lost", "lease_lost", "request_crashed", "job_not_completed", "process_died"):
        assert event not in served.log()
    assert await served.stop() == 0


async def test_a_synchronous_call_through_an_outage_gets_its_result_or_a_clear_refusal(
    serve: Serve, call: Call
) -> None:
    served = serve()
    await served.start()
    client = call(served)
    body = {"content": SHORT, "language": "python3", "lock": ""}
    async with served.client() as http:
        waiting = [
            asyncio.create_task(http.post("/w/main/jobs/run_wait_result/preview", json=body))
            for _ in range(3)
        ]
        await _three_run(served)
        (await served.living("postmaster")).send(signal.SIGKILL)
        answers = await asyncio.gather(*waiting)
    for answer in answers:
        if answer.status_code == 503:
            assert "database" in answer.text
        else:
            assert (answer.status_code, answer.json()) == (200, "done"), answer.text
    rows = await served.ask("SELECT id FROM job WHERE kind = 'preview'")
    await _completed(served, [row["id"] for row in rows])
    (ends,) = await served.ask("SELECT count(*) FILTER (WHERE status = 'success') AS good FROM job_completed")
    assert ends["good"] == 3
    assert (await client.ended(await client.launch("noop")))["success"] is True


async def _three_run(served: ServedInstance) -> None:
    async def look() -> bool:
        return len(await served.ask("SELECT 1 FROM job_queue WHERE state = 'running'")) == 3

    await eventually(look, END_SECS, "three jobs run")


async def test_a_worker_told_to_end_during_an_outage_ends_and_its_job_is_run_by_the_next(
    serve: Serve, call: Call
) -> None:
    served = serve("--drain-secs", "1")
    await served.start()
    client: TolerantClient = call(served)
    job_id = await client.launch("code", SHORT)
    await client.runs(job_id)
    worker = await served.living("worker-1")

    async def gone() -> bool:
        return worker.is_gone

    async with _outage(served), served.client() as http:
        await _refused(http)
        worker.send(signal.SIGTERM)
        await eventually(gone, END_SECS, "the worker has ended without its database")
    ended = await client.ended(job_id)
    assert (ended["success"], ended["result"]) == (True, "done")
