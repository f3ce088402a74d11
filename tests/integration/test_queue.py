"""What the queue promises: each job ends exactly once, whatever happens to the workers."""

import asyncio
from collections import Counter
from contextlib import suppress
from uuid import UUID, uuid4

import pytest

from millpond.model.jobs import Claim, Completion
from millpond.services.queue import MOST_RESCUES, Queue
from millpond.store.queue import LogChunk, WorkerRegistration
from tests.integration.live_instance import LiveInstance, eventually

SLEEPS = "import time\ndef main():\n    print('asleep', flush=True)\n    time.sleep(60)"
SHORT = "import time\ndef main():\n    print('on', flush=True)\n    time.sleep(.5)\n    return 1"
WAITS = """
import os, time
def main(gate):
    print("started", flush=True)
    while not os.path.exists(gate):
        time.sleep(0.01)
    return "done"
"""


def registration(name: str = "hand", tags: list[str] | None = None) -> WorkerRegistration:
    """A worker played by the test itself."""
    return WorkerRegistration(
        id=uuid4(),
        name=name,
        host="test",
        process_id=1,
        tags=tags or [],
        slots=1,
        version="0",
        sandbox="none",
    )


async def claim_one(queue: Queue, worker: UUID) -> Claim:
    """What a worker claims, which must be one job."""
    (claim,) = await queue.claim(worker, "process", None, 10, "none")
    return claim


def success(claim: Claim) -> Completion:
    return Completion(claim=claim, status="success", result="1")


async def expire(live: LiveInstance, worker: UUID) -> None:
    """Let the lease of a worker run out."""
    await live.execute("UPDATE worker SET lease_until = now() - interval '1 second' WHERE id = $1", worker)


@pytest.fixture
async def queue(idle: LiveInstance) -> Queue:
    return Queue(idle.database)


async def test_jobs_of_a_dead_worker_run_again_and_end_once(idle: LiveInstance, queue: Queue) -> None:
    dead, next_one = registration("dead"), registration("next")
    await queue.register(dead)
    await queue.register(next_one)
    job_id = await idle.api.start(SLEEPS)
    first = await claim_one(queue, dead.id)
    assert await queue.claim(next_one.id, "process", None, 10, "none") == []
    await expire(idle, dead.id)
    await eventually(lambda: was_rescued(idle, job_id))
    second = await claim_one(queue, next_one.id)
    assert (str(second.job_id), second.rescues) == (job_id, 1)
    assert second.lease_token > first.lease_token
    assert await queue.complete([success(first)]) == set()
    assert (await idle.api.job(job_id))["type"] == "QueuedJob"
    assert await queue.complete([success(second)]) == {second.job_id}
    assert await queue.complete([success(second)]) == set()
    assert (await idle.api.job(job_id))["result"] == 1


async def was_rescued(live: LiveInstance, job_id: str) -> bool:
    rows = await live.execute("SELECT rescues, state FROM job_queue WHERE job_id = $1", UUID(job_id))
    return [(row["rescues"] > 0, row["state"]) for row in rows] == [(True, "queued")]


async def test_a_dead_worker_claims_and_logs_nothing(idle: LiveInstance, queue: Queue) -> None:
    dead, next_one = registration("dead"), registration("next")
    await queue.register(dead)
    job_id = await idle.api.start(SLEEPS)
    old = await claim_one(queue, dead.id)
    await queue.append_logs([chunk(old, 0, "old")])
    assert await idle.api.logs(job_id) == "old"
    await idle.api.start(SLEEPS)
    await expire(idle, dead.id)
    assert await queue.claim(dead.id, "process", None, 10, "none") == []
    await queue.rescue()
    await queue.register(next_one)
    new = {claim.job_id: claim for claim in await queue.claim(next_one.id, "process", None, 10, "none")}
    assert await idle.api.logs(job_id) == ""
    await queue.append_logs([chunk(old, 1, "stale")])
    await queue.append_logs([chunk(new[old.job_id], 0, "new")])
    await queue.append_logs([chunk(old, 0, "stale"), chunk(new[old.job_id], 1, "er")])
    assert await idle.api.logs(job_id) == "newer"


def chunk(claim: Claim, number: int, content: str) -> LogChunk:
    return LogChunk(
        claim.workspace_id, claim.job_id, claim.lease_token, "log", number, number * len(content), content
    )


async def test_a_job_that_kills_its_workers_ends_by_name(idle: LiveInstance, queue: Queue) -> None:
    job_id = await idle.api.start(SLEEPS)
    for _ in range(MOST_RESCUES + 1):
        worker = registration(f"victim-{uuid4()}")
        await queue.register(worker)
        await claim_one(queue, worker.id)
        await expire(idle, worker.id)
        await queue.rescue()
    job = await idle.api.ended(job_id)
    assert (job["success"], job["result"]["error"]["name"]) == (False, "WorkerLost")
    assert "4 times in a row" in job["result"]["error"]["message"]


async def test_a_cancelled_job_of_a_dead_worker_ends_cancelled(idle: LiveInstance, queue: Queue) -> None:
    worker = registration()
    await queue.register(worker)
    job_id = await idle.api.start(SLEEPS)
    await claim_one(queue, worker.id)
    await idle.api.cancel(job_id, "too late")
    await expire(idle, worker.id)
    await queue.rescue()
    job = await idle.api.ended(job_id)
    assert (job["canceled"], job["canceled_reason"]) == (True, "too late")


async def test_a_lost_dependency_job_leaves_its_words_at_the_script(idle: LiveInstance, queue: Queue) -> None:
    script_hash = await idle.api.deploy("u/admin/lost", "def main(): pass")
    for _ in range(MOST_RESCUES + 1):
        worker = registration(f"victim-{uuid4()}")
        await queue.register(worker)
        await claim_one(queue, worker.id)
        await expire(idle, worker.id)
        await queue.rescue()
    status = (await idle.api.get(f"scripts/deployment_status/h/{script_hash}")).json()
    assert "worker died" in status["lock_error_logs"]


async def test_a_lease_renewed_meanwhile_is_not_taken(idle: LiveInstance, queue: Queue) -> None:
    worker = registration()
    await queue.register(worker)
    await idle.api.start(SLEEPS)
    await claim_one(queue, worker.id)
    assert await queue.heartbeat(worker.id, 0, draining=False) is not None
    await queue.rescue()
    held = await queue.heartbeat(worker.id, 0, draining=False)
    assert held is not None
    assert len(held) == 1


async def test_claims_come_by_priority_then_by_time(idle: LiveInstance, queue: Queue) -> None:
    await idle.api.deploy("u/admin/important", "def main(): pass", priority=90, lock="# py: 3.11\n")
    first = await idle.api.start(SLEEPS)
    second = await idle.api.start(SLEEPS)
    important = (await idle.api.post("jobs/run/p/u/admin/important", {})).text
    earlier = await idle.api.start(SLEEPS, scheduled_for="2020-01-01T00:00:00Z")
    await idle.api.start(SLEEPS, scheduled_in_secs=3600)
    worker = registration()
    await queue.register(worker)
    claimed = [
        str(claim.job_id)
        for _ in range(4)
        for claim in await queue.claim(worker.id, "process", None, 1, "none")
    ]
    known = {first, second, important, earlier}
    assert [job_id for job_id in claimed if job_id in known] == [important, earlier, first, second]


async def test_a_worker_takes_its_tags_only(idle: LiveInstance) -> None:
    other = await idle.api.start("def main(): return 1", tag="gpu")
    async with idle.worker(worker_tags="python3, cpu"):
        job = await idle.api.run("def main(): return 1", tag="cpu")
        assert job["success"] is True
        assert (await idle.api.job(other))["running"] is False
    async with idle.worker(worker_tags="gpu"):
        assert (await idle.api.ended(other))["success"] is True


async def test_a_worker_that_stops_gives_running_jobs_back(idle: LiveInstance) -> None:
    gate = idle.settings.data_dir / "gate"
    async with idle.worker(drain_secs=0):
        job_id = await idle.api.start(WAITS, {"gate": str(gate)})
        await idle.api.printed(job_id, "started")
    job = await idle.api.job(job_id)
    assert (job["type"], job["running"]) == ("QueuedJob", False)
    rows = await idle.execute("SELECT rescues FROM job_queue WHERE job_id = $1", UUID(job_id))
    assert [row["rescues"] for row in rows] == [0]
    await idle.api.cancel(job_id)


async def test_a_worker_that_stops_lets_short_jobs_end(idle: LiveInstance) -> None:
    async with idle.worker(drain_secs=20):
        job_id = await idle.api.start(SHORT)
        await idle.api.printed(job_id, "on")
    assert (await idle.api.job(job_id))["result"] == 1


async def test_a_worker_whose_lease_was_taken_drops_its_jobs_and_comes_back(idle: LiveInstance) -> None:
    async with idle.worker() as worker:
        lost = worker.id
        job_id = await idle.api.start(SLEEPS)
        await idle.api.printed(job_id, "asleep")
        await expire(idle, lost)
        await Queue(idle.database).rescue()

        async def came_back() -> bool:
            return worker.id != lost

        await eventually(came_back)
        await idle.api.running(job_id)
        await idle.api.printed(job_id, "asleep")
        assert (await idle.api.job(job_id))["worker"] == str(worker.id)
        await idle.api.cancel(job_id)
        assert (await idle.api.ended(job_id))["canceled"] is True
        assert (await idle.api.run("def main(): return 1"))["result"] == 1


async def test_a_claim_whose_answer_was_lost_is_given_back(idle: LiveInstance) -> None:
    async with idle.worker() as worker:
        await idle.api.run("def main(): return 1")
        job_id = await idle.api.start("def main(): return 2", tag="python3", scheduled_in_secs=3600)
        # What a claim leaves behind when its connection breaks between the commit and the answer.
        await idle.execute(
            "UPDATE job_queue SET state = 'running', worker_id = $1, lease_token = nextval('lease_token'),"
            " started_at = now(), scheduled_for = now() WHERE job_id = $2",
            worker.id,
            UUID(job_id),
        )
        assert (await idle.api.ended(job_id))["result"] == 2


async def test_two_workers_run_every_job_once(idle: LiveInstance) -> None:
    ids = (await idle.api.post("jobs/add_batch_jobs/450", {"kind": "noop"})).json()
    ran = idle.settings.data_dir / "ran"
    ran.mkdir(mode=0o777)
    ran.chmod(0o777)
    code = (
        "import os\ndef main(folder):\n    open(f\"{folder}/{os.environ['WM_JOB_ID']}-{os.getpid()}\", 'x')"
    )
    await idle.api.deploy("u/admin/marks", code)
    batch = {"kind": "script", "path": "u/admin/marks", "args": {"folder": str(ran)}}
    real = (await idle.api.post("jobs/add_batch_jobs/50", batch)).json()
    async with idle.worker("one", sandbox="off"), idle.worker("two", sandbox="off"):

        async def all_ended() -> bool:
            rows = await idle.execute("SELECT count(*) AS n FROM job_queue")
            return bool(rows[0]["n"] == 0)

        await eventually(all_ended)
    rows = await idle.execute("SELECT job_id, status, worker_id FROM job_completed")
    statuses = {str(row["job_id"]): row["status"] for row in rows}
    assert {job_id: statuses[job_id] for job_id in (*ids, *real)} == dict.fromkeys((*ids, *real), "success")
    runs = Counter(path.name[:36] for path in ran.iterdir())
    assert runs == dict.fromkeys(real, 1)


async def test_cancelling_while_workers_finish_neither_fails_nor_loses_a_job(idle: LiveInstance) -> None:
    parent = (await idle.api.preview("def main(): pass", scheduled_in_secs=3600)).text
    children = [await idle.api.start("def main(): return 1", parent_job=parent) for _ in range(30)]
    async with idle.worker():
        cancelled = await asyncio.gather(*(idle.api.cancel(job_id) for job_id in [parent, *children]))
        assert {answer.status_code for answer in cancelled} == {200}
        for job_id in [parent, *children]:
            await idle.api.ended(job_id)
    rows = await idle.execute("SELECT count(*) AS n, count(DISTINCT job_id) AS jobs FROM job_completed")
    assert rows[0]["n"] == rows[0]["jobs"] == 31


async def test_a_job_waits_out_a_database_that_is_away(idle: LiveInstance) -> None:
    gate = idle.settings.data_dir / "gate"
    async with idle.worker(sandbox="off"):
        job_id = await idle.api.start(WAITS, {"gate": str(gate)})
        await idle.api.printed(job_id, "started")
        # Every connection dies under the worker while the job ends.
        for _ in range(3):
            with suppress(Exception):
                await idle.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
        gate.touch()
        assert (await idle.api.ended(job_id))["result"] == "done"
