"""Jobs that only one worker may take, when that worker is gone."""

from uuid import UUID, uuid4

import pytest

from millpond.services.pinned_jobs import GONE_SECS, PinnedJobs
from millpond.services.queue import Queue
from millpond.store.queue import WorkerRegistration
from tests.integration.live_instance import LiveInstance
from tests.integration.shared_flows import SharedFlow, shared_flow
from tests.movable_clock import MovableClock

GONE = "gone@there"


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
def pinned(idle: LiveInstance, clock: MovableClock) -> PinnedJobs:
    return PinnedJobs(idle.database, clock)


async def register(live: LiveInstance, name: str, tags: list[str] | None = None) -> UUID:
    """A worker played by the test; the id of its lease."""
    worker = WorkerRegistration(
        id=uuid4(),
        name=name,
        host="there",
        process_id=1,
        tags=tags or [],
        slots=1,
        version="0",
        sandbox="none",
    )
    await Queue(live.database).register(worker)
    return worker.id


async def pins(live: LiveInstance, flow: SharedFlow) -> list[str | None]:
    """What the jobs of a flow in the queue are pinned to, the flow's own first."""
    rows = await live.execute(
        "SELECT q.pinned_to FROM job_queue q JOIN job j ON j.id = q.job_id WHERE $1 IN (j.id, j.root_job) ORDER BY j.id",
        flow.job.id,
    )
    return [row["pinned_to"] for row in rows]


async def after(pinned: PinnedJobs, clock: MovableClock, seconds: float) -> int:
    clock.seconds += seconds
    return await pinned.move_lost()


async def test_a_worker_has_a_minute_to_come_back(
    idle: LiveInstance, pinned: PinnedJobs, clock: MovableClock
) -> None:
    await register(idle, "next")
    gone = await register(idle, "gone")
    flow = await shared_flow(idle.database, pinned_to=GONE)
    await flow.step(pinned_to=GONE)
    assert await after(pinned, clock, 10 * GONE_SECS) == 0
    await Queue(idle.database).unregister(gone)
    assert await after(pinned, clock, 0) == 0
    assert await after(pinned, clock, GONE_SECS - 1) == 0
    # It is there again for a moment: the time begins anew.
    gone = await register(idle, "gone")
    assert await after(pinned, clock, 1) == 0
    await Queue(idle.database).unregister(gone)
    assert await after(pinned, clock, 1) == 0
    assert await after(pinned, clock, GONE_SECS - 1) == 0
    assert await pins(idle, flow) == [GONE, GONE]
    assert await after(pinned, clock, 1) == 2
    assert await pins(idle, flow) == ["next@there", "next@there"]
    assert await after(pinned, clock, GONE_SECS) == 0


async def lost(pinned: PinnedJobs, clock: MovableClock) -> int:
    await pinned.move_lost()
    return await after(pinned, clock, GONE_SECS)


async def test_all_of_a_flow_goes_to_the_same_worker_that_takes_its_tags(
    idle: LiveInstance, pinned: PinnedJobs, clock: MovableClock
) -> None:
    await register(idle, "a", ["flow", "python3"])
    await register(idle, "b")
    ordinary = await shared_flow(idle.database, pinned_to=GONE)
    await ordinary.step(pinned_to=GONE)
    gpu = await shared_flow(idle.database, pinned_to=GONE)
    await gpu.step(pinned_to=GONE)
    await gpu.step(pinned_to=GONE, tag="gpu")
    elsewhere = await shared_flow(idle.database, pinned_to="b@there")
    assert await lost(pinned, clock) == 5
    assert await pins(idle, ordinary) == ["a@there"] * 2
    assert await pins(idle, gpu) == ["b@there"] * 3
    assert await pins(idle, elsewhere) == ["b@there"]


async def test_what_waits_moves_too_and_what_runs_is_left_to_the_rescue(
    idle: LiveInstance, pinned: PinnedJobs, clock: MovableClock
) -> None:
    await register(idle, "next")
    flow = await shared_flow(idle.database, pinned_to=GONE)
    running = await flow.step(pinned_to=GONE)
    await idle.execute("UPDATE job_queue SET state = 'waiting' WHERE job_id = $1", flow.job.id)
    await idle.execute(
        "UPDATE job_queue SET state = 'running', worker_id = $2, lease_token = 1 WHERE job_id = $1",
        running,
        uuid4(),
    )
    assert await lost(pinned, clock) == 1
    assert await pins(idle, flow) == ["next@there", GONE]
    await Queue(idle.database).rescue()
    assert await after(pinned, clock, 1) == 1
    assert await pins(idle, flow) == ["next@there"] * 2


async def test_without_a_worker_to_take_them_jobs_stay(
    idle: LiveInstance, pinned: PinnedJobs, clock: MovableClock
) -> None:
    draining = await register(idle, "draining")
    await Queue(idle.database).heartbeat(draining, 0, draining=True)
    flow = await shared_flow(idle.database, pinned_to=GONE)
    assert await lost(pinned, clock) == 0
    assert await pins(idle, flow) == [GONE]
    await register(idle, "late")
    assert await after(pinned, clock, 1) == 1
    assert await pins(idle, flow) == ["late@there"]
