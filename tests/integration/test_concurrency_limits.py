"""Limits on runs of one key: never more at once than allowed, in order, and with nobody left waiting."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from millpond.base.ids import new_job_id
from millpond.model.jobs import Claim, Completion, Lane, NewJob
from millpond.services.concurrency import Admission, Concurrency
from millpond.services.concurrency_allotment import BACK_OFF
from millpond.services.queue import Queue
from millpond.store import queue as store
from millpond.store.queue import WorkerRegistration
from tests.integration.live_instance import LiveInstance, eventually

QUICK = "def main(n=0): return n"
SHORT = "import time\ndef main(n=0):\n    time.sleep(.05)\n    return n"
PATH = "u/admin/limited"
KEY = "main/script/u/admin/limited"


class Hand:
    """A worker played by the test, step by step."""

    def __init__(self, live: LiveInstance) -> None:
        self.live = live
        self.queue = Queue(live.database)
        self.concurrency = Concurrency(live.database)
        self.id = uuid4()

    async def register(self) -> "Hand":
        name = f"hand-{self.id}"
        worker = WorkerRegistration(
            id=self.id, name=name, host="test", process_id=1, tags=[], slots=9, version="0", sandbox="none"
        )
        await self.queue.register(worker)
        return self

    async def claim(self, limit: int = 10, lane: Lane = "process") -> list[Claim]:
        return await self.queue.claim(self.id, lane, None, limit, "none")

    async def take(self, limit: int = 10, lane: Lane = "process") -> Admission:
        """Claim and ask for permits, as a worker does."""
        return await self.concurrency.admit(await self.claim(limit, lane))

    async def started(self, limit: int = 10) -> list[str]:
        """The ids of the jobs that may run now."""
        return [str(claim.job_id) for claim in (await self.take(limit)).admitted]

    async def complete(self, claims: Sequence[Claim]) -> None:
        done = await self.queue.complete(
            [Completion(claim=claim, status="success", result="1") for claim in claims]
        )
        assert done == {claim.job_id for claim in claims}


@pytest.fixture
async def hand(idle: LiveInstance) -> Hand:
    return await Hand(idle).register()


async def deploy(live: LiveInstance, limit: int, path: str = PATH, code: str = QUICK, **more: Any) -> None:
    await live.api.deploy(path, code, lock="# py: 3.11\n", concurrent_limit=limit, **more)


async def start(live: LiveInstance, path: str = PATH, args: object = None, **query: Any) -> str:
    answer = await live.api.post(f"jobs/run/p/{path}", args or {}, **query)
    assert answer.status_code == 201, answer.text
    return answer.text


async def batch(live: LiveInstance, count: int) -> list[str]:
    answer = await live.api.post(f"jobs/add_batch_jobs/{count}", {"kind": "script", "path": PATH})
    assert answer.status_code == 201, answer.text
    ids: list[str] = answer.json()
    return ids


async def row_of(live: LiveInstance, job_id: str) -> dict[str, Any]:
    (row,) = await live.execute("SELECT * FROM job_queue WHERE job_id = $1", UUID(job_id))
    return row


async def queue_is_empty(live: LiveInstance) -> bool:
    return not await live.execute("SELECT FROM job_queue LIMIT 1")


async def runs_of(live: LiveInstance) -> list[tuple[datetime, datetime]]:
    """From when to when each run of the limited script lasted, by start."""
    rows = await live.execute(
        "SELECT c.started_at, c.completed_at FROM job_completed c JOIN job j ON j.id = c.job_id"
        " WHERE j.concurrency_key IS NOT NULL AND c.status = 'success' ORDER BY c.started_at"
    )
    return [(row["started_at"], row["completed_at"]) for row in rows]


def most_at_once(runs: list[tuple[datetime, datetime]]) -> int:
    return max(sum(begin <= instant < end for begin, end in runs) for instant, _ in runs)


async def test_two_workers_never_run_more_than_the_limit_at_once(idle: LiveInstance) -> None:
    await deploy(idle, 3, code=SHORT)
    await batch(idle, 30)
    async with idle.worker("one", sandbox="off"), idle.worker("two", sandbox="off"):
        await eventually(lambda: queue_is_empty(idle))
    runs = await runs_of(idle)
    assert len(runs) == 30
    assert most_at_once(runs) == 3


async def test_the_limit_holds_while_workers_race_for_every_permit(idle: LiveInstance) -> None:
    await deploy(idle, 2)
    ids = await batch(idle, 60)
    hands = [await Hand(idle).register() for _ in range(4)]
    most, ended = 0, 0

    async def work(hand: Hand) -> None:
        nonlocal most, ended
        while ended < len(ids):
            admitted = (await hand.take(4)).admitted
            rows = await idle.execute(
                "SELECT count(*) AS n FROM concurrency_run r JOIN job_queue q ON q.job_id = r.job_id AND q.state = 'running'"
            )
            most = max(most, rows[0]["n"])
            await hand.complete(admitted)
            ended += len(admitted)

    async with asyncio.timeout(30):
        await asyncio.gather(*map(work, hands))
    assert most == 2
    rows = await idle.execute("SELECT status, count(*) AS n FROM job_completed GROUP BY status")
    assert rows == [{"status": "success", "n": 60}]
    assert await idle.execute("SELECT * FROM concurrency_run") == []


async def test_no_more_runs_start_within_a_window_than_the_limit(idle: LiveInstance) -> None:
    await deploy(idle, 2, concurrency_time_window_s=1)
    await batch(idle, 5)
    async with idle.worker("one", sandbox="off"), idle.worker("two", sandbox="off"):
        await eventually(lambda: queue_is_empty(idle))
    begins = [begin for begin, _ in await runs_of(idle)]
    assert len(begins) == 5
    gaps = [later - earlier for earlier, later in zip(begins, begins[2:], strict=False)]
    assert all(gap >= timedelta(seconds=1) for gap in gaps)
    # It waits for the window and not for the next look of all.
    assert begins[-1] - begins[0] < timedelta(seconds=4)


async def test_a_claim_over_the_limit_goes_back_until_the_window_is_over(
    idle: LiveInstance, hand: Hand
) -> None:
    await deploy(idle, 1, concurrency_time_window_s=40)
    first, second, third = [await start(idle) for _ in range(3)]
    admission = await hand.take()
    assert [str(claim.job_id) for claim in admission.admitted] == [first]
    assert [str(claim.job_id) for claim in admission.put_back] == [second, third]
    (run,) = await idle.execute("SELECT * FROM concurrency_run")
    assert (await row_of(idle, first))["started_at"] == run["started_at"]
    for job_id, seconds in ((second, 40), (third, 80)):
        row = await row_of(idle, job_id)
        assert (row["state"], row["rescues"], row["started_at"], row["lease_token"]) == (
            "queued",
            0,
            None,
            None,
        )
        assert row["scheduled_for"] == run["started_at"] + timedelta(seconds=seconds)
    # The end of the run changes nothing: its window lasts.
    await hand.complete(admission.admitted)
    assert await hand.started() == []
    await idle.execute("UPDATE concurrency_run SET keep_until = now()")
    await idle.execute("UPDATE job_queue SET scheduled_for = now() WHERE state = 'queued'")
    assert await hand.started() == [second]


async def test_the_end_of_a_run_wakes_the_one_that_waits_longest(idle: LiveInstance, hand: Hand) -> None:
    await deploy(idle, 1)
    first = await start(idle)
    admitted = (await hand.take()).admitted
    late = await start(idle)
    early = await start(idle, scheduled_for="2020-01-01T00:00:00Z")
    assert await hand.started() == []
    before = await row_of(idle, early)
    assert before["scheduled_for"] > (await row_of(idle, first))["started_at"] + BACK_OFF / 2
    await hand.complete(admitted)
    assert (await row_of(idle, early))["scheduled_for"].year == 2020
    assert (await row_of(idle, late))["waits_since"] is not None
    (claim,) = await hand.claim()
    assert str(claim.job_id) == early
    (admitted,) = ((await hand.concurrency.admit([claim])).admitted,)
    await hand.complete(admitted)
    assert await hand.started() == [late]


async def test_a_cancelled_run_wakes_the_next(idle: LiveInstance, hand: Hand) -> None:
    await deploy(idle, 1)
    running, canceled, last = [await start(idle) for _ in range(3)]
    assert await hand.started() == [running]
    await idle.api.cancel(canceled)
    assert await hand.started() == []
    await idle.api.post(f"jobs_u/queue/force_cancel/{running}", {})
    assert await hand.started() == [last]


async def test_a_newcomer_does_not_overtake_who_waits(idle: LiveInstance, hand: Hand) -> None:
    await deploy(idle, 1)
    gone, waits = await start(idle), await start(idle)
    assert await hand.started() == [gone]
    # The permit is free, and nobody was told.
    await idle.execute("DELETE FROM job_queue WHERE job_id = $1", UUID(gone))
    newcomer = await start(idle)
    assert [str(claim.job_id) for claim in (await hand.take()).put_back] == [newcomer]
    assert await hand.started() == [waits]


async def test_a_job_of_a_dead_worker_keeps_its_permit_until_it_is_rescued_and_runs_again(
    idle: LiveInstance, hand: Hand
) -> None:
    await deploy(idle, 1, concurrency_time_window_s=60)
    first, second = await start(idle), await start(idle)
    dead = await Hand(idle).register()
    assert await dead.started(1) == [first]
    await idle.execute("UPDATE worker SET lease_until = now() - interval '1 second' WHERE id = $1", dead.id)
    assert await hand.started() == []
    await hand.queue.rescue()
    row = await row_of(idle, first)
    assert (row["state"], row["rescues"]) == ("queued", 1)
    # Its own window does not keep it from running again; the other one still waits.
    await idle.execute("UPDATE job_queue SET scheduled_for = now() WHERE job_id = $1", UUID(second))
    admission = await hand.take()
    assert [str(claim.job_id) for claim in admission.admitted] == [first]
    assert (await row_of(idle, second))["rescues"] == 0


async def test_the_permit_of_a_job_that_died_too_often_is_free(idle: LiveInstance) -> None:
    await deploy(idle, 1)
    deadly, next_one = await start(idle), await start(idle)
    for _ in range(4):
        victim = await Hand(idle).register()
        assert await victim.started(1) == [deadly]
        await idle.execute(
            "UPDATE worker SET lease_until = now() - interval '1 second' WHERE id = $1", victim.id
        )
        await victim.queue.rescue()
    hand = await Hand(idle).register()
    assert await hand.started() == [next_one]


async def test_a_busy_key_does_not_keep_other_jobs_from_running(idle: LiveInstance, hand: Hand) -> None:
    await deploy(idle, 1)
    await batch(idle, 200)
    other = await idle.api.start(QUICK)
    assert len(await hand.started(4)) == 1
    # All others of the key were put off in one go.
    assert await hand.started(4) == [other]
    assert await hand.claim() == []


async def test_runs_are_counted_by_the_arguments_a_key_names(idle: LiveInstance, hand: Hand) -> None:
    key = "$workspace-$args[to]"
    await deploy(idle, 1, concurrency_key=key)
    await deploy(idle, 1, path="u/admin/another", concurrency_key=key)
    one = await start(idle, args={"to": "a"})
    same = await start(idle, path="u/admin/another", args={"to": "a"})
    other = await start(idle, args={"to": "b"})
    assert await hand.started() == [one, other]
    assert (await row_of(idle, same))["concurrency_key"] == "main-a"


async def test_a_run_that_is_due_later_is_not_counted(idle: LiveInstance, hand: Hand) -> None:
    await deploy(idle, 1)
    await start(idle, scheduled_in_secs=3600)
    now = await start(idle)
    assert await hand.started() == [now]


async def test_the_higher_priority_gets_the_permit(idle: LiveInstance, hand: Hand) -> None:
    await deploy(idle, 1, concurrency_key="shared")
    await deploy(idle, 1, path="u/admin/urgent", concurrency_key="shared", priority=50)
    await start(idle)
    running = (await hand.take()).admitted
    low, high = await start(idle), await start(idle, path="u/admin/urgent")
    assert await hand.started() == []
    await hand.complete(running)
    assert await hand.started() == [high]
    assert (await row_of(idle, low))["state"] == "queued"


async def test_a_flow_has_its_permit_from_its_first_turn_to_its_end(idle: LiveInstance, hand: Hand) -> None:
    flows = [
        NewJob(
            id=new_job_id(),
            workspace_id="main",
            kind="flow",
            args="{}",
            tag="flow",
            created_by="admin",
            permissioned_as="u/admin",
            email="admin@localhost",
            runnable_path="u/admin/flow",
            concurrency_key="main/flow/u/admin/flow",
            concurrent_limit=1,
        )
        for _ in range(2)
    ]
    for flow in flows:
        async with idle.database.statement() as connection:
            await store.push_jobs(connection, [flow])
    admission = await hand.take(lane="flow")
    assert [[claim.job_id for claim in claims] for claims in admission] == [[flows[0].id], [flows[1].id]]
    # Between its turns it waits for its steps, and keeps the permit.
    await idle.execute(
        "UPDATE job_queue SET state = 'waiting', worker_id = NULL, lease_token = NULL WHERE job_id = $1",
        flows[0].id,
    )
    await idle.execute("UPDATE job_queue SET scheduled_for = now() WHERE job_id = $1", flows[1].id)
    assert (await hand.take(lane="flow")).admitted == []
    before = await row_of(idle, str(flows[0].id))
    await idle.execute("UPDATE job_queue SET state = 'queued' WHERE job_id = $1", flows[0].id)
    (turn,) = (await hand.take(lane="flow")).admitted
    assert turn.job_id == flows[0].id
    assert (await row_of(idle, str(turn.job_id)))["started_at"] == before["started_at"]


async def limited_flows(live: LiveInstance, number: int) -> list[UUID]:
    """Flow jobs of one key, of which one may run."""
    flows = [
        NewJob(
            id=new_job_id(),
            workspace_id="main",
            kind="flow",
            args="{}",
            tag="flow",
            created_by="admin",
            permissioned_as="u/admin",
            email="admin@localhost",
            concurrency_key="flows",
            concurrent_limit=1,
        )
        for _ in range(number)
    ]
    for flow in flows:  # one after the other, so that each is due later than the one before
        async with live.database.statement() as connection:
            await store.push_jobs(connection, [flow])
    return [flow.id for flow in flows]


async def test_a_flow_that_has_its_permit_is_not_put_off_between_its_turns(
    idle: LiveInstance, hand: Hand
) -> None:
    first, second = await limited_flows(idle, 2)
    assert [claim.job_id for claim in (await hand.take(1, lane="flow")).admitted] == [first]
    # It has heard of something, and its next turn is due, while the second asks for a permit in vain.
    await idle.execute(
        "UPDATE job_queue SET state = 'queued', worker_id = NULL, lease_token = NULL, priority = -1 WHERE job_id = $1",
        first,
    )
    assert [claim.job_id for claim in (await hand.take(1, lane="flow")).put_back] == [second]
    assert [claim.job_id for claim in (await hand.take(1, lane="flow")).admitted] == [first]


async def test_a_flow_that_is_cancelled_as_it_is_claimed_need_not_wait_for_a_permit(
    idle: LiveInstance, hand: Hand
) -> None:
    first, second = await limited_flows(idle, 2)
    assert [claim.job_id for claim in (await hand.take(1, lane="flow")).admitted] == [first]
    claims = await hand.claim(lane="flow")
    await idle.api.cancel(str(second))
    assert [claim.job_id for claim in (await hand.concurrency.admit(claims)).admitted] == [second]


async def test_claims_without_limits_ask_nothing_of_the_database(idle: LiveInstance, hand: Hand) -> None:
    await idle.api.start(QUICK)
    claims = await hand.claim()
    await idle.database.aclose()
    assert (await hand.concurrency.admit(claims)).admitted == claims
