"""Runs flows in memory: the engine as it is, steps and expressions as Python instead of jobs and JavaScript.

A step's `content` is the text of a lambda; expressions are Python. Everything a service would store goes through JSON
on its way, so that a status that cannot be stored cannot pass.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import msgspec

from millpond.engine.advance import advance
from millpond.engine.definition import body_of, runnable
from millpond.engine.effects import (
    AnswerEarly,
    Bindings,
    CancelJobs,
    Effect,
    Evaluate,
    Expression,
    FailAtOnce,
    Finish,
    FlowInputs,
    Inputs,
    InputsOf,
    InputsOfJob,
    KeepItems,
    Log,
    NewChild,
    PassOn,
    PushJobs,
    ReplaceArguments,
    RunBody,
    Sleep,
    Suspend,
)
from millpond.engine.events import (
    Answer,
    Approved,
    Broken,
    CancelAsked,
    ChildEnded,
    Evaluated,
    Event,
    Started,
    Value,
    Woken,
    recovers,
)
from millpond.engine.references import Constant, FlowInput, Place, Reference, ResultOf, ResultsOf, StopError
from millpond.engine.status import PHASES, Approval, FlowStatus, Phase, initial_status
from millpond.model.flow_modules import RawScript, SubFlow
from millpond.model.flow_validation import read_flow
from millpond.model.flows import FlowValue

LIMIT = 200_000


class StepError(Exception):
    """What a step raises to fail; the text is the message."""


def fail(message: object) -> Any:
    raise StepError(str(message))


class Names(dict[str, Any]):
    """A dict whose members are attributes, as in JavaScript."""

    def __getattr__(self, name: str) -> Any:
        return self.get(name)


def _with_names(value: Any) -> Any:
    if isinstance(value, dict):
        return Names({key: _with_names(member) for key, member in value.items()})
    return [_with_names(member) for member in value] if isinstance(value, list) else value


class Job:
    """A child job that was pushed."""

    def __init__(self, run: "Run", child: NewChild, arguments: Any) -> None:
        self.run, self.child, self.arguments = run, child, arguments
        self.result: Any = None
        self.status: str | None = None
        self.nested: Run | None = None


class Run:
    """A flow job."""

    def __init__(
        self, world: "World", flow: FlowValue, arguments: Any, status: FlowStatus, parent: Job | None
    ) -> None:
        self.world, self.flow, self.arguments, self.status, self.parent = (
            world,
            flow,
            arguments,
            status,
            parent,
        )
        self.seen = status
        self.id = UUID(int=len(world.runs) + 1)
        self.jobs: dict[Place, Job] = {}
        self.items: dict[Place, tuple[msgspec.Raw, ...]] = {}
        self.finish: Finish | None = None
        self.early: Any = None
        self.result: Any = None
        self.payloads: dict[tuple[str | None, int], Any] = {}
        world.runs[self.id] = self


class World:
    """Everything that runs, and what is to happen next, in an order `chance` decides; None: first come, first served."""

    def __init__(
        self, *, flows: Mapping[str, Any] | None = None, chance: random.Random | None = None
    ) -> None:
        self.runs: dict[UUID, Run] = {}
        self.flows = flows or {}
        self.chance = chance
        self.todo: list[tuple[Run, Event] | Job] = []
        self.visits: list[Any] = []
        self.slept: list[float] = []
        self.suspended: list[tuple[Run, Suspend]] = []
        self.logged: list[str] = []
        self.most_at_once = 0
        self.evaluations = 0
        self.pushed = 0
        self.forced = False

    def start(self, definition: Any, arguments: Any = None, *, status: FlowStatus | None = None) -> Run:
        flow = runnable(read_flow(msgspec.json.encode(definition)))
        return self._begin(flow, arguments or {}, status, None)

    def run(self, definition: Any, arguments: Any = None, **given: Any) -> Run:
        run = self.start(definition, arguments, **given)
        self.settle()
        return run

    def settle(self) -> None:
        """Until nothing is left to do."""
        for _ in range(LIMIT):
            if not self.todo:
                return
            self.most_at_once = max(self.most_at_once, sum(isinstance(entry, Job) for entry in self.todo))
            entry = self.todo.pop(self.chance.randrange(len(self.todo)) if self.chance else 0)
            if isinstance(entry, Job):
                self._execute(entry)
            else:
                self.feed(*entry)
        raise AssertionError("the flow does not end")

    def approve(
        self, run: Run, module: str | None, resume_id: int = 0, payload: Any = None, **given: Any
    ) -> None:
        attempt = 0
        if module is not None:
            numbers = {step.id: number for number, step in enumerate(run.flow.modules)}
            attempt = run.status.modules[numbers[module]].attempt
        run.payloads.setdefault((module, resume_id), payload)
        approval = Approval(module, attempt, resume_id, given.get("approver"), given.get("approved", True))
        self.feed(run, Approved(approval))

    def feed(self, run: Run, event: Event) -> None:
        self.forced = self.forced or (isinstance(event, CancelAsked) and event.force)
        status, wanted = advance(run.flow, run.status, event)
        effects = list(wanted)
        while effects and isinstance(effects[-1], Evaluate):
            question = effects.pop()
            assert isinstance(question, Evaluate)
            for effect in effects:
                # What a turn did before it asks is already in force for the expressions.
                if isinstance(effect, KeepItems | ReplaceArguments):
                    self._keep(run, effect)
            effects = [effect for effect in effects if not isinstance(effect, KeepItems | ReplaceArguments)]
            run.seen = status
            answers = Evaluated(question.id, self._evaluate(run, question))
            status, more = advance(run.flow, status, answers)
            effects.extend(more)
        self._store(run, status)
        for effect in effects:
            self._perform(run, effect)

    def _store(self, run: Run, status: FlowStatus) -> None:
        assert status.phase is not Phase.ASKING
        assert status.phase == run.status.phase or status.phase in PHASES[run.status.phase]
        assert run.finish is None or status == run.status, "an ended flow changed"
        run.status = run.seen = msgspec.json.decode(msgspec.json.encode(status), type=FlowStatus)
        assert run.status == status

    def _begin(self, flow: FlowValue, arguments: Any, status: FlowStatus | None, parent: Job | None) -> Run:
        preprocess = parent is None and flow.preprocessor_module is not None
        fresh = initial_status(len(flow.modules), preprocess=preprocess and status is None)
        run = Run(self, flow, arguments, status or fresh, parent)
        self.todo.append((run, Started()))
        return run

    # --- effects

    def _perform(self, run: Run, effect: Effect) -> None:
        match effect:
            case PushJobs(children):
                for child in children:
                    self._push(run, child)
            case KeepItems() | ReplaceArguments():
                self._keep(run, effect)
            case Sleep(wait, seconds):
                self.slept.append(seconds)
                self.todo.append((run, Woken(wait)))
            case Suspend():
                self.suspended.append((run, effect))
            case CancelJobs():
                for job in [job for job in run.jobs.values() if job.status is None]:
                    self._cancel(job)
            case AnswerEarly(result):
                run.early = self.resolve(run, result)
            case Log(message):
                self.logged.append(message)
            case Finish():
                self._finish(run, effect)

    def _keep(self, run: Run, effect: KeepItems | ReplaceArguments) -> None:
        if isinstance(effect, KeepItems):
            run.items[effect.place] = effect.items
        else:
            replaced = self.resolve(run, effect.result)
            run.arguments = replaced if isinstance(replaced, dict) else {"value": replaced}

    def _finish(self, run: Run, finish: Finish) -> None:
        assert run.finish is None, "a flow ended twice"
        alive = [place for place, job in run.jobs.items() if job.status is None]
        assert self.forced or not alive, f"a flow ended before its children {alive}"
        run.finish, run.result = finish, self.resolve(run, finish.result)
        if run.parent is not None:
            self._end(run.parent, finish.status, run.result)

    def _push(self, run: Run, child: NewChild) -> None:
        assert child.place not in run.jobs, f"{child.place} was pushed twice"
        assert run.finish is None
        self.pushed += 1
        job = Job(run, child, self._inputs(run, child.place, child.inputs))
        run.jobs[child.place] = job
        self.todo.append(job)

    def _inputs(self, run: Run, place: Place, inputs: Inputs) -> Any:
        match inputs:
            case InputsOf(values):
                return {name: msgspec.json.decode(value) for name, value in values.items()}
            case InputsOfJob(earlier):
                return run.jobs[earlier].arguments
            case FlowInputs(item):
                return self._flow_input(run, msgspec.structs.replace(place, index=None), item)

    def _flow_input(self, run: Run, loop: Place, item: int | None) -> Any:
        if item is None:
            return run.arguments
        items = run.items.get(loop)
        value = item if items is None else msgspec.json.decode(items[item])
        arguments = dict(run.arguments)
        outer = arguments.pop("iter", None)
        return (
            arguments | ({"iter_parent": outer} if outer else {}) | {"iter": {"index": item, "value": value}}
        )

    def _cancel(self, job: Job) -> None:
        if job.nested is not None:
            self.feed(job.nested, CancelAsked("henri", "parent"))
        elif job in self.todo:
            self.todo.remove(job)
            self._end(job, "canceled", {"error": {"name": "Canceled", "message": ""}})

    # --- jobs

    def _execute(self, job: Job) -> None:
        match job.child.work:
            case PassOn(result):
                self._end(job, "success", self.resolve(job.run, result))
            case FailAtOnce(message):
                self._end(job, "failure", {"error": {"name": "ExecutionErr", "message": message}})
            case RunBody(branch):
                body = body_of(job.run.flow, job.child.module.id, branch=branch, index=job.child.place.index)
                job.nested = self._begin(runnable(body), job.arguments, None, job)
            case _ if isinstance(job.child.module.value, SubFlow):
                flow = runnable(read_flow(msgspec.json.encode(self.flows[job.child.module.value.path])))
                job.nested = self._begin(flow, job.arguments, None, job)
            case _:
                self._script(job)

    def _script(self, job: Job) -> None:
        value = job.child.module.value
        assert isinstance(value, RawScript)
        code: Callable[..., Any] = eval(value.content, {"fail": fail, "world": self, "visits": self.visits})
        try:
            result = code(**job.arguments)
        except Exception as error:  # noqa: BLE001 - whatever a step raises is its failure
            body = {"name": type(error).__name__, "message": str(error), "step_id": job.child.module.id}
            self._end(job, "failure", {"error": body})
        else:
            self._end(job, "success", msgspec.json.decode(msgspec.json.encode(result)))

    def _end(self, job: Job, status: Any, result: Any) -> None:
        assert job.status is None, f"{job.child.place} ended twice"
        job.status, job.result = status, result
        finish = job.nested.finish if job.nested is not None else None
        event = ChildEnded(
            job.child.place,
            status,
            stop=finish.stop if finish else None,
            handled=finish.handled if finish else False,
            recovers=recovers(msgspec.json.encode(result)),
        )
        self.todo.append((job.run, event))

    # --- values

    def resolve(self, run: Run, reference: Reference) -> Any:
        match reference:
            case FlowInput():
                return run.arguments
            case ResultOf(place):
                owner = run if place.origin is None else self.runs[place.origin]
                return owner.jobs[msgspec.structs.replace(place, origin=None)].result
            case ResultsOf(module, spans):
                return [
                    self.resolve(run, ResultOf(Place(module, span.attempt, index, span.origin)))
                    for span in spans
                    for index in range(span.first, span.first + span.count)
                ]
            case Constant(value):
                return msgspec.json.decode(value)
            case StopError(message, result):
                body = {"name": "EarlyStopError", "message": message, "result": self.resolve(run, result)}
                return {"error": body}

    def _evaluate(self, run: Run, question: Evaluate) -> dict[str, tuple[Answer, ...]]:
        places: list[int | None] = [None]
        if question.count:
            places = list(range(question.first, question.first + question.count))
        scopes = [self._scope(run, question.bindings, item) for item in places]
        return {
            expression.key: tuple(self._answer(expression, scope) for scope in scopes)
            for expression in question.expressions
        }

    def _answer(self, expression: Expression, scope: dict[str, Any]) -> Answer:
        self.evaluations += 1
        try:
            value = eval(expression.code, {"visits": self.visits}, scope)
        except Exception as error:  # noqa: BLE001 - whatever a step raises is its failure
            return Broken(f"Error during isolated evaluation of expression `{expression.code}`: {error}")
        return Value(msgspec.Raw(msgspec.json.encode(bool(value) if expression.boolean else value)))

    def _scope(self, run: Run, bindings: Bindings, item: int | None) -> dict[str, Any]:
        previous = self.resolve(run, bindings.previous_result)
        scope = {"previous_result": previous, "results": Results(run)}
        arguments = run.arguments
        if bindings.items_of is not None:
            arguments = self._flow_input(run, bindings.items_of, item)
        scope["flow_input"] = arguments
        if bindings.result is not None:
            scope["result"] = self.resolve(run, bindings.result)
        if bindings.all_iters is not None:
            scope["all_iters"] = self.resolve(run, bindings.all_iters)
        if isinstance(previous, dict):
            scope["error"] = previous.get("error")
        return {name: _with_names(value) for name, value in (scope | self._resumes(run, bindings)).items()}

    def _resumes(self, run: Run, bindings: Bindings) -> dict[str, Any]:
        waited = bindings.resumes_of
        if waited is None:
            return {"resume": None, "resumes": [], "approvers": []}
        given = [
            entry for entry in run.seen.approvals if entry.module in {None, waited.module} and entry.approved
        ]
        resumes = [run.payloads[entry.module, entry.resume_id] for entry in given]
        if bindings.resume_error is not None:
            resumes.append(self.resolve(run, bindings.resume_error))
        approvers = [entry.approver or "anonymous" for entry in given]
        return {"resume": resumes[-1] if resumes else None, "resumes": resumes, "approvers": approvers}


class Results:
    """`results`: of this flow, of what is nested in it, of its parents."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def __getattr__(self, name: str) -> Any:
        run: Run | None = self._run
        while run is not None:
            found = _result_below(run, name)
            if found is not None:
                return _with_names(found[0])
            run = run.parent.run if run.parent is not None else None
        return None

    __getitem__ = __getattr__


def _result_below(run: Run, name: str) -> tuple[Any] | None:
    for module, state in zip(run.flow.modules, run.seen.modules, strict=True):
        if module.id == name and state.result is not None:
            return (run.world.resolve(run, state.result),)
    for job in reversed(run.jobs.values()):
        if job.nested is not None:
            found = _result_below(job.nested, name)
            if found is not None:
                return found
    return None
