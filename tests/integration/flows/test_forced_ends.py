"""Flows ended outside of their turns: by force while no worker lives, with many steps, and what is left of them."""

import asyncio
from uuid import UUID, uuid4

import pytest

from millpond.base.ids import new_job_id
from millpond.engine.events import CancelAsked
from millpond.engine.status import FlowStatus, ModuleState, ModuleStatus, Phase
from millpond.model.jobs import Cancellation, NewJob
from millpond.services.flow_runs.inbox import tell
from millpond.services.job_endings import end_tree
from millpond.services.queue import Queue
from millpond.store import flow_runs
from millpond.store import queue as store
from millpond.store.pool import Database
from millpond.store.queue import WorkerRegistration
from tests.integration.flow_trees import push, push_flow
from tests.integration.flows.approving import waiting_for
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
    start_flow,
    step,
)
from tests.integration.live_instance import Api, LiveInstance, eventually

WHY = Cancellation("admin", "by force")
RUNS = FlowStatus(step=0, modules=(ModuleStatus(state=ModuleState.ACTIVE),), phase=Phase.RUNNING)
SUSPENDED = "SELECT FROM flow_status WHERE status ->> 'phase' = 'suspended'"
BLOCKED = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
ASKS = step("a", py("return 1"), suspend={"required_events": 1})


async def force(api: Api, job_id: str) -> None:
    answer = await api.post(f"jobs_u/queue/force_cancel/{job_id}", {"reason": "by force"})
    assert (answer.status_code, answer.text) == (200, job_id)


async def below(api: Api, job_id: str) -> list[Json]:
    """Every job of a flow, at any depth."""
    found = []
    for child in await children(api, job_id):
        found += [child, *await below(api, child["id"])]
    return found


async def left_of(database: Database) -> list[int]:
    """How many jobs wait, and how many items of loops and messages to flows are stored."""
    async with database.statement() as connection:
        return [
            int(str(await connection.fetch_value(f"SELECT count(*) FROM {table}")))
            for table in ("job_queue", "flow_item", "flow_inbox")
        ]


async def test_a_waiting_flow_ends_by_force_without_a_worker(idle: LiveInstance) -> None:
    async with idle.worker():
        job_id = await start_flow(idle.api, flow(ASKS, step("b", identity())))
        await waiting_for(idle.api, job_id, "b")
    await force(idle.api, job_id)
    job = await idle.api.job(job_id)
    assert (job["type"], job["canceled"], job["canceled_by"]) == ("CompletedJob", True, "admin")
    assert job["result"]["error"]["message"] == "Job canceled: by force by admin"
    assert [module["type"] for module in job["flow_status"]["modules"]] == ["Success", "Failure"]
    assert await left_of(idle.database) == [0, 0, 0]


async def test_a_tree_ends_by_force_without_a_worker(idle: LiveInstance) -> None:
    inner = branch_all(branch(ASKS, step("b", identity())))
    definition = flow(step("l", loop([1, 2, 3], step("n", inner), step("o", identity()), parallel=True)))
    async with idle.worker():
        job_id = await start_flow(idle.api, definition)

        async def waits() -> bool:
            return len(await idle.execute(SUSPENDED)) == 3

        await eventually(waits)
    # The root, three turns of the loop, and a branch of each.
    assert (await left_of(idle.database))[:2] == [7, 3]
    await idle.api.cancel(job_id)  # said to the flow, which no worker advances
    await force(idle.api, job_id)
    assert await left_of(idle.database) == [0, 0, 0]
    job = await idle.api.job(job_id)
    assert (job["canceled"], modules_of(job)["l"]["type"]) == (True, "Failure")
    for child in await below(idle.api, job_id):
        ended = await idle.api.job(child["id"])
        assert ended["type"] == "CompletedJob"
        if ended["job_kind"].startswith("flow"):
            assert ended["canceled"]
            states = {module["type"] for module in ended["flow_status"]["modules"]}
            assert "InProgress" not in states
            assert "WaitingForEvents" not in states
    async with idle.worker("later"):
        assert (await idle.api.run("def main(): return 1"))["success"]


async def test_a_flow_with_very_many_steps_ends_by_force(database: Database) -> None:
    root = await push_flow(database, status=RUNS)
    places = [
        {"flow_step_id": "l", "step_place": "l", "step_attempt": 0, "step_index": n} for n in range(3000)
    ]
    jobs = [_child(root, **place) for place in places]
    async with database.transaction() as transaction:
        await store.push_jobs(transaction, jobs)
    async with asyncio.timeout(5):
        assert await _end(database, root)
    assert await left_of(database) == [0, 0, 0]


async def test_only_flows_that_go_on_hear_of_a_forced_end(database: Database) -> None:
    root = await push_flow(database, status=RUNS)
    body = await push_flow(
        database, status=RUNS, kind="flownode", parent=root, flow_step_id="a", step_attempt=0
    )
    await push(database, parent=body, flow_step_id="b", step_attempt=0)
    assert await _end(database, body)
    async with database.statement() as connection:
        rows = await connection.fetch("SELECT flow_job, event ->> 'type' AS type FROM flow_inbox")
    assert [(row["flow_job"], row["type"]) for row in rows] == [(root, "ChildEnded")]
    assert await left_of(database) == [1, 0, 1]


async def test_a_turn_worked_out_before_a_forced_end_changes_nothing(database: Database) -> None:
    root = await push_flow(database, status=RUNS)
    async with database.statement() as connection:
        before = await flow_runs.get_run(connection, "main", root)
        assert before is not None
        await _end(database, root)
        after = await flow_runs.get_run(connection, "main", root)
    assert after is not None
    assert (after.is_live, after.version > before.version) == (False, True)


@pytest.mark.parametrize("way", ["canceled", "unreadable", "claim"])
async def test_nothing_is_left_of_a_flow_that_was_ended(database: Database, way: str) -> None:
    flow_job = await push_flow(database, status=RUNS)
    async with database.transaction() as transaction:
        await flow_runs.keep_items(transaction, "main", flow_job, "l", 0, ["1", "2"])
        assert await tell(transaction, "main", flow_job, CancelAsked("admin", "enough"))
    assert await left_of(database) == [1, 2, 1]
    if way == "claim":
        await _lose_claimed(database)
    else:
        async with database.transaction() as transaction:
            if way == "canceled":
                await store.end_canceled(transaction, "main", flow_job, "{}", WHY)
            else:
                await store.end_unreadable(transaction, "main", flow_job, "{}")
    assert await left_of(database) == [0, 0, 0]


async def test_a_cancelled_flow_waits_for_its_sub_flows_turn_before_it_holds_their_jobs(
    idle: LiveInstance,
) -> None:
    definition = flow(step("n", branch_all(branch(ASKS, step("b", identity())))))
    async with idle.worker():
        job_id = await start_flow(idle.api, definition)

        async def is_suspended() -> bool:
            return bool(await idle.execute(SUSPENDED))

        async def waits_for_a_row() -> bool:
            return bool(await idle.execute(BLOCKED))

        await eventually(is_suspended)
        (body,) = await children(idle.api, job_id)
        # As a turn of the inner flow does: where it stands first, its place in the queue after that.
        async with idle.database.transaction() as transaction:
            await flow_runs.lock_runs(transaction, "main", [UUID(body["id"])])
            await idle.api.cancel(job_id)
            await eventually(waits_for_a_row)
            await transaction.fetch(
                "SELECT FROM job_queue WHERE job_id = $1 FOR UPDATE NOWAIT", UUID(body["id"])
            )
        for ended in (job_id, body["id"]):
            assert (await idle.api.ended(ended))["canceled"] is True


def _child(flow_job: UUID, **place: object) -> NewJob:
    return NewJob(
        id=new_job_id(),
        workspace_id="main",
        kind="preview",
        args="{}",
        tag="python3",
        created_by="admin",
        permissioned_as="u/admin",
        email="admin@localhost",
        parent_job=flow_job,
        root_job=flow_job,
        **place,  # type: ignore[arg-type]
    )


async def _end(database: Database, job_id: UUID) -> bool:
    async with database.transaction() as transaction:
        return await end_tree(transaction, "main", job_id, WHY, force=True)


async def _lose_claimed(database: Database) -> None:
    """A worker claims the flow, is asked to end it, and dies."""
    queue = Queue(database)
    worker = WorkerRegistration(
        id=uuid4(), name="dies", host="test", process_id=1, tags=[], slots=1, version="0", sandbox="none"
    )
    await queue.register(worker)
    async with database.statement() as connection:
        await connection.execute("UPDATE job_queue SET state = 'queued', scheduled_for = now()")
        (claim,) = await queue.claim(worker.id, "flow", None, 1, "none")
        await connection.execute("UPDATE job_queue SET canceled_by = 'admin' WHERE job_id = $1", claim.job_id)
        await connection.execute("UPDATE worker SET lease_until = now() - interval '1 second'")
    assert await queue.rescue() == 1
