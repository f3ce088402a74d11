"""Whose logs a secret is masked in, and that none slips through while the worker asks what to mask."""

from uuid import UUID, uuid4

import pytest

from millpond.model.actors import Actor, JobIdentity
from millpond.services.queue import Queue
from millpond.services.secrets_seen import SeenSecret, newly_seen
from millpond.services.workspace_keys import WorkspaceKeys
from millpond.store.queue import WorkerRegistration
from millpond.worker.job_log import JobLog
from millpond.worker.log_writer import LogWriter
from tests.integration.flow_trees import push, push_flow
from tests.integration.live_instance import Api, LiveInstance

SECRET = "swordfish-of-the-deep"
CODE = "def main(): pass"


class Printer:
    """A worker's logs of jobs that the test plays, on a real database."""

    def __init__(self, live: LiveInstance) -> None:
        self.live = live
        self.keys = WorkspaceKeys(live.database, live.master_key)
        self.queue = Queue(live.database)
        self.writer = LogWriter(self.queue, self.seen)

    async def seen(
        self, workspace_id: str, jobs: list[UUID], known: list[tuple[UUID, int]]
    ) -> list[SeenSecret]:
        return await newly_seen(self.live.database, self.keys, workspace_id, jobs, known)

    async def log(self, *, cap_bytes: int = 10**6, api: Api | None = None, **query: str) -> JobLog:
        """The log of a new job, claimed."""
        await (api or self.live.api).start(CODE, **query)
        return await self.claimed(cap_bytes)

    async def step(self, flow_job: UUID) -> JobLog:
        """The log of a new step of a flow, claimed."""
        await push(self.live.database, parent=flow_job, flow_step_id="a", step_attempt=0)
        return await self.claimed()

    async def claimed(self, cap_bytes: int = 10**6) -> JobLog:
        """The log of the only job that waits."""
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

    async def read_secret(self, job_id: UUID) -> str:
        """The job reads the secret, as the server lets it."""
        job = JobIdentity(job_id=job_id, state_path=None)
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

    async def seen_just_before(
        workspace_id: str, jobs: list[UUID], known: list[tuple[UUID, int]]
    ) -> list[SeenSecret]:
        found = await printer.seen(workspace_id, jobs, known)
        if not known and not found:
            job_log.write(f"late {await printer.read_secret(job_log.claim.job_id)}\n".encode())
        return found

    printer.writer = LogWriter(printer.queue, seen_just_before)
    job_log.write(b"early\n")
    await printer.flush(job_log)
    assert await printer.stored(job_log) == "early\n"
    await printer.flush(job_log)
    assert await printer.stored(job_log) == "early\nlate ********\n"


async def test_a_secret_is_masked_in_the_logs_of_its_job_and_its_children_only(printer: Printer) -> None:
    reader, stranger = await printer.log(), await printer.log()
    await printer.read_secret(reader.claim.job_id)
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


async def test_a_secret_of_a_flow_in_between_is_masked_in_the_logs_of_all_steps_below(
    printer: Printer, idle: LiveInstance
) -> None:
    root = await push_flow(idle.database)
    body, beside = [
        await push_flow(idle.database, kind="flownode", parent=root, flow_step_id=name, step_attempt=0)
        for name in ("l", "m")
    ]
    branch = await push_flow(idle.database, kind="flownode", parent=body, flow_step_id="b", step_attempt=0)
    await printer.read_secret(body)
    inner, stranger = await printer.step(branch), await printer.step(beside)
    started = await printer.log(parent_job=str(inner.claim.job_id), root_job=str(root))
    for job_log in (inner, started, stranger):
        job_log.write(f"a {SECRET}\n".encode())
    await printer.flush(inner, started, stranger)
    assert await printer.stored(inner) == "a ********\n"
    assert await printer.stored(started) == "a ********\n"
    assert await printer.stored(stranger) == f"a {SECRET}\n"


async def test_a_note_is_told_to_each_log_once(printer: Printer) -> None:
    reader = await printer.log()
    child = await printer.log(parent_job=str(reader.claim.job_id))
    await printer.read_secret(reader.claim.job_id)
    jobs = [reader.claim.job_id, child.claim.job_id]
    (first, _) = seen = await printer.seen("main", jobs, [])
    assert {secret.printer for secret in seen} == set(jobs)
    left = await printer.seen("main", jobs, [(jobs[0], first.number)])
    assert [secret.printer for secret in left] == [jobs[1]]


async def test_naming_a_strangers_job_as_parent_tells_nothing_of_its_secrets(
    printer: Printer, idle: LiveInstance
) -> None:
    eve = await idle.member("eve", "admin")
    reader = await printer.log()
    await printer.read_secret(reader.claim.job_id)
    named = str(reader.claim.job_id)
    guesses = await printer.log(api=eve, parent_job=named, root_job=named)
    guesses.write(f"{SECRET} {SECRET[:5]}".encode())
    await printer.flush(guesses)
    assert not guesses.has_output  # nothing is held back either
    assert await printer.stored(guesses) == f"{SECRET} {SECRET[:5]}"


async def test_steps_of_a_flow_below_a_strangers_job_learn_nothing_of_its_secrets(
    printer: Printer, idle: LiveInstance
) -> None:
    reader = await printer.log()
    await printer.read_secret(reader.claim.job_id)
    flow = await push_flow(idle.database, parent=reader.claim.job_id, by="eve")
    guesses = await printer.step(flow)
    guesses.write(SECRET.encode())
    await printer.flush(guesses)
    assert await printer.stored(guesses) == SECRET


async def test_much_text_goes_out_in_several_writes(printer: Printer) -> None:
    logs = [await printer.log(cap_bytes=10**7) for _ in range(3)]
    text = "0123456789abcdef" * (4 * 1024 * 1024 // 16) + "\n"
    for job_log in logs:
        job_log.write(text.encode())
    await printer.flush(*logs)
    for job_log in logs:
        assert await printer.stored(job_log) == text
