"""Storing a turn: where the flows stand, the steps that ended, the jobs that come next, all in one transaction."""

from typing import NamedTuple
from uuid import UUID

import msgspec

from millpond.engine.events import CancelAsked, ChildEnded, Event
from millpond.engine.references import Place
from millpond.engine.status import Phase
from millpond.model.jobs import FLOW_KINDS, INLINE_KINDS, Cancellation, Claim, NewJob
from millpond.model.results import canceled_result
from millpond.services.flow_runs import caching
from millpond.services.flow_runs.inbox import tell, tell_all
from millpond.services.flow_runs.plan import Plan, cancellation_of
from millpond.services.flow_runs.run import Run
from millpond.services.job_endings import Ended, end_jobs, follow_ends
from millpond.store import flow_endings
from millpond.store import flow_runs as store
from millpond.store import queue as queue_store
from millpond.store.flow_runs import Advance, FinishedRun
from millpond.store.pool import Transaction
from millpond.store.queue import Entry, Lease, Seat

ENTRIES_A_WRITE = 2000


class Moved(Exception):
    """A flow is not where the turn took it to be: the turn must be worked out anew."""


class Stale(Exception):
    """A step of the turn was not this worker's any more; `live` are the completions that still count."""

    def __init__(self, live: set[UUID]) -> None:
        super().__init__()
        self.live = live


class Bench(NamedTuple):
    """Where a worker takes steps up: its lease, the name its flows are pinned to, the tags it runs (None: all), and whether
    it takes any, with how many slots the turn leaves `free`."""

    seat: Seat
    pin: str
    tags: list[str] | None
    open: bool
    free: int = 0


class Performed(NamedTuple):
    """What came of a turn: jobs the worker holds now, and flows with a shared directory that have ended."""

    claims: list[Claim]
    ended_sharing: list[UUID]


async def perform(transaction: Transaction, plan: Plan, worker: Bench) -> Performed:
    """Store a turn. Raises Moved and Stale, after which nothing of the transaction may be kept."""
    stored = [run for run in plan.runs.values() if run.version is not None and run.matters]
    if stored and not await store.advance_runs(
        transaction, plan.workspace_id, [_advance(run) for run in stored]
    ):
        raise Moved
    if plan.completions:
        done = await queue_store.complete_jobs(transaction, plan.completions)
        if len(done) < len(plan.completions):
            raise Stale(done)
    claims = await _push(transaction, plan, worker)
    await _keep_items(transaction, plan)
    await _let_wait(transaction, plan)
    ended_sharing = await _finish(transaction, plan)
    ended = _ended(plan)
    for run in plan.runs.values():
        for line in run.lines:
            await store.append_line(transaction, plan.workspace_id, run.id, line)
        if run.cancel is not None:
            ended += await _cancel_children(transaction, plan, run)
    await _leave_rest(transaction, plan)
    await follow_ends(transaction, ended)
    return Performed(claims, ended_sharing)


def _advance(run: Run) -> Advance:
    assert run.version is not None
    return Advance(
        run.id,
        run.version,
        msgspec.json.encode(run.status).decode(),
        run.replaced_args,
        run.early_result,
        run.wake_secs,
        run.keeps_wake,
    )


# --- pushing


async def _push(transaction: Transaction, plan: Plan, worker: Bench) -> list[Claim]:
    entries = _started([Entry(child.job, ended=child.ended) for child in plan.pushed], worker)
    entries += [_begun(run) for run in plan.runs.values() if run.version is None]
    claims: list[Claim] = []
    for start in range(0, len(entries), ENTRIES_A_WRITE):
        chunk = entries[start : start + ENTRIES_A_WRITE]
        leases = await queue_store.push_entries(transaction, chunk, worker.seat)
        claims += [_claim(entry.job, leases[entry.job.id]) for entry in chunk if entry.starts]
    return claims


def _started(entries: list[Entry], worker: Bench) -> list[Entry]:
    """The first of the jobs go to this worker at once, as many as it has room for: no way through the queue."""
    free = worker.free if worker.open else 0
    chosen = []
    for entry in entries:
        starts = free > 0 and entry.ended is None and _fits(entry.job, worker)
        free -= starts
        chosen.append(entry._replace(starts=starts))
    return chosen


def _fits(job: NewJob, worker: Bench) -> bool:
    if job.kind in FLOW_KINDS or job.kind in INLINE_KINDS or job.concurrency_key is not None:
        return False
    if job.pinned_to is not None:
        return job.pinned_to == worker.pin
    return worker.tags is None or job.tag in worker.tags


def _begun(run: Run) -> Entry:
    """A flow that begins in this turn, and perhaps ends in it."""
    job = _new_job(run)
    ended = None
    if run.finish is not None:
        ended = (run.finish.status, run.result or "null")
    status = msgspec.json.encode(run.status).decode()
    return Entry(job, begun=ended is None, ended=ended, flow_status=status)


def _new_job(run: Run) -> NewJob:
    named = {name: getattr(run.job, name) for name in NewJob.__struct_fields__ if hasattr(run.job, name)}
    return NewJob(**named)


def _claim(job: NewJob, lease: Lease) -> Claim:
    named = {name: getattr(job, name) for name in Claim.__struct_fields__ if hasattr(job, name)}
    named |= {"job_id": job.id, "lease_token": lease.lease_token, "scheduled_for": lease.scheduled_for}
    return Claim(rescues=0, **named)


async def _keep_items(transaction: Transaction, plan: Plan) -> None:
    for run in plan.runs.values():
        if run.finish is not None:
            continue
        for module, attempt in run.new_items:
            texts = [bytes(item).decode() for item in run.items[module, attempt]]
            await store.keep_items(transaction, plan.workspace_id, run.id, module, attempt, texts)


# --- waiting and ending


async def _let_wait(transaction: Transaction, plan: Plan) -> None:
    """What a claim held, and what sleeps or waits from now on, goes back to the queue."""
    resting = [
        (run.id, run.job.pinned_to)
        for run in plan.runs.values()
        if run.finish is None
        and (run.is_claimed or run.asked_to_wake or run.was_resting or _is_new_with_deadline(run))
    ]
    new = [run for run in plan.runs.values() if run.version is None and run.asked_to_wake and not run.finish]
    if new:
        advances = [_advance_new(run) for run in new]
        await store.advance_runs(transaction, plan.workspace_id, advances)
    if resting:
        await store.settle_runs(transaction, plan.workspace_id, resting)


def _is_new_with_deadline(run: Run) -> bool:
    return run.version is None and run.job.timeout_s is not None


def _advance_new(run: Run) -> Advance:
    run.version = 0
    advance = _advance(run)
    run.version = None
    return advance


async def _finish(transaction: Transaction, plan: Plan) -> list[UUID]:
    finished = [run for run in plan.runs.values() if run.finish is not None]
    stored = [_finished(run) for run in finished if run.version is not None]
    if stored:
        await store.finish_runs(transaction, plan.workspace_id, stored)
    for run in plan.runs.values():
        await caching.keep_key(transaction, run)
        await caching.keep_result(transaction, run)
    for run in finished:
        if run.version is None and run.labels:
            await store.label_finished(transaction, plan.workspace_id, run.id, run.labels)
    early = [run.id for run in plan.runs.values() if run.early_result is not None and run.finish is None]
    if early:
        await store.tell_early(transaction, early)
    return [run.id for run in finished if run.flow.same_worker]


def _ended(plan: Plan) -> list[Ended]:
    """The steps and flows that end in this turn."""
    steps = [Ended.of(plan.workspace_id, completion.claim) for completion in plan.completions]
    flows = [
        Ended(plan.workspace_id, run.id, run.job.concurrency_key, is_root=not run.job.is_step)
        for run in plan.runs.values()
        if run.finish is not None
    ]
    return steps + flows


def _finished(run: Run) -> FinishedRun:
    assert run.finish is not None
    assert run.result is not None
    by, reason = cancellation_of(run) if run.finish.status == "canceled" else (None, None)
    return FinishedRun(run.id, run.finish.status, run.result, run.labels, by, reason)


# --- cancelling


async def _cancel_children(transaction: Transaction, plan: Plan, run: Run) -> list[Ended]:
    """End what has not begun, ask running jobs to end, and have flows cancel theirs; what has ended."""
    assert run.cancel is not None
    canceling = [each.id for each in plan.runs.values() if each.cancel is not None]
    if run.id == canceling[0]:
        # All at once, before any job below is held: a flow's own turn holds the flow before what it has in the queue.
        await flow_endings.lock_below(transaction, plan.workspace_id, canceling)
    why = Cancellation(run.cancel.by, run.cancel.reason)
    heard: list[Event] = []
    ended: list[Ended] = []
    waiting: list[UUID] = []
    for child in await store.lock_live_children(transaction, plan.workspace_id, run.id):
        if child.kind in FLOW_KINDS and child.has_begun:
            plan.told.add(child.job_id)
            force = run.finish is not None
            await tell(
                transaction, plan.workspace_id, child.job_id, CancelAsked(why.by, why.reason, force=force)
            )
        elif child.state == "running":
            _, below = await end_jobs(transaction, plan.workspace_id, child.job_id, why)
            ended += below
        else:
            waiting.append(child.job_id)
            ended.append(Ended(plan.workspace_id, child.job_id, child.concurrency_key, is_root=False))
            heard.append(
                ChildEnded(Place(child.step_place, child.step_attempt, child.step_index), "canceled")
            )
    if waiting:
        result = canceled_result(why.by, why.reason)
        await queue_store.end_all_canceled(transaction, plan.workspace_id, waiting, result, why)
    if heard and run.status.phase is not Phase.ENDED:
        plan.told.add(run.id)
        await tell_all(transaction, plan.workspace_id, run.id, heard)
    return ended


async def _leave_rest(transaction: Transaction, plan: Plan) -> None:
    """What a long turn had no room for is said to the flows again."""
    rest: dict[UUID, list[Event]] = {}
    for flow_job, event in plan.left:
        rest.setdefault(flow_job, []).append(event)
    if len(rest) > 1:
        # Telling holds what the flow has in the queue: no flow may be waited for after that.
        await store.lock_runs(transaction, plan.workspace_id, sorted(rest))
    for flow_job in sorted(rest):
        await tell_all(transaction, plan.workspace_id, flow_job, rest[flow_job])
