"""Where a flow job stands: what is stored between events.

It holds counters and references, never results or lists that grow with a loop: finishing one of 10,000 iterations
rewrites a few hundred bytes. The children themselves are rows, found by their places.
"""

from collections.abc import Mapping
from enum import StrEnum
from uuid import UUID

import msgspec

from millpond.engine.references import Constant, FlowInput, Reference, Span


class Phase(StrEnum):
    """What the flow waits for."""

    FRESH = "fresh"
    ASKING = "asking"
    RUNNING = "running"
    SLEEPING = "sleeping"
    SUSPENDED = "suspended"
    CANCELING = "canceling"
    ENDED = "ended"


_AFTER_A_TURN = frozenset({Phase.ASKING, Phase.RUNNING, Phase.SLEEPING, Phase.SUSPENDED, Phase.ENDED})

PHASES: Mapping[Phase, frozenset[Phase]] = {
    Phase.FRESH: _AFTER_A_TURN,
    Phase.ASKING: _AFTER_A_TURN,
    Phase.RUNNING: _AFTER_A_TURN | {Phase.CANCELING},
    Phase.SLEEPING: _AFTER_A_TURN,
    Phase.SUSPENDED: _AFTER_A_TURN,
    Phase.CANCELING: frozenset({Phase.CANCELING, Phase.ENDED}),
    Phase.ENDED: frozenset({Phase.ENDED}),
}
"""From what a flow waits for to what it may wait for next."""


class ModuleState(StrEnum):
    """How far a step is."""

    WAITING = "waiting"
    SUSPENDED = "suspended"
    ACTIVE = "active"
    SUCCESS = "success"
    FAILURE = "failure"


MODULE_STATES: Mapping[ModuleState, frozenset[ModuleState]] = {
    ModuleState.WAITING: frozenset(set(ModuleState) - {ModuleState.WAITING}),
    ModuleState.SUSPENDED: frozenset({ModuleState.WAITING, ModuleState.FAILURE}),
    # Back to waiting only by a retry, which waits for its delay.
    ModuleState.ACTIVE: frozenset({ModuleState.WAITING, ModuleState.SUCCESS, ModuleState.FAILURE}),
    ModuleState.SUCCESS: frozenset(),
    ModuleState.FAILURE: frozenset(),
}
"""From a step's state to those it may enter next."""


class Stage(StrEnum):
    """The stops on a step's way, between which the engine walks on its own. Wait stages are phases instead."""

    BEGIN = "begin"
    SKIP_FLOW = "skip_flow"
    ENTER = "enter"
    SUSPEND = "suspend"
    SLEEP = "sleep"
    SKIP = "skip"
    LAUNCH = "launch"
    ITERATE = "iterate"
    STOP = "stop"
    STOP_ITERATIONS = "stop_iterations"
    STOP_ALL = "stop_all"
    SUCCEED = "succeed"
    RETRY = "retry"
    FAIL = "fail"


class Stop(msgspec.Struct, frozen=True):
    """An early end asked for by `stop_after_if`; `skip` shows the flow as skipped."""

    skip: bool = False


class Iterations(msgspec.Struct, frozen=True, omit_defaults=True):
    """The children of a container, counted. `total` None: a while loop."""

    total: int | None
    limit: int
    started: int = 0
    ended: int = 0
    failed: int = 0
    handled: bool = False
    inherited: tuple[Span, ...] = ()


class ModuleStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where one step stands. `attempt` counts from 0.

    `prepared`: the attempt's job was pushed with inputs of its own, which a retry uses again. `inherited`: done in the
    run this one was restarted from, so its waits are not repeated. `released`: its wait for approvals is over.
    """

    state: ModuleState = ModuleState.WAITING
    attempt: int = 0
    skipped: bool = False
    prepared: bool = False
    branch: int | None = None
    iterations: Iterations | None = None
    result: Reference | None = None
    inherited: bool = False
    released: bool = False
    resume_error: Constant | None = None
    timeout_s: float | None = None
    restart_at: int | None = None
    stop: Stop | None = None


class Approval(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer to a wait. `module` None: given to the flow as a whole, good for any wait. Payloads are rows."""

    module: str | None
    attempt: int
    resume_id: int
    approver: str | None
    approved: bool = True


class Asked(msgspec.Struct, frozen=True):
    """What the engine asked its caller to evaluate, and for which children of a container."""

    id: str
    stage: Stage
    first: int = 0
    count: int = 0


class Canceled(msgspec.Struct, frozen=True):
    """Who cancelled the flow, and why."""

    by: str
    reason: str


class RestartedFrom(msgspec.Struct, frozen=True, omit_defaults=True):
    """The run that this one goes on from."""

    flow_job_id: UUID
    step_id: str
    branch_or_iteration_n: int | None = None
    flow_version: int | None = None


class Conditions(msgspec.Struct, frozen=True):
    """Who may approve the wait in force."""

    user_auth_required: bool
    user_groups_required: tuple[str, ...]
    self_approval_disabled: bool


class FlowStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a flow job stands. `step`: -1 the preprocessor, `len(modules)` the failure module.

    `waits` counts rests and waits, so that a late alarm for one cannot end another.
    """

    step: int
    modules: tuple[ModuleStatus, ...]
    phase: Phase = Phase.FRESH
    preprocessor: ModuleStatus | None = None
    failure: ModuleStatus = ModuleStatus()
    failed_module: str | None = None
    previous: Reference = FlowInput()
    asked: Asked | None = None
    resume_at: Stage | None = None
    waits: int = 0
    approvals: tuple[Approval, ...] = ()
    conditions: Conditions | None = None
    handled: bool = False
    stop: Stop | None = None
    canceled: Canceled | None = None
    restarted_from: RestartedFrom | None = None


def initial_status(modules: int, *, preprocess: bool) -> FlowStatus:
    """The status of a flow that has not begun."""
    return FlowStatus(
        step=-1 if preprocess else 0,
        modules=(ModuleStatus(),) * modules,
        preprocessor=ModuleStatus() if preprocess else None,
    )
