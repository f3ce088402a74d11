"""A worker: its lease, its slots, and the jobs in them.

Slots are reserved before jobs are claimed, so a claimed job always starts at once. Notifications only wake the claim
loops; polling alone is correct. On SIGTERM the worker drains: it claims no more, gives running jobs a grace, and
returns the rest to the queue.
"""

import asyncio
import os
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeVar
from uuid import UUID, uuid4

from millpond import __version__
from millpond.base.errors import MillpondError, Unavailable
from millpond.base.log import get_logger
from millpond.base.settings import Settings
from millpond.model.jobs import FLOW_KINDS, INLINE_KINDS, Claim, Lane
from millpond.runtimes.contract import Runtime
from millpond.services.concurrency import Concurrency
from millpond.services.flow_runs.performing import Bench
from millpond.services.flow_runs.runner import FlowRunner, Turned
from millpond.services.queue import Queue
from millpond.store.queue import HeldJob, Seat, WorkerRegistration
from millpond.worker.completion_writer import CompletionWriter
from millpond.worker.execution import Ending, Executor, inline_completion, masked
from millpond.worker.job_log import JobLog
from millpond.worker.log_writer import LogWriter
from millpond.worker.running import RunningJob
from millpond.worker.shared_directories import SharedDirectories, pin_of
from millpond.worker.wakeups import Wakeups

log = get_logger()

HEARTBEAT_SECS = 2.0
LONGEST_IDLE_SECS = 5.0
SHORTEST_IDLE_SECS = 0.05
INLINE_SLOTS = 400
FLOW_SLOTS = 100
RETRY_SECS = 0.5
ABANDON_SECS = 10.0
UNTURNED_SECS = 30.0

Written = TypeVar("Written")


class Worker:
    """Runs jobs until told to stop."""

    def __init__(
        self,
        settings: Settings,
        queue: Queue,
        concurrency: Concurrency,
        executor: Executor,
        flows: FlowRunner,
        logs: LogWriter,
        wakeups: Wakeups,
        runtimes: Sequence[Runtime],
        shared_directories: SharedDirectories,
        *,
        name: str,
        sandbox: str,
    ) -> None:
        self.id: UUID = uuid4()
        self._settings = settings
        self._queue = queue
        self._concurrency = concurrency
        self._executor = executor
        self._flows = flows
        self._logs = logs
        self._wakeups = wakeups
        self._runtimes = runtimes
        self._shared_directories = shared_directories
        self._name = name
        self._sandbox = sandbox
        self._pin = pin_of(name)
        self._held: dict[int, Claim] = {}
        self._unknown_since: dict[int, float] = {}
        self._all_ended = asyncio.Event()
        self._all_ended.set()
        self._running: dict[int, RunningJob] = {}
        self._stopping = asyncio.Event()
        self._jobs_done = 0
        self._completions = CompletionWriter(queue)

    def stop(self) -> None:
        """Begin to drain."""
        self._stopping.set()
        self._wakeups.wake_all()

    async def run(self) -> None:
        """Work until `stop`, then drain. Raises when the database cannot be reached at the start."""
        await self._queue.register(self._registration())
        log.info(
            "worker_started",
            worker_id=str(self.id),
            name=self._name,
            slots=self._settings.effective_slots,
            sandbox=self._sandbox,
        )
        try:
            await self._work()
            await self._queue.unregister(self.id)
        finally:
            # Also after a failure: the processes it keeps warm must not outlive it.
            await self._flows.aclose()
            for runtime in self._runtimes:
                await runtime.aclose()
        log.info("worker_stopped", worker_id=str(self.id), jobs_done=self._jobs_done)

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as side:
            tasks = [
                side.create_task(self._logs.run(), name="write logs"),
                side.create_task(self._wakeups.run(), name="listen for wake-ups"),
                side.create_task(self._beat(), name="heartbeat"),
                side.create_task(self._shared_directories.run(), name="shared directories"),
            ]
            async with asyncio.TaskGroup() as lanes:
                lanes.create_task(
                    self._serve_lane("process", self._settings.effective_slots), name="lane process"
                )
                lanes.create_task(self._serve_lane("inline", INLINE_SLOTS), name="lane inline")
                lanes.create_task(self._serve_lane("flow", FLOW_SLOTS), name="lane flow")
            await self._drain()
            for task in tasks:
                task.cancel()

    async def _serve_lane(self, lane: Lane, slots: int) -> None:
        free = slots
        woken = self._wakeups.event(lane)
        tasks: set[asyncio.Task[None]] = set()

        def release(task: asyncio.Task[None]) -> None:
            nonlocal free
            free += 1
            tasks.discard(task)
            woken.set()

        while not self._stopping.is_set():
            woken.clear()
            claims = await self._claim(lane, free) if free else []
            for claim in claims:
                free -= 1
                self._hold(claim)
                task = asyncio.create_task(self._run_job(claim), name=f"job {claim.job_id}")
                tasks.add(task)
                task.add_done_callback(release)
            if not claims or not free:
                await self._idle(lane, woken, full=not free)

    async def _claim(self, lane: Lane, limit: int) -> list[Claim]:
        try:
            return await self._claim_admitted(lane, limit)
        except MillpondError as error:
            log.warning("claim_failed", error=error.message)
            await asyncio.sleep(RETRY_SECS)
            return []

    async def _claim_admitted(self, lane: Lane, limit: int) -> list[Claim]:
        tags = self._settings.tags or None
        while not self._stopping.is_set():
            claims = await self._queue.claim(self.id, lane, tags, limit, self._sandbox, self._pin)
            admitted = await self._admitted(claims)
            # Where all were put back there is room in the queue: others may be due behind them.
            if admitted or not claims:
                return admitted
        return []

    async def _admitted(self, claims: list[Claim]) -> list[Claim]:
        """The claims that may run. The others are this worker's no more, and none is held before that is known."""
        if all(claim.concurrency_key is None for claim in claims):
            return claims
        while not self._stopping.is_set():
            try:
                return (await self._concurrency.admit(claims)).admitted
            except Unavailable as error:
                log.warning("database_unreachable", error=error.message)
                await asyncio.sleep(RETRY_SECS)
        return []  # they go back to the queue with all that the worker holds

    async def _idle(self, lane: Lane, woken: asyncio.Event, *, full: bool) -> None:
        wait = LONGEST_IDLE_SECS
        if not full:
            with suppress(MillpondError):
                due = await self._queue.next_due(lane, self._settings.tags or None, self._pin)
                # What is overdue and was not claimed is in other hands just now: look again, but not at once.
                wait = min(wait, max(due, SHORTEST_IDLE_SECS)) if due is not None else wait
        with suppress(TimeoutError):
            await asyncio.wait_for(woken.wait(), wait)

    def _hold(self, claim: Claim) -> None:
        self._held[claim.lease_token] = claim
        self._all_ended.clear()

    async def _run_job(self, claim: Claim) -> None:
        """Run a job, and in its slot the step of its flow that comes next, and so on."""
        following: Claim | None = claim
        while following is not None:
            claim, following = following, None
            try:
                following = await self._run_claim(claim)
            except Exception as error:  # the door of a run: the heartbeat gives back what was not completed
                log.error("job_not_completed", job_id=str(claim.job_id), exc_info=error)
            finally:
                del self._held[claim.lease_token]
                if following is not None:
                    self._hold(following)
                if not self._held:
                    self._all_ended.set()

    async def _run_claim(self, claim: Claim) -> Claim | None:
        if claim.kind in FLOW_KINDS:
            await self._turn(claim)
            return None
        if claim.kind in INLINE_KINDS:
            return await self._store(Ending(inline_completion(claim)))
        output = JobLog(claim, self._settings.job_log_bytes, self._logs.wake)
        task = asyncio.create_task(self._executor.run(claim, output), name=f"run {claim.job_id}")
        running = self._running[claim.lease_token] = RunningJob(claim, task)
        try:
            ending = await running.ended()
            return None if ending is None else await self._end(ending, output)
        finally:
            del self._running[claim.lease_token]

    async def _turn(self, claim: Claim) -> None:
        """A turn of a flow. One that cannot be made for a while, here, goes back to the queue by the heartbeat."""
        deadline = time.monotonic() + UNTURNED_SECS
        while True:
            try:
                self._went_on(claim, await self._flows.claimed(claim, self._bench()))
            except Unavailable as error:
                log.warning("flow_not_turned", job_id=str(claim.job_id), error=error.message)
                if time.monotonic() > deadline:
                    return
                await asyncio.sleep(RETRY_SECS)
            else:
                return

    async def _end(self, ending: Ending, output: JobLog) -> Claim | None:
        failed = ending.completion.status == "failure"
        await self._until_reached(lambda: self._logs.finish(output, secrets_matter=failed))
        return await self._store(ending._replace(completion=masked(ending.completion, output)))

    async def _store(self, ending: Ending) -> Claim | None:
        """Record how a job ended; the step of its flow that the worker holds from now on, if any."""
        claim = ending.completion.claim
        following = None
        if claim.flow_step_id is None or claim.parent_job is None:
            await self._completions.store(ending)
        else:
            turned = await self._completions.store_by(ending, self._end_step)
            following = self._went_on(claim, turned)
        self._jobs_done += 1
        return following

    async def _end_step(self, ending: Ending) -> Turned:
        return await self._flows.step_ended(ending.completion, self._bench())

    def _went_on(self, claim: Claim, turned: Turned) -> Claim | None:
        for flow_job in turned.ended_sharing:
            self._shared_directories.released(claim.workspace_id, flow_job)
        return turned.following

    def _bench(self) -> Bench:
        return Bench(
            Seat(self.id, self._sandbox),
            self._pin,
            self._settings.tags or None,
            open=not self._stopping.is_set(),
        )

    async def _until_reached(self, write: Callable[[], Awaitable[Written]]) -> Written:
        while True:
            try:
                return await write()
            except Unavailable as error:
                log.warning("database_unreachable", error=error.message)
                await asyncio.sleep(RETRY_SECS)

    async def _beat(self) -> None:
        while True:
            asked_at = time.monotonic()
            try:
                held = await self._queue.heartbeat(self.id, self._jobs_done, draining=self._stopping.is_set())
                if held is None:
                    await self._start_over()
                else:
                    self._compare(held, asked_at)
                    await self._give_back_unknown(held)
            except MillpondError as error:
                log.warning("heartbeat_failed", error=error.message)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wakeups.cancellation.wait(), HEARTBEAT_SECS)
            self._wakeups.cancellation.clear()

    def _compare(self, held: Sequence[HeldJob], asked_at: float) -> None:
        by_id = {job.job_id: job for job in held}
        for running in list(self._running.values()):
            known = by_id.get(running.claim.job_id)
            if known is not None and known.lease_token == running.claim.lease_token:
                if known.cancellation is not None:
                    running.cancel(known.cancellation)
            elif running.claimed_at < asked_at:
                running.abandon()

    async def _give_back_unknown(self, held: Sequence[HeldJob]) -> None:
        # A claim may be committed while its answer is still on the way: only what stays unknown for a while is lost.
        now = time.monotonic()
        unknown = {job.lease_token for job in held} - self._held.keys()
        self._unknown_since = {token: self._unknown_since.get(token, now) for token in unknown}
        lost = sorted(token for token, since in self._unknown_since.items() if now - since >= HEARTBEAT_SECS)
        if lost:
            await self._queue.give_back(self.id, lost)

    async def _start_over(self) -> None:
        # The lease ran out while this process was stopped or cut off, and its jobs were given to others.
        log.warning("lease_lost", worker_id=str(self.id), jobs=len(self._running))
        for running in list(self._running.values()):
            running.abandon()
        # Until it is registered anew it claims nothing: a job it gets back must not meet its own earlier attempt.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_ended.wait(), ABANDON_SECS)
        self.id = uuid4()
        await self._queue.register(self._registration(), comes_back=True)

    async def _drain(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_ended.wait(), self._settings.drain_secs)
        for running in list(self._running.values()):
            running.abandon()
        # What a database that is gone cannot record must not keep a worker from ending: its jobs are rescued.
        with suppress(TimeoutError):
            await asyncio.wait_for(self._all_ended.wait(), ABANDON_SECS)

    def _registration(self) -> WorkerRegistration:
        return WorkerRegistration(
            id=self.id,
            name=self._name,
            host=socket.gethostname(),
            process_id=os.getpid(),
            tags=self._settings.tags,
            slots=self._settings.effective_slots,
            version=__version__,
            sandbox=self._sandbox,
        )
