"""What a flow does whose worker goes away while it waits: the folder its steps share is on that worker."""

from pathlib import Path
from typing import Any

import pytest

from millpond.services.pinned_jobs import GONE_SECS, PinnedJobs
from tests.integration.flows.building import (
    Json,
    flow,
    identity,
    module_comes_to,
    py,
    start_flow,
    static,
    step,
)
from tests.integration.live_instance import LiveInstance, eventually
from tests.movable_clock import MovableClock

WRITE = py("open('./shared/x', 'w').write('written')")
READ = py("return open('./shared/x').read()")
FOREVER = static(3600)


def waiting_flow(*steps: Json, **settings: Any) -> Json:
    """A flow that has written to its folder, and sleeps."""
    return flow(step("w", WRITE, sleep=FOREVER), *steps, same_worker=True, **settings)


async def begin(live: LiveInstance, definition: Json) -> str:
    """Start a flow and let it come to its sleep."""
    job_id = await start_flow(live.api, definition)
    await module_comes_to(live.api, job_id, "w", "Success")

    async def sleeps() -> bool:
        rows = await live.execute("SELECT state FROM job_queue WHERE job_id = $1::text::uuid", job_id)
        return [row["state"] for row in rows] == ["queued"]

    await eventually(sleeps)
    return job_id


async def wake(live: LiveInstance, job_id: str) -> None:
    """The sleep is over."""
    await live.execute("UPDATE flow_status SET wake_at = now() WHERE job_id = $1::text::uuid", job_id)
    await live.execute("UPDATE job_queue SET scheduled_for = now() WHERE job_id = $1::text::uuid", job_id)
    await live.execute("SELECT pg_notify('millpond_queue', 'flow')")


async def a_minute_passes(live: LiveInstance) -> None:
    """Maintenance finds out that workers are gone, and waits as long as it does."""
    await eventually(lambda: _a_worker_lives(live))
    clock = MovableClock()
    pinned = PinnedJobs(live.database, clock)
    await pinned.move_lost()
    clock.seconds += GONE_SECS
    assert await pinned.move_lost() > 0


async def _a_worker_lives(live: LiveInstance) -> bool:
    return bool(await live.execute("SELECT FROM worker WHERE lease_until > now()"))


async def test_a_worker_that_comes_back_goes_on_with_the_folder(idle: LiveInstance) -> None:
    async with idle.worker("one"):
        job_id = await begin(idle, waiting_flow(step("r", READ)))
    async with idle.worker("two"), idle.worker("one"):
        await wake(idle, job_id)
        assert (await idle.api.ended(job_id))["result"] == "written"


async def test_on_another_worker_the_next_step_fails_by_name(idle: LiveInstance) -> None:
    async with idle.worker("one"):
        job_id = await begin(idle, waiting_flow(step("i", identity()), step("r", READ)))
    async with idle.worker("two"):
        await a_minute_passes(idle)
        await wake(idle, job_id)
        error = (await idle.api.ended(job_id))["result"]["error"]
    assert (error["name"], error["step_id"]) == ("SharedDirectoryLost", "r")
    assert "'one@" in error["message"]


@pytest.mark.parametrize("parallel", [False, True])
async def test_so_do_steps_within_a_loop(idle: LiveInstance, parallel: bool) -> None:
    loop = {
        "type": "forloopflow",
        "iterator": static([1, 2]),
        "skip_failures": False,
        "parallel": parallel,
        "modules": [step("i", identity()), step("r", READ)],
    }
    async with idle.worker("one"):
        job_id = await begin(idle, waiting_flow(step("l", loop)))
    async with idle.worker("two"):
        await a_minute_passes(idle)
        await wake(idle, job_id)
        assert "SharedDirectoryLost" in str((await idle.api.ended(job_id))["result"])


async def test_what_handles_the_failure_runs(idle: LiveInstance) -> None:
    handles = step("failure", py("import os\nreturn [error['name'], os.listdir('./shared')]", error="error"))
    async with idle.worker("one"):
        job_id = await begin(idle, waiting_flow(step("r", READ), failure_module=handles))
    async with idle.worker("two"):
        await a_minute_passes(idle)
        await wake(idle, job_id)
        assert (await idle.api.ended(job_id))["result"] == ["SharedDirectoryLost", []]


async def test_a_flow_that_never_used_its_folder_goes_on(idle: LiveInstance) -> None:
    definition = flow(
        step("w", identity(), sleep=FOREVER), step("x", WRITE), step("r", READ), same_worker=True
    )
    async with idle.worker("one"):
        job_id = await begin(idle, definition)
    async with idle.worker("two"):
        await a_minute_passes(idle)
        await wake(idle, job_id)
        assert (await idle.api.ended(job_id))["result"] == "written"


async def test_the_folder_that_was_left_goes_when_its_worker_is_there_again(idle: LiveInstance) -> None:
    async with idle.worker("one"):
        job_id = await begin(idle, waiting_flow())
    left = Path(idle.settings.data_dir) / "work" / "one" / "shared" / "main" / job_id
    assert (left / "x").exists()
    await idle.api.cancel(job_id)
    async with idle.worker("two"):
        await a_minute_passes(idle)
        await idle.api.ended(job_id)
    assert left.exists()

    async def is_removed() -> bool:
        return not left.exists()

    async with idle.worker("one"):
        await eventually(is_removed)
