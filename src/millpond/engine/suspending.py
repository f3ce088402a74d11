"""The wait for approvals between a step and the next."""

from collections.abc import Mapping

import msgspec

from millpond.engine.definition import required_approvals
from millpond.engine.effects import Suspend
from millpond.engine.inputs import Answers, NotThat, Settings
from millpond.engine.references import Constant, Place, error_constant
from millpond.engine.status import Approval, Conditions, ModuleState, ModuleStatus, Phase, Stage
from millpond.engine.turn import Next, Turn
from millpond.model.flow_modules import FlowModule
from millpond.model.flow_settings import SUSPEND_TIMEOUT_SECS, Suspension

_ENDED_WELL_OR_CONTINUED = frozenset({ModuleState.SUCCESS, ModuleState.FAILURE})


def must_wait(turn: Turn) -> bool:
    """Whether the step before the current one waits for approvals it has not got."""
    if turn.step == 0:
        return False
    before, state = _before(turn)
    done = state.skipped or state.released or state.inherited
    return required_approvals(before) > 0 and not done and state.state in _ENDED_WELL_OR_CONTINUED


def weigh(turn: Turn) -> Next:
    """Go on, fail or wait, by the approvals there are."""
    before, state = _before(turn)
    given = approvals_for(turn.status.approvals, before.id, state.attempt)
    refusal = next((approval for approval in given if not approval.approved), None)
    if refusal is not None:
        message = f"Disapproved by {refusal.approver or 'unknown'}"
        return _refuse(turn, error_constant("SuspendedDisapproved", message))
    if len(given) >= required_approvals(before):
        return _release(turn, None)
    # The step tells, not the phase: one turn may go from a wait through steps without jobs to the next wait.
    if turn.state.state is ModuleState.SUSPENDED:
        return None
    return turn.question(Stage.SUSPEND, _groups(before), turn.bindings(result=turn.status.previous))


def suspend(turn: Turn, answers: Answers) -> Next:
    """Begin to wait, now that it is known who may approve."""
    before, state = _before(turn)
    suspension = before.suspend
    assert suspension is not None
    broken = answers.broken()
    if broken is not None:
        return _refuse(turn, error_constant("ExecutionErr", broken, before.id))
    try:
        groups = _group_names(answers.merged(_groups(before)))
    except NotThat as problem:
        return _refuse(turn, error_constant("ExecutionErr", str(problem), before.id))
    conditions = _conditions(suspension, groups)
    missing = required_approvals(before) - len(approvals_for(turn.status.approvals, before.id, state.attempt))
    timeout_s = SUSPEND_TIMEOUT_SECS if suspension.timeout is None else suspension.timeout
    turn.change(phase=Phase.SUSPENDED, conditions=conditions, waits=turn.status.waits + 1)
    turn.change_state(state=ModuleState.SUSPENDED)
    turn.effects.append(
        Suspend(turn.status.waits, Place(before.id, state.attempt), missing, timeout_s, conditions)
    )
    return None


def time_out(turn: Turn) -> Next:
    """Nobody answered in time."""
    return _refuse(turn, error_constant("SuspendedTimedOut", "Timed out waiting to be resumed"))


def approvals_for(approvals: tuple[Approval, ...], module_id: str, attempt: int) -> tuple[Approval, ...]:
    """The approvals that count for a step's wait: its own, and those given to the flow as a whole."""
    return tuple(
        approval
        for approval in approvals
        if approval.module is None or (approval.module == module_id and approval.attempt == attempt)
    )


def _refuse(turn: Turn, error: Constant) -> Next:
    before, _ = _before(turn)
    assert before.suspend is not None
    if before.suspend.continue_on_disapprove_timeout:
        return _release(turn, error)
    # No failing job stands behind this, so the failure module has nothing to handle.
    turn.change_state(state=ModuleState.FAILURE, result=error)
    turn.finish("failure", error)
    return None


def _release(turn: Turn, error: Constant | None) -> Next:
    if turn.state.state is ModuleState.SUSPENDED:
        turn.change_state(state=ModuleState.WAITING)
    step = turn.step
    turn.change(step=step - 1, conditions=None)
    turn.change_state(released=True, resume_error=error)
    turn.change(step=step)
    return Stage.SLEEP


def _before(turn: Turn) -> tuple[FlowModule, ModuleStatus]:
    return turn.flow.modules[turn.step - 1], turn.status.modules[turn.step - 1]


def _groups(before: FlowModule) -> Settings:
    assert before.suspend is not None
    return {"groups": before.suspend.user_groups_required}


def _group_names(settings: Mapping[str, msgspec.Raw]) -> tuple[str, ...]:
    """Fails closed: a rule that does not name groups must not let everybody approve."""
    if "groups" not in settings:
        return ()
    try:
        return msgspec.json.decode(settings["groups"], type=tuple[str, ...])
    except msgspec.ValidationError as error:
        raise NotThat(f"Expected an array of group names in `user_groups_required`: {error}") from error


def _conditions(suspension: Suspension, groups: tuple[str, ...]) -> Conditions | None:
    if not (groups or suspension.user_auth_required or suspension.self_approval_disabled):
        return None
    return Conditions(bool(suspension.user_auth_required), groups, bool(suspension.self_approval_disabled))
