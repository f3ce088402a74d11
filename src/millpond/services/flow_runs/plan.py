"""A turn worked out in memory: events heard, expressions evaluated, and all that follows at once, until only jobs, times
and approvals are left to wait for. `performing.perform` stores it.

One turn may move several flows of a tree: a body that ends moves the flow around it, a sub-flow begins in the turn that
reaches it, and steps that run nothing end as soon as they are pushed.
"""

import random
from collections import deque
from collections.abc import Sequence
from uuid import UUID

import msgspec

from millpond.engine.advance import advance
from millpond.engine.effects import (
    AnswerEarly,
    CancelJobs,
    Effect,
    Evaluate,
    Finish,
    KeepItems,
    Log,
    NewChild,
    PushJobs,
    ReplaceArguments,
    Sleep,
    Suspend,
)
from millpond.engine.events import CancelAsked, ChildEnded, Evaluated, Event, Started, Woken, recovers
from millpond.engine.references import Constant, Place
from millpond.engine.retries import jittered
from millpond.engine.status import Canceled, Phase, initial_status
from millpond.model.flow_runs import FlowJob
from millpond.model.jobs import FLOW_KINDS, Claim, Completion, NewJob
from millpond.model.results import error_result, labels_of
from millpond.services.flow_runs.caching import find_equal
from millpond.services.flow_runs.children import Child, Children
from millpond.services.flow_runs.finder import Finder
from millpond.services.flow_runs.inbox import read_event
from millpond.services.flow_runs.library import LoadedRun
from millpond.services.flow_runs.names import Names
from millpond.services.flow_runs.run import WAITS, Run
from millpond.services.flow_runs.scope import Scope, Surroundings
from millpond.services.flow_runs.values import Values
from millpond.services.result_cache import cached_note
from millpond.store import flows as flow_store

TIMED_OUT = "$timeout"
"""Who cancels a flow that takes too long; no user has such a name."""

MOST_EVENTS = 400
"""Events of one turn. A loop whose steps all end at once would otherwise be one endless transaction."""


class Plan:
    """A turn of flows of one tree. `known` are flows as an earlier turn of this worker left them."""

    def __init__(
        self,
        surroundings: Surroundings,
        children: Children,
        values: Values,
        known: dict[UUID, LoadedRun],
        workspace_id: str,
        pin: str,
    ) -> None:
        self._surroundings = surroundings
        self._children = children.for_turn()
        self._known = known
        self.values = values
        self.workspace_id = workspace_id
        self._pin = pin
        self.runs: dict[UUID, Run] = {}
        self.pushed: list[Child] = []
        self.completions: list[Completion] = []
        self.told: set[UUID] = set()
        """Flows that were said something as the turn was stored."""
        self._todo: deque[tuple[UUID, Event]] = deque()
        self._finder = Finder(surroundings.database, surroundings.library, workspace_id, known, self.runs)
        self._names = Names(self._finder.find, self._finder.child_at)

    # --- what happened

    def add_completion(self, completion: Completion) -> None:
        """A step of a flow has ended on this worker."""
        claim = completion.claim
        assert claim.parent_job is not None
        self.completions.append(completion)
        self._child_ended(
            claim.parent_job,
            place_of(claim),
            completion.status,
            completion.result,
            canceled=_canceled(completion),
        )

    async def add_claim(self, claim: Claim) -> None:
        """A flow job was claimed: it begins, wakes, or has been told something."""
        # Whether it is time to wake is the database's to say.
        self._known.pop(claim.job_id, None)
        run = await self._run(claim.job_id)
        if run is None:
            return
        run.is_claimed = True
        if run.status.phase is Phase.FRESH:
            if not await self._replays(run, claim):
                self._pin_down(run)
                self._todo.append((run.id, Started()))
        elif run.is_late and run.status.canceled is None:
            reason = f"the flow took longer than {run.job.timeout_s} s"
            self._todo.append((run.id, CancelAsked(TIMED_OUT, reason)))
        elif run.status.phase in WAITS and run.is_due:
            self._todo.append((run.id, Woken(run.status.waits)))

    async def _replays(self, run: Run, claim: Claim) -> bool:
        """Whether a flow that begins ends at once, with the result of an equal run."""
        if any(flow_job == run.id for flow_job, _ in self._todo):
            return False  # it has been cancelled
        found = await find_equal(self._surroundings, run, claim)
        if found is None:
            return False
        run.lines.append(cached_note(found))
        run.is_replay = True
        run.status = msgspec.structs.replace(run.status, phase=Phase.ENDED)
        await self._finish(run, Finish(status="success", result=Constant(msgspec.Raw(found.result.encode()))))
        return True

    @property
    def left(self) -> Sequence[tuple[UUID, Event]]:
        """What the turn had no room for: the flows hear of it in the next."""
        return self._todo

    async def settle(self) -> None:
        """Work the turn out. Raises MillpondError when a flow cannot be read."""
        for _ in range(MOST_EVENTS):
            if not self._todo:
                return
            flow_job, event = self._todo.popleft()
            run = await self._run(flow_job)
            if run is not None and run.finish is None:
                await self._hear(run, event)

    # --- one event

    async def _hear(self, run: Run, event: Event) -> None:
        run.has_heard = True
        status, effects = advance(run.flow, run.status, event)
        while True:
            run.is_touched = run.is_touched or status is not run.status
            run.status = status
            question: Evaluate | None = None
            for effect in effects:
                if isinstance(effect, Evaluate):
                    question = effect
                else:
                    await self._take(run, effect)
            if question is None:
                return
            scope = Scope(self._surroundings, run, question.bindings, self.values, self._names)
            answers = Evaluated(question.id, await scope.answer(question))
            status, effects = advance(run.flow, run.status, answers)

    async def _take(self, run: Run, effect: Effect) -> None:
        match effect:
            case PushJobs(children):
                await self._push(run, children)
            case KeepItems(place, items):
                run.items[place.module, place.attempt] = items
                run.new_items.add((place.module, place.attempt))
            case ReplaceArguments(result):
                run.args = run.replaced_args = _as_arguments(await self.values.text_of(result, run))
            case AnswerEarly(result):
                run.early_result = await self.values.text_of(result, run)
            case Sleep(_, seconds, jitter):
                # Only retries vary, and only they are capped.
                run.waits(jittered(seconds, jitter, random.random()) if jitter else seconds)  # noqa: S311
            case Suspend(_, _, _, timeout):
                run.waits(timeout)
            case CancelJobs():
                run.cancel = effect
            case Log(message):
                run.lines.append(message)
            case Finish():
                await self._finish(run, effect)

    async def _finish(self, run: Run, finish: Finish) -> None:
        canceled = run.status.canceled
        if finish.status == "canceled" and canceled is not None and canceled.by == TIMED_OUT:
            result = error_result("ExecutionErr", f"timeout: {canceled.reason}", step_id=run.job.flow_step_id)
            finish = Finish(status="failure", result=Constant(msgspec.Raw(result.encode())))
        run.finish = finish
        run.result = await self.values.text_of(finish.result, run)
        run.labels = await self._labels(run, run.result)
        job = run.job
        if job.is_step and job.parent_job is not None:
            self._child_ended(
                job.parent_job, run.own_place, finish.status, run.result, finish, run.status.canceled
            )

    async def _labels(self, run: Run, result: str) -> list[str] | None:
        """The labels of the deployed flow, and those its result names."""
        named = labels_of(result.encode()) or []
        if run.job.flow_version is None:
            return named or None
        async with self._surroundings.database.statement() as connection:
            own = await flow_store.get_labels(connection, self.workspace_id, run.job.flow_version)
        return sorted({*own, *named}) or None

    def _child_ended(
        self,
        flow_job: UUID,
        place: Place,
        status: str,
        result: str,
        finish: Finish | None = None,
        canceled: Canceled | None = None,
    ) -> None:
        self.values.add(flow_job, place, result)
        event = ChildEnded(
            place,
            status,  # type: ignore[arg-type]  # the same words
            stop=finish.stop if finish else None,
            handled=finish.handled if finish else False,
            recovers=recovers(result.encode()),
            canceled=canceled,
        )
        self._todo.append((flow_job, event))

    # --- pushing

    async def _push(self, run: Run, children: Sequence[NewChild]) -> None:
        for wanted in children:
            child = await self._children.make(run, wanted, self.values)
            if child.ended is not None:
                self.pushed.append(child)
                self._child_ended(run.id, wanted.place, *child.ended)
            elif len(children) == 1 and _begins_here(child.job):
                await self._begin(child.job)
            else:
                self.pushed.append(child)

    async def _begin(self, job: NewJob) -> None:
        """A flow that alone comes next begins in this very turn."""
        flow_job = _flow_job(job)
        if job.flow_version is not None:
            flow = await self._surroundings.library.version(job.workspace_id, job.flow_version)
        else:
            assert job.parent_job is not None
            flow = self._surroundings.library.body(self.runs[job.parent_job].flow, flow_job)
        status = initial_status(len(flow.modules), preprocess=False)
        run = self.runs[job.id] = Run(flow_job, flow, status, job.args, None)
        self._pin_down(run)
        self._todo.append((job.id, Started()))

    def _pin_down(self, run: Run) -> None:
        """A flow whose steps share a directory stays on the worker that begins it."""
        if run.flow.same_worker and run.job.pinned_to is None:
            run.job = msgspec.structs.replace(run.job, pinned_to=self._pin, same_worker=True)

    # --- finding flows

    async def _run(self, flow_job: UUID) -> Run | None:
        """A flow for this turn to move, with what was said to it; None when there is none, or it has ended."""
        run = self.runs.get(flow_job)
        if run is not None:
            return run
        loaded = await self._finder.load(flow_job)
        if loaded is None or not loaded.stored.is_live:
            return None
        run = self.runs[flow_job] = Run.of(loaded)
        for text in loaded.stored.messages:
            self._todo.append((flow_job, read_event(text)))
        return run


def _canceled(completion: Completion) -> Canceled | None:
    if completion.canceled_by is None:
        return None
    return Canceled(completion.canceled_by, completion.canceled_reason or "")


def place_of(claim: Claim) -> Place:
    """Where a flow finds a step's job."""
    assert claim.step_place is not None
    assert claim.step_attempt is not None
    return Place(claim.step_place, claim.step_attempt, claim.step_index)


def cancellation_of(run: Run) -> tuple[str | None, str | None]:
    """Who cancelled the flow, and why, if somebody did."""
    canceled = run.status.canceled
    return (None, None) if canceled is None else (canceled.by, canceled.reason)


def _begins_here(job: NewJob) -> bool:
    """Whether a job is a flow that needs no claim: that is where permits are asked for, and kept results looked for."""
    return job.kind in FLOW_KINDS and job.concurrency_key is None and not job.cache_ttl_s


def _flow_job(job: NewJob) -> FlowJob:
    from_job = {name: getattr(job, name) for name in FlowJob.__struct_fields__ if hasattr(job, name)}
    return FlowJob(**{**from_job, "scheduled_for": job.scheduled_for, "started_at": None})


def _as_arguments(result: str) -> str:
    if result.startswith("{"):
        return result
    return "{}" if result == "null" else f'{{"value":{result}}}'
