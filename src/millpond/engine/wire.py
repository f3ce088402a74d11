"""From the engine's status to `flow_status` as clients read it.

The engine names jobs by place; the caller brings the rows of the children, with their ids. Only containers need more
than a row a step, and only for as long as somebody looks.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from millpond.engine.definition import required_approvals
from millpond.engine.references import FlowInput, Place, Reference, ResultOf, ResultsOf, Span
from millpond.engine.status import FlowStatus, ModuleState, ModuleStatus, Phase
from millpond.engine.suspending import approvals_for
from millpond.model.flow_modules import BranchAll, BranchOne, FlowModule, ForLoop, WhileLoop
from millpond.model.flow_status import (
    NIL_JOB,
    ApprovalConditions,
    Approver,
    BranchAt,
    BranchChosen,
    DefaultChosen,
    Durations,
    Failure,
    InProgress,
    Iterator,
    RetryStatus,
    Success,
    WaitingForEvents,
    WaitingForExecutor,
    WaitingForPriorSteps,
    WireModule,
    WireRestart,
    WireStatus,
)
from millpond.model.flows import FlowValue


class Child(msgspec.Struct, frozen=True):
    """The row of a child job. `success` None: it has not ended; `started_at` None: nor begun."""

    job: UUID
    started_at: datetime | None = None
    duration_ms: int | None = None
    success: bool | None = None


Children = Mapping[Place, Child]


def wire_status(flow: FlowValue, status: FlowStatus, job: UUID, children: Children) -> WireStatus:
    """`flow_status` of the flow job `job`. User states and cleanup are rows of their own: the caller adds them."""
    writer = _Writer(flow, status, job, children)
    failure_id = flow.failure_module.id if flow.failure_module is not None else "failure"
    preprocessor = flow.preprocessor_module
    return WireStatus(
        step=status.step,
        modules=[writer.module(number) for number in range(len(flow.modules))],
        failure_module=writer.failure_module(failure_id),
        preprocessor_module=None
        if status.preprocessor is None or preprocessor is None
        else writer.of(preprocessor.id, preprocessor, status.preprocessor),
        retry=writer.retry(),
        approval_conditions=msgspec.UNSET
        if status.conditions is None
        else msgspec.convert(status.conditions, ApprovalConditions, from_attributes=True),
        restarted_from=msgspec.UNSET
        if status.restarted_from is None
        else msgspec.convert(status.restarted_from, WireRestart, from_attributes=True),
    )


def missing_approvals(flow: FlowValue, status: FlowStatus) -> int | None:
    """How many approvals the flow still waits for; None when it waits for none."""
    for number, state in enumerate(status.modules):
        if state.state is ModuleState.SUSPENDED:
            module, asked = flow.modules[number - 1], status.modules[number - 1]
            return required_approvals(module) - len(approvals_for(status.approvals, module.id, asked.attempt))
    return None


def result_of(flow: FlowValue, status: FlowStatus, module_id: str) -> Reference | None:
    """What `results.<module_id>` stands for, if the step is one of this flow's and has ended."""
    for module, state in zip(flow.modules, status.modules, strict=True):
        if module.id == module_id and state.state in {ModuleState.SUCCESS, ModuleState.FAILURE}:
            return state.result
    return None


class _Writer:
    def __init__(self, flow: FlowValue, status: FlowStatus, job: UUID, children: Children) -> None:
        self._flow = flow
        self._status = status
        self._job = job
        self._children = children

    def module(self, number: int) -> WireModule:
        module, state = self._flow.modules[number], self._status.modules[number]
        if state.state is ModuleState.SUSPENDED:
            return self._waiting(module.id, number - 1)
        return self.of(module.id, module, state)

    def of(self, name: str, module: FlowModule | None, state: ModuleStatus) -> WireModule:
        match state.state:
            case ModuleState.WAITING | ModuleState.SUSPENDED:
                return WaitingForPriorSteps(name)
            case ModuleState.ACTIVE:
                return self._active(name, module, state)
            case ModuleState.SUCCESS:
                written = Success(id=name, job=self._job_of(name, state), skipped=state.skipped)
                approvers = self._approvers(name, module, state)
                members = self._ended(name, module, state)
                return msgspec.structs.replace(written, approvers=approvers, **members)
            case ModuleState.FAILURE:
                failure = Failure(id=name, job=self._job_of(name, state))
                return msgspec.structs.replace(failure, **self._ended(name, module, state))

    def failure_module(self, name: str) -> msgspec.Raw:
        written = msgspec.to_builtins(self.of(name, self._flow.failure_module, self._status.failure))
        if self._status.failed_module is not None:
            written["parent_module"] = self._status.failed_module
        return msgspec.Raw(msgspec.json.encode(written))

    def retry(self) -> RetryStatus | msgspec.UnsetType:
        if self._status.phase is Phase.ENDED or not 0 <= self._status.step < len(self._flow.modules):
            return msgspec.UNSET
        module, state = self._flow.modules[self._status.step], self._status.modules[self._status.step]
        if state.attempt == 0:
            return msgspec.UNSET
        return RetryStatus(state.attempt, self._failed_tries(module.id, state))

    def _waiting(self, name: str, before: int) -> WireModule:
        module, state = self._flow.modules[before], self._status.modules[before]
        return WaitingForEvents(name, required_approvals(module), self._job_of(module.id, state))

    def _active(self, name: str, module: FlowModule | None, state: ModuleStatus) -> WireModule:
        if state.iterations is not None and module is not None:
            return self._container(name, module, state)
        child = self._children.get(Place(name, state.attempt))
        if child is None or child.started_at is None:
            return WaitingForExecutor(name, NIL_JOB if child is None else child.job)
        return InProgress(id=name, job=child.job, branch_chosen=_branch(module, state))

    def _container(self, name: str, module: FlowModule, state: ModuleStatus) -> WireModule:
        iterations = state.iterations
        assert iterations is not None
        at = max(0, iterations.started - 1)
        parallel = isinstance(module.value, ForLoop | BranchAll) and module.value.parallel
        rows = self._rows(name, self._spans(state))
        last = self._job if parallel or not rows else rows[-1].job
        total = iterations.total or 0
        return InProgress(
            id=name,
            job=last,
            iterator=None if isinstance(module.value, BranchAll) else Iterator(at, total),
            branchall=BranchAt(at, total) if isinstance(module.value, BranchAll) else None,
            parallel=parallel,
            while_loop=isinstance(module.value, WhileLoop),
            flow_jobs=[row.job for row in rows],
            flow_jobs_success=[row.success for row in rows],
            flow_jobs_duration=_durations(rows),
        )

    def _ended(self, name: str, module: FlowModule | None, state: ModuleStatus) -> dict[str, object]:
        """The members that successes and failures share, where they have something to say."""
        members: dict[str, object] = {}
        if isinstance(state.result, ResultsOf):
            rows = self._rows(name, state.result.spans)
            members["flow_jobs"] = [row.job for row in rows]
            members["flow_jobs_success"] = [row.success for row in rows]
            members["flow_jobs_duration"] = _durations(rows)
        branch = _branch(module, state)
        if branch is not None:
            members["branch_chosen"] = branch
        if state.attempt:
            members["failed_retries"] = self._failed_tries(name, state)
        return members

    def _approvers(
        self, name: str, module: FlowModule | None, state: ModuleStatus
    ) -> list[Approver] | msgspec.UnsetType:
        given = approvals_for(self._status.approvals, name, state.attempt) if state.released else ()
        if module is None or not given:
            return msgspec.UNSET
        return [Approver(approval.resume_id, approval.approver or "anonymous") for approval in given]

    def _job_of(self, name: str, state: ModuleStatus) -> UUID:
        match state.result:
            case ResultOf(place) if place.module == name:
                child = self._children.get(place)
            case ResultsOf(spans=spans) if spans:
                rows = self._rows(name, spans)
                child = rows[-1] if rows else None
            case FlowInput() | _:
                child = self._children.get(Place(name, state.attempt))
        return NIL_JOB if child is None else child.job

    def _failed_tries(self, name: str, state: ModuleStatus) -> list[UUID]:
        """The jobs of failed tries; a container that failed before its first child has none."""
        tries = (self._children.get(Place(name, attempt)) for attempt in range(state.attempt))
        return [child.job for child in tries if child is not None]

    def _rows(self, name: str, spans: tuple[Span, ...]) -> list[Child]:
        places = (
            Place(name, span.attempt, index, span.origin)
            for span in spans
            for index in range(span.first, span.first + span.count)
        )
        return [self._children[place] for place in places if place in self._children]

    def _spans(self, state: ModuleStatus) -> tuple[Span, ...]:
        assert state.iterations is not None
        inherited = state.iterations.inherited
        before = sum(span.count for span in inherited)
        return (*inherited, Span(state.attempt, before, state.iterations.started - before))


def _branch(module: FlowModule | None, state: ModuleStatus) -> DefaultChosen | BranchChosen | None:
    if module is None or not isinstance(module.value, BranchOne) or state.branch is None:
        return None
    return BranchChosen(state.branch - 1) if state.branch else DefaultChosen()


def _durations(rows: list[Child]) -> Durations:
    return Durations([row.started_at for row in rows], [row.duration_ms for row in rows])
