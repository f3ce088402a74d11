"""A worker that stands still past its lease, as on a laptop that sleeps: its jobs move on, and it must not end them too."""

import signal
from uuid import UUID

from tests.chaos.conftest import Call, Serve
from tests.chaos.eventually import eventually
from tests.chaos.processes import descendants
from tests.chaos.served_instance import ServedInstance

MARK = "2.125"
FIRST_ATTEMPT_LASTS = f"""
import subprocess, wmill

def main():
    attempts = (wmill.get_state() or 0) + 1
    wmill.set_state(attempts)
    if attempts == 1:
        subprocess.run(["sleep", "{MARK}"], check=True)
    return attempts
"""
RESCUE_SECS = 30.0
HOLDER = """
SELECT w.id, w.name, q.lease_token FROM job_queue q JOIN worker w ON w.id = q.worker_id
 WHERE q.job_id = $1 AND q.state = 'running'
"""


async def _holder(served: ServedInstance, job_id: UUID) -> tuple[UUID, str]:
    """The id and name of the worker that holds a job, once one does."""

    async def look() -> tuple[UUID, str] | None:
        rows = await served.ask(HOLDER, job_id)
        return (rows[0]["id"], rows[0]["name"]) if rows else None

    found = await eventually(look, 30, "a worker holds the job")
    assert found is not None
    return found


async def test_a_job_of_a_stopped_worker_is_completed_by_another_and_not_again_when_it_wakes(
    serve: Serve, call: Call
) -> None:
    served = serve("--workers", "2")
    await served.start()
    client = call(served)

    async def both() -> bool:
        return len(await served.ask("SELECT 1 FROM worker WHERE lease_until > now()")) == 2

    await eventually(both, 30, "both workers are registered")
    job_id = await client.launch("code", FIRST_ATTEMPT_LASTS)
    holder_id, holder = await _holder(served, job_id)
    other = "worker-2" if holder == "worker-1" else "worker-1"
    stopped = await served.living(holder)

    async def first_attempt_lasts() -> bool:
        return any(process.command == f"sleep {MARK}" for process in descendants(stopped.pid))

    async def first_attempt_is_over() -> bool:
        return not await first_attempt_lasts()

    await eventually(first_attempt_lasts, 30, "the first attempt runs")
    stopped.send(signal.SIGSTOP)
    try:
        await served.ask("UPDATE worker SET lease_until = now() - interval '1 s' WHERE id = $1", holder_id)
        ended = await client.ended(job_id, RESCUE_SECS)
        assert ended["success"] is True
        (row,) = await served.ask(
            "SELECT worker_id, completed_at FROM job_completed WHERE job_id = $1", job_id
        )
        assert row["worker_id"] != holder_id
        assert ended["result"] == 2
        assert not await served.ask("SELECT 1 FROM worker WHERE id = $1", holder_id)
        # Its result waits in the zygote's socket until the worker wakes.
        await eventually(first_attempt_is_over, 30, "the first attempt has ended")
    finally:
        stopped.send(signal.SIGCONT)

    async def back() -> list[UUID]:
        rows = await served.ask("SELECT id FROM worker WHERE name = $1 AND lease_until > now()", holder)
        return [row["id"] for row in rows]

    (new_id,) = await eventually(back, 30, "the stopped worker is registered anew")
    assert new_id != holder_id
    assert not stopped.is_gone
    again = await served.ask("SELECT worker_id, completed_at FROM job_completed WHERE job_id = $1", job_id)
    assert [dict(found) for found in again] == [dict(row)], "the late completion changed something"
    assert "lease_lost" in served.log()

    # With the other one gone, whatever runs now runs on the one that came back.
    (await served.living(other)).send(signal.SIGSTOP)
    try:
        later = await client.ended(await client.launch("code"), RESCUE_SECS)
        assert later["success"] is True
        (row,) = await served.ask("SELECT worker_id FROM job_completed WHERE job_id = $1", UUID(later["id"]))
        assert row["worker_id"] == new_id
    finally:
        (await served.living(other)).send(signal.SIGCONT)
    assert await served.stop() == 0
