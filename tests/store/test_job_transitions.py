"""The states of a job against the statements that change them: each pair of states, every door."""

from itertools import product
from uuid import UUID, uuid4

import pytest

from millpond.base.ids import new_job_id
from millpond.model.jobs import TRANSITIONS, Cancellation, Completion, NewJob
from millpond.model.results import canceled_result
from millpond.services.queue import Queue
from millpond.store import queue as store
from millpond.store.pool import Database, Transaction
from millpond.store.queue import WorkerRegistration

# Only flows wait, and only their turns let them: see tests/integration/flows.
STATES = [state for state in TRANSITIONS if state != "waiting"]
ENDS = ("success", "failure", "canceled", "skipped")
WHY = Cancellation("henri", "enough")


async def register(database: Database) -> UUID:
    worker = WorkerRegistration(
        id=uuid4(),
        name=str(uuid4()),
        host="test",
        process_id=1,
        tags=[],
        slots=1,
        version="0",
        sandbox="none",
    )
    await Queue(database).register(worker)
    return worker.id


async def push(database: Database) -> NewJob:
    job = NewJob(
        id=new_job_id(),
        workspace_id="main",
        kind="preview",
        args="{}",
        tag="python3",
        created_by="henri",
        permissioned_as="u/henri",
        email="henri@example.com",
    )
    async with database.transaction() as transaction:
        await store.push_jobs(transaction, [job])
    return job


async def state_of(database: Database, job_id: UUID) -> str:
    async with database.statement() as connection:
        rows = await connection.fetch(
            "SELECT state AS s FROM job_queue WHERE job_id = $1"
            " UNION ALL SELECT status FROM job_completed WHERE job_id = $1",
            job_id,
        )
    (row,) = rows  # never in both, never in neither
    return str(row["s"])


@pytest.mark.parametrize(("start", "end"), list(product(STATES, STATES)))
async def test_a_door_opens_exactly_for_the_transitions_of_the_table(
    database: Database, start: str, end: str
) -> None:
    worker, queue = await register(database), Queue(database)
    job = await push(database)
    claims = []
    if start != "queued":
        claims = await queue.claim(worker, "process", None, 1, "none")
    if start in ENDS:
        await queue.complete([Completion(claim=claims[0], status=start, result="1")])  # type: ignore[arg-type]
    assert await state_of(database, job.id) == start
    async with database.transaction() as transaction:
        await _through(transaction, queue, worker, job, claims, end)
    if end == "running":
        await queue.claim(worker, "process", None, 1, "none")
    if end in ENDS and claims:
        await queue.complete([Completion(claim=claims[0], status=end, result="2")])  # type: ignore[arg-type]
    reached = await state_of(database, job.id)
    assert reached == (end if end in TRANSITIONS[start] else start)


async def _through(
    transaction: Transaction, queue: Queue, worker: UUID, job: NewJob, claims: object, end: str
) -> None:
    if end == "queued":
        await store.release_jobs(transaction, worker, count_rescue=True, most_rescues=3)
    if end == "canceled":
        result = canceled_result(WHY.by, WHY.reason)
        await store.end_canceled(transaction, job.workspace_id, job.id, result, WHY)
