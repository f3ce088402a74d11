"""A worker's shared directories: whose they are, what they may hold, when they go, and what happens when they are lost."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from millpond.base.errors import MillpondError, SharedDirectoryLost, SharedDirectoryQuotaExceeded
from millpond.model.jobs import Claim
from millpond.runtimes.contract import Outcome
from millpond.services.shared_directories import SharingFlows
from millpond.store import shared_directories as store
from millpond.worker.shared_directories import SharedDirectories
from tests.integration.live_instance import LiveInstance, eventually
from tests.integration.runtime_harness import Harness, Printed, runtime_in
from tests.integration.shared_flows import WORKSPACE, SharedFlow, shared_flow

MIB = 1024**2
WRITE = "import os\ndef main(name, size):\n    open(f'shared/{name}', 'wb').write(os.urandom(size))\n    return 'done'"
FAIL = WRITE.replace("return 'done'", "raise ValueError('mine')")
WAIT = """
import os, time
def main():
    open("shared/begun", "w")
    while not os.path.exists("shared/go"):
        time.sleep(0.01)
"""
FILL = """
import os, time
def main():
    with open("shared/big", "wb") as big:
        while True:
            big.write(os.urandom(1024 * 1024))
            big.flush()
            time.sleep(0.01)
"""


@pytest.fixture
def root(idle: LiveInstance) -> Path:
    return Path(idle.settings.data_dir) / "work" / "one" / "shared"


@pytest.fixture
def shared(idle: LiveInstance, root: Path) -> SharedDirectories:
    """Those of the worker `one@here`, whose own quota is 1 MiB."""
    return directories(idle, root)


@pytest.fixture
async def harness(idle: LiveInstance) -> AsyncIterator[Harness]:
    async with runtime_in(Path(idle.settings.data_dir)) as started:
        yield started


def directories(
    live: LiveInstance, root: Path, pin: str = "one@here", quota_bytes: int = MIB
) -> SharedDirectories:
    return SharedDirectories(root, SharingFlows(live.database), pin=pin, quota_bytes=quota_bytes)


async def path_of(shared: SharedDirectories, claim: Claim) -> Path:
    path = await shared.path_for(claim)
    assert path is not None
    return path


async def run(
    shared: SharedDirectories, harness: Harness, claim: Claim, code: str, **args: object
) -> Outcome:
    """Run a step as the worker does."""
    runtime = await shared.equip(harness.runtime, claim)
    return await runtime.run(harness.execution(code, args, job_id=claim.job_id), Printed())


@asynccontextmanager
async def running(shared: SharedDirectories) -> AsyncIterator[None]:
    """What the worker has run beside its jobs."""
    task = asyncio.create_task(shared.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


# --- whose they are


async def test_only_steps_of_flows_that_share_have_one(
    idle: LiveInstance, shared: SharedDirectories, root: Path
) -> None:
    flow = await shared_flow(idle.database)
    assert await shared.path_for(flow.claim(same_worker=False)) is None
    assert not root.exists()
    path = await path_of(shared, flow.claim())
    assert path == root / WORKSPACE / str(flow.job.id)
    assert path.stat().st_mode & 0o777 == 0o700
    assert root.stat().st_mode & 0o777 == path.parent.stat().st_mode & 0o777 == 0o711
    assert await shared.path_for(flow.claim("b")) == path
    other = await shared_flow(idle.database)
    assert await shared.path_for(other.claim()) != path


async def test_flows_within_share_that_of_the_outermost(
    idle: LiveInstance, shared: SharedDirectories
) -> None:
    outer = await shared_flow(idle.database)
    inner = await outer.inner()
    innermost = await inner.inner()
    path = await path_of(shared, innermost.claim())
    assert path.name == str(outer.job.id)
    assert await shared.path_for(outer.claim()) == path


async def test_a_flow_that_shares_within_one_that_does_not_has_its_own(
    idle: LiveInstance, shared: SharedDirectories
) -> None:
    outer = await shared_flow(idle.database, same_worker=False)
    first = await outer.inner(same_worker=True)
    second = await outer.inner(same_worker=True)
    paths = [await path_of(shared, flow.claim()) for flow in (first, second)]
    assert [path.name for path in paths] == [str(first.job.id), str(second.job.id)]


# --- what they may hold


async def test_a_step_that_leaves_too_much_ends_by_name(
    idle: LiveInstance, shared: SharedDirectories, harness: Harness
) -> None:
    flow = await shared_flow(idle.database)
    assert (await run(shared, harness, flow.claim(), WRITE, name="a", size=MIB // 2)).success
    with pytest.raises(SharedDirectoryQuotaExceeded) as caught:
        await run(shared, harness, flow.claim(), WRITE, name="b", size=MIB)
    used = int(caught.value.message.split(" uses ")[1].split(" ")[0])
    assert 1.5 * MIB <= used < 2 * MIB
    assert f"the limit is {MIB}" in caught.value.message


async def test_a_step_that_goes_on_writing_is_ended(
    idle: LiveInstance, shared: SharedDirectories, harness: Harness
) -> None:
    flow = await shared_flow(idle.database)
    async with asyncio.timeout(20):
        with pytest.raises(SharedDirectoryQuotaExceeded):
            await run(shared, harness, flow.claim(), FILL)
    assert harness.leftovers() == []


async def test_steps_that_run_at_the_same_time_are_all_ended(
    idle: LiveInstance, shared: SharedDirectories, harness: Harness
) -> None:
    flow = await shared_flow(idle.database)
    sleep = "import time\ndef main(): time.sleep(60)"
    steps = [run(shared, harness, flow.claim(), code) for code in (FILL, sleep, sleep)]
    async with asyncio.timeout(20):
        ended = await asyncio.gather(*steps, return_exceptions=True)
    assert [type(one) for one in ended] == [SharedDirectoryQuotaExceeded] * 3


async def test_the_error_of_a_step_that_failed_by_itself_is_its_own(
    idle: LiveInstance, shared: SharedDirectories, harness: Harness
) -> None:
    flow = await shared_flow(idle.database)
    outcome = await run(shared, harness, flow.claim(), FAIL, name="a", size=2 * MIB)
    assert json.loads(outcome.result)["error"]["message"] == "mine"


async def test_a_step_that_adds_nothing_runs_where_there_is_too_much(
    idle: LiveInstance, shared: SharedDirectories, harness: Harness, root: Path
) -> None:
    flow = await shared_flow(idle.database)
    with pytest.raises(SharedDirectoryQuotaExceeded):
        await run(shared, harness, flow.claim(), WRITE, name="a", size=2 * MIB)
    look = "import os\ndef main(): return os.listdir('shared')"
    assert json.loads((await run(shared, harness, flow.claim(), look)).result) == ["a"]
    # Also on a worker that starts anew and has yet to find out how much there is.
    anew = directories(idle, root)
    assert (await run(anew, harness, flow.claim(), look)).success
    with pytest.raises(SharedDirectoryQuotaExceeded):
        await run(anew, harness, flow.claim(), WRITE, name="b", size=MIB)


async def test_the_flow_s_own_quota_counts(
    idle: LiveInstance, shared: SharedDirectories, harness: Harness
) -> None:
    more = await shared_flow(idle.database, quota_bytes=4 * MIB)
    assert (await run(shared, harness, more.claim(), WRITE, name="a", size=2 * MIB)).success
    less = await shared_flow(idle.database, quota_bytes=1000)
    inner = await less.inner(shared_directory={"quota_bytes": 4 * MIB})
    with pytest.raises(SharedDirectoryQuotaExceeded, match="the limit is 1000"):
        await run(shared, harness, inner.claim(), WRITE, name="a", size=10_000)


async def test_without_a_quota_nothing_is_counted(idle: LiveInstance, root: Path, harness: Harness) -> None:
    flow = await shared_flow(idle.database)
    unlimited = directories(idle, root, quota_bytes=0)
    assert (await run(unlimited, harness, flow.claim(), WRITE, name="a", size=4 * MIB)).success


async def test_what_a_link_leads_to_is_not_counted(
    idle: LiveInstance, shared: SharedDirectories, harness: Harness
) -> None:
    flow = await shared_flow(idle.database)
    link = (
        "import os\ndef main():\n    os.symlink('/usr', 'shared/usr')\n    os.symlink('/etc', 'shared/etc')"
    )
    assert (await run(shared, harness, flow.claim(), link)).success


async def test_a_cancelled_step_leaves_no_process(
    idle: LiveInstance, shared: SharedDirectories, harness: Harness
) -> None:
    flow = await shared_flow(idle.database)
    path = await path_of(shared, flow.claim())
    step = asyncio.create_task(run(shared, harness, flow.claim(), WAIT))
    await eventually(lambda: asyncio.to_thread((path / "begun").exists))
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    assert harness.leftovers() == []


# --- when they go


async def test_a_released_directory_goes_and_links_in_it_lead_nowhere(
    idle: LiveInstance, shared: SharedDirectories, harness: Harness, tmp_path: Path
) -> None:
    flow, other = await shared_flow(idle.database), await shared_flow(idle.database)
    (tmp_path / "kept").touch()
    leave = """
        import os
        def main(path):
            os.makedirs("shared/a/b")
            os.symlink(path, "shared/a/link")
            os.symlink("/etc", "shared/etc")
            os.chmod("shared/a", 0)
    """
    assert (await run(shared, harness, flow.claim(), leave, path=str(tmp_path))).success
    path, other_path = await path_of(shared, flow.claim()), await path_of(shared, other.claim())
    modes = (Path("/etc").stat().st_mode, tmp_path.stat().st_mode)
    async with running(shared):
        await flow.end()
        shared.released(*flow.key)
        await eventually(lambda: asyncio.to_thread(lambda: not path.exists()))
    assert (tmp_path / "kept").exists()
    assert modes == (Path("/etc").stat().st_mode, tmp_path.stat().st_mode)
    assert other_path.exists()


async def holds_only(live: LiveInstance, flow: SharedFlow) -> bool:
    return await holders(live) == {str(flow.job.id)}


async def holders(live: LiveInstance) -> set[str]:
    return {str(row["flow_job"]) for row in await live.execute("SELECT flow_job FROM shared_directory")}


async def test_a_directory_is_not_removed_below_a_step_that_still_runs(
    idle: LiveInstance, shared: SharedDirectories, harness: Harness
) -> None:
    flow = await shared_flow(idle.database)
    path = await path_of(shared, flow.claim())
    step = asyncio.create_task(run(shared, harness, flow.claim(), WAIT))
    await eventually(lambda: asyncio.to_thread((path / "begun").exists))
    await flow.end()
    await shared.sweep()
    (path / "go").touch()
    assert (await step).success
    await shared.sweep()
    assert not path.exists()


async def test_a_sweep_removes_what_nobody_released(
    idle: LiveInstance, shared: SharedDirectories, root: Path
) -> None:
    ended, lives = await shared_flow(idle.database), await shared_flow(idle.database)
    paths = [await path_of(shared, flow.claim()) for flow in (ended, lives)]
    (paths[0] / "file").touch()
    deleted = root / WORKSPACE / str(uuid4())
    deleted.mkdir()
    (root / "lost+found").mkdir()
    (root / WORKSPACE / "mine").mkdir()
    await ended.end()
    await directories(idle, root).sweep()
    assert [path.exists() for path in (*paths, deleted)] == [False, True, False]
    assert sorted(path.name for path in (root / WORKSPACE).iterdir()) == sorted(["mine", paths[1].name])


async def test_the_first_sweep_is_at_the_start(idle: LiveInstance, root: Path) -> None:
    path = root / WORKSPACE / str(uuid4())
    path.mkdir(parents=True)
    async with running(directories(idle, root)):
        await eventually(lambda: asyncio.to_thread(lambda: not path.exists()))


async def test_a_directory_is_retained_as_long_as_its_flow_asks(
    idle: LiveInstance, shared: SharedDirectories
) -> None:
    flow = await shared_flow(idle.database, retain_secs=100)
    path = await path_of(shared, flow.claim())
    await flow.end(ended_secs_ago=50)
    await shared.sweep()
    assert path.exists()
    await idle.execute("UPDATE job_completed SET completed_at = now() - interval '101 seconds'")
    await shared.sweep()
    assert not path.exists()


async def test_a_released_flow_that_never_had_one_costs_nothing(
    idle: LiveInstance, shared: SharedDirectories, root: Path
) -> None:
    shared.released(WORKSPACE, uuid4())
    assert not root.exists()


# --- when they are lost


async def test_on_another_worker_a_step_ends_by_name(
    idle: LiveInstance, shared: SharedDirectories, root: Path
) -> None:
    flow = await shared_flow(idle.database)
    await shared.path_for(flow.claim())
    other = directories(idle, root.parent / "two", pin="two@there")
    for _ in range(2):
        with pytest.raises(
            SharedDirectoryLost, match=r"'one@here' that holds \./shared of this flow is gone"
        ):
            await other.path_for(flow.claim())
    # What handles the failure may still run.
    stand_in = await path_of(other, flow.claim("failure"))
    assert os.listdir(stand_in) == []  # noqa: PTH208
    with pytest.raises(SharedDirectoryLost):
        await other.path_for(flow.claim())
    assert await shared.path_for(flow.claim())


async def test_a_worker_that_starts_anew_finds_its_own_or_says_that_it_is_gone(
    idle: LiveInstance, shared: SharedDirectories, root: Path
) -> None:
    flow = await shared_flow(idle.database)
    path = await path_of(shared, flow.claim())
    assert await directories(idle, root).path_for(flow.claim()) == path
    path.rmdir()
    for _ in range(2):
        with pytest.raises(SharedDirectoryLost, match="no longer on the worker 'one@here'"):
            await directories(idle, root).path_for(flow.claim())


async def test_a_disk_that_takes_no_folder_is_an_error_of_the_job(
    idle: LiveInstance, shared: SharedDirectories, root: Path
) -> None:
    flow = await shared_flow(idle.database)
    root.parent.mkdir(parents=True)
    root.touch()
    with pytest.raises(MillpondError, match="could not be made"):
        await shared.path_for(flow.claim())


async def test_parallel_first_steps_make_one_directory(idle: LiveInstance, shared: SharedDirectories) -> None:
    flow = await shared_flow(idle.database)
    paths = await asyncio.gather(*(shared.path_for(flow.claim()) for _ in range(20)))
    assert len(set(paths)) == 1


async def test_what_is_held_by_lost_workers_is_forgotten_in_the_end(
    idle: LiveInstance, shared: SharedDirectories
) -> None:
    flows = [await shared_flow(idle.database) for _ in range(3)]
    for flow in flows:
        await shared.path_for(flow.claim())
    await flows[0].end(ended_secs_ago=(store.REMEMBERED_DAYS + 1) * 86_400)
    await flows[1].end()
    async with idle.database.statement() as connection:
        assert await store.delete_ended(connection, 10) == 1
    assert await holders(idle) == {str(flow.job.id) for flow in flows[1:]}
