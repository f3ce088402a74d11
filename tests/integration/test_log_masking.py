"""Whose logs a secret is masked in, and that none slips through while the worker asks what to mask."""

from uuid import UUID, uuid4

import msgspec
import pytest

from millpond.model.actors import Actor, JobIdentity
from millpond.model.jobs import Claim
from millpond.services.queue import Queue
from millpond.services.secrets_seen import SeenSecret, newly_seen
from millpond.services.workspace_keys import WorkspaceKeys
from millpond.store.queue import WorkerRegistration
from millpond.worker.job_log import JobLog
from millpond.worker.log_writer import LogWriter
from tests.integration.live_instance import LiveInstance

SECRET = "swordfish-of-the-deep"
CODE = "def main(): pass"


class Printer:
    """A worker's logs of jobs that the test plays, on a real database."""

    def __init__(self, live: LiveInstance) -> None:
        self.live = live
        self.keys = WorkspaceKeys(live.database, live.master_key)
        self.queue = Queue(live.database)
        self.writer = LogWriter(self.queue, self.seen)

    async def seen(self, workspace_id: str, jobs: list[UUID], known: list[int]) -> list[SeenSecret]:
        return await newly_seen(self.live.database, self.keys, workspace_id, jobs, known)

    async def log(self, *, cap_bytes: int = 10**6, **query: str) -> JobLog:
        """The log of a new job, claimed."""
        await self.live.api.start(CODE, **query)
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
        await self.queue.register(worker)
        (claim,) = await self.queue.claim(worker.id, "process", None, 10, "none")
        return JobLog(claim, cap_bytes, self.writer.wake)

    async def read_secret(self, claim: Claim) -> str:
        """The job reads the secret, as the server lets it."""
        job = JobIdentity(job_id=claim.job_id, state_path=None)
        actor = Actor(workspace_id="main", email="admin@localhost", username="admin", is_admin=True, job=job)
        return await self.live.services.variables.get_value(actor, "u/admin/s")

    async def flush(self, *logs: JobLog) -> None:
        """What the background round does."""
        await self.writer.flush(list(logs))

    async def stored(self, job_log: JobLog) -> str:
        return await self.live.api.logs(str(job_log.claim.job_id))


@pytest.fixture
async def printer(idle: LiveInstance) -> Printer:
    body = {"path": "u/admin/s", "value": SECRET, "is_secret": True, "description": ""}
    assert (await idle.api.post("variables/create", body)).status_code == 201
    return Printer(idle)


async def test_a_secret_printed_while_notes_are_looked_for_is_masked(
    printer: Printer, idle: LiveInstance
) -> None:
    job_log = await printer.log()

    async def seen_just_before(workspace_id: str, jobs: list[UUID], known: list[int]) -> list[SeenSecret]:
        found = await printer.seen(workspace_id, jobs, known)
        if not known and not found:
            job_log.write(f"late {await printer.read_secret(job_log.claim)}\n".encode())
        return found

    printer.writer = LogWriter(printer.queue, seen_just_before)
    job_log.write(b"early\n")
    await printer.flush(job_log)
    assert await printer.stored(job_log) == "early\n"
    await printer.flush(job_log)
    assert await printer.stored(job_log) == "early\nlate ********\n"


async def test_a_secret_is_masked_in_the_logs_of_its_job_and_its_children_only(printer: Printer) -> None:
    reader, stranger = await printer.log(), await printer.log()
    await printer.read_secret(reader.claim)
    for job_log in (reader, stranger):
        job_log.write(f"a {SECRET}\n".encode())
    await printer.flush(reader, stranger)
    child = await printer.log(parent_job=str(reader.claim.job_id))
    for job_log in (reader, child, stranger):
        job_log.write(f"b {SECRET}\n".encode())
    await printer.flush(stranger, reader, child)
    assert await printer.stored(reader) == "a ********\nb ********\n"
    assert await printer.stored(child) == "b ********\n"
    assert await printer.stored(stranger) == f"a {SECRET}\nb {SECRET}\n"


async def test_naming_a_strangers_job_as_parent_tells_nothing_of_its_secrets(
    printer: Printer,
) -> None:
    reader = await printer.log()
    await printer.read_secret(reader.claim)
    claim = msgspec.structs.replace(
        reader.claim,
        job_id=uuid4(),
        parent_job=reader.claim.job_id,
        created_by="eve",
        permissioned_as="u/eve",
    )
    guesses = JobLog(claim, 10**6, printer.writer.wake)
    guesses.write(f"{SECRET} {SECRET[:5]}".encode())
    await printer.flush(guesses)
    assert not guesses.has_output  # nothing is held back either
    assert guesses.mask.apply(SECRET) == SECRET


async def test_much_text_goes_out_in_several_writes(printer: Printer) -> None:
    logs = [await printer.log(cap_bytes=10**7) for _ in range(3)]
    text = "0123456789abcdef" * (4 * 1024 * 1024 // 16) + "\n"
    for job_log in logs:
        job_log.write(text.encode())
    await printer.flush(*logs)
    for job_log in logs:
        assert await printer.stored(job_log) == text
