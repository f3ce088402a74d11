"""What the worker does with results the database cannot take: one spoils no other, and none is tried for ever."""

import asyncio
from collections.abc import Sequence
from uuid import uuid4

import pytest

from millpond.model.jobs import Claim, Completion
from millpond.services.queue import Queue
from millpond.store.queue import WorkerRegistration
from millpond.worker import completion_writer
from millpond.worker.completion_writer import CompletionWriter
from millpond.worker.execution import Ending
from tests.integration.live_instance import LiveInstance, eventually

POISON = '"poison"'
SCRIPT = "def main():\n    return 'poison'"

OUT_OF_MEMORY = "RAISE EXCEPTION 'out of memory' USING ERRCODE = '53200'"
OVER_TIME = "RAISE EXCEPTION 'canceling statement due to statement timeout' USING ERRCODE = '57014'"
CONNECTION_LOST = "RAISE EXCEPTION 'terminating connection' USING ERRCODE = '08006'"
DISK_FULL = "RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'"


async def spoil(live: LiveInstance, does: str, only: str = "NEW.result::text = '\"poison\"'") -> None:
    """Let the database fail at a result, by a trigger."""
    await live.execute(
        "CREATE OR REPLACE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN IF {only} THEN {does}; END IF; RETURN NEW; END $$"
    )
    await live.execute(
        "CREATE OR REPLACE TRIGGER spoil BEFORE INSERT ON job_completed FOR EACH ROW EXECUTE FUNCTION spoil()"
    )


@pytest.fixture
async def claims(idle: LiveInstance) -> list[Claim]:
    """Three jobs that a worker played by the test has claimed."""
    for _ in range(3):
        await idle.api.start(SCRIPT)
    queue = Queue(idle.database)
    worker = WorkerRegistration(
        id=uuid4(), name="hand", host="test", process_id=1, tags=[], slots=3, version="0", sandbox="none"
    )
    await queue.register(worker)
    return await queue.claim(worker.id, "process", None, 10, "none")


async def store_all(idle: LiveInstance, claims: Sequence[Claim], results: Sequence[str]) -> None:
    writer = CompletionWriter(Queue(idle.database))
    async with asyncio.TaskGroup() as group:
        for claim, result in zip(claims, results, strict=True):
            ending = Ending(Completion(claim=claim, status="success", result=result))
            group.create_task(writer.store(ending), name=f"store {result}")


@pytest.mark.parametrize("fault", [OUT_OF_MEMORY, OVER_TIME, CONNECTION_LOST])
async def test_a_result_that_breaks_its_write_ends_by_name_and_spoils_no_other(
    idle: LiveInstance, claims: list[Claim], fault: str
) -> None:
    await spoil(idle, fault)
    await asyncio.wait_for(store_all(idle, claims, ["1", POISON, "3"]), 20)
    jobs = [await idle.api.ended(str(claim.job_id)) for claim in claims]
    assert [job["result"] for job in jobs if job["success"]] == [1, 3]
    assert jobs[1]["result"]["error"]["name"] == "ResultNotStored"


async def test_others_of_the_write_do_not_wait_for_the_one_that_breaks_it(
    idle: LiveInstance, claims: list[Claim], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion_writer, "MOST_TRIES", 1_000_000)
    await spoil(idle, OUT_OF_MEMORY)
    storing = asyncio.create_task(store_all(idle, claims, ["1", POISON, "3"]))
    await idle.api.ended(str(claims[0].job_id))
    await idle.api.ended(str(claims[2].job_id))
    assert (await idle.api.job(str(claims[1].job_id)))["type"] == "QueuedJob"
    await spoil(idle, "NULL")
    await asyncio.wait_for(storing, 20)
    assert (await idle.api.ended(str(claims[1].job_id)))["result"] == "poison"


@pytest.mark.parametrize(
    "fault", [pytest.param(OUT_OF_MEMORY, id="all fail"), pytest.param(DISK_FULL, id="disk full")]
)
async def test_while_nothing_can_be_stored_a_result_waits(
    idle: LiveInstance, claims: list[Claim], fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion_writer, "RETRY_SECS", 0.01)
    await idle.execute("CREATE SEQUENCE tries")
    everything = (
        "nextval('tries') > 0"
        if fault is OUT_OF_MEMORY
        else "NEW.result::text = '1' AND nextval('tries') > 0"
    )
    await spoil(idle, fault, everything)
    storing = asyncio.create_task(store_all(idle, claims[:1], ["1"]))

    async def has_tried_long() -> bool:
        # A sequence goes on when its transaction is undone.
        (row,) = await idle.execute("SELECT last_value FROM tries")
        return int(row["last_value"]) > 4 * completion_writer.MOST_TRIES

    await eventually(has_tried_long)
    assert not storing.done()
    await spoil(idle, "NULL")
    await asyncio.wait_for(storing, 20)
    job = await idle.api.ended(str(claims[0].job_id))
    assert (job["success"], job["result"]) == (True, 1)


async def test_a_worker_ends_a_job_whose_result_drops_the_connection(idle: LiveInstance) -> None:
    await spoil(idle, CONNECTION_LOST)
    async with idle.worker():
        job = await idle.api.run(SCRIPT)
        assert (job["success"], job["result"]["error"]["name"]) == (False, "ResultNotStored")
        assert (await idle.api.run("def main(): return 1"))["result"] == 1
