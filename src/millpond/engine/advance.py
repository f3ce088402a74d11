"""The one door to the flow state machine: what a flow does when something happens to it.

    status, effects = advance(flow, status, event)

`flow` is `definition.runnable(…)` of the definition. Nothing else comes in: no clock, no ids, no results. The engine
walks from stage to stage until it needs an event: answers to expressions, the end of a child, a time, an approval.
Expressions are evaluated against the status that asks, not the stored one: what a turn finished before it asked counts,
and `KeepItems` and `ReplaceArguments` among the effects before the question are already in force.

A caller settles questions first, outside of any transaction: while the last effect is `Evaluate`, it evaluates and
calls again with the status it got. Then it stores the last status and performs all effects in one transaction,
provided that the stored status is still the one it began with; otherwise it starts over. A status that asks is never
stored.
"""

from collections.abc import Callable, Mapping

import msgspec

from millpond.engine import ending, entering, failing, iterating, launching, suspending
from millpond.engine.effects import Effect
from millpond.engine.events import (
    HEARD,
    Approved,
    CancelAsked,
    ChildEnded,
    Evaluated,
    Event,
    Started,
    Woken,
)
from millpond.engine.inputs import Answers
from millpond.engine.references import Constant
from millpond.engine.status import Approval, Canceled, FlowStatus, ModuleState, Phase, Stage
from millpond.engine.turn import NO_ANSWERS, Next, Question, Turn
from millpond.model.flows import FlowValue
from millpond.model.results import canceled_result

STAGES: Mapping[Stage, Callable[[Turn], Next]] = {
    Stage.BEGIN: entering.begin,
    Stage.ENTER: entering.enter,
    Stage.SLEEP: entering.sleep,
    Stage.SKIP: entering.skip,
    Stage.LAUNCH: launching.launch,
    Stage.ITERATE: iterating.iterate,
    Stage.STOP: ending.stop,
    Stage.STOP_ALL: ending.stop_all,
    Stage.SUCCEED: ending.succeed,
    Stage.RETRY: failing.retry,
    Stage.FAIL: failing.fail,
}
"""What happens at a stage."""

ANSWERED: Mapping[Stage, Callable[[Turn, Answers], Next]] = {
    Stage.SKIP_FLOW: entering.skip_flow,
    Stage.SUSPEND: suspending.suspend,
    Stage.SLEEP: entering.slept_for,
    Stage.SKIP: entering.skipped,
    Stage.LAUNCH: launching.launched,
    Stage.ITERATE: iterating.iterated,
    Stage.STOP: ending.stopped,
    Stage.STOP_ITERATIONS: ending.iterations_stopped,
    Stage.STOP_ALL: ending.all_stopped,
    Stage.RETRY: failing.retry_if,
}
"""What happens at a stage once its question is answered."""


def advance(flow: FlowValue, status: FlowStatus, event: Event) -> tuple[FlowStatus, list[Effect]]:
    """The status after an event, and what is to be done.

    An event that comes too late, or twice, changes nothing: the same status comes back, without effects.
    """
    if type(event) not in HEARD[status.phase]:
        return status, []
    turn = Turn(flow, status)
    _walk(turn, _hear(turn, event))
    return turn.status, turn.effects


def _walk(turn: Turn, onward: Next) -> None:
    while onward is not None:
        if not isinstance(onward, Question):
            onward = STAGES[onward](turn)
        elif onward.expressions:
            turn.pose(onward)
            return
        else:
            onward = ANSWERED[onward.stage](turn, NO_ANSWERS)


def _hear(turn: Turn, event: Event) -> Next:
    match event:
        case Started():
            return Stage.BEGIN
        case ChildEnded():
            return _child_ended(turn, event)
        case Evaluated():
            return _evaluated(turn, event)
        case Woken():
            return _woken(turn, event)
        case Approved(approval):
            return _approved(turn, approval)
        case CancelAsked():
            return _cancel(turn, event)


def _child_ended(turn: Turn, event: ChildEnded) -> Next:
    if not ending.is_current(turn, event.place):
        return None
    if turn.status.phase is Phase.CANCELING:
        return _child_of_canceled_ended(turn)
    if event.status == "canceled":
        return _stopped_by_child(turn, event)
    return ending.child_ended(turn, event)


def _evaluated(turn: Turn, event: Evaluated) -> Next:
    asked = turn.status.asked
    assert asked is not None
    if asked.id != event.id:
        return None
    turn.change(asked=None)
    return ANSWERED[asked.stage](turn, Answers(event.answers, asked.first, asked.count))


def _woken(turn: Turn, event: Woken) -> Next:
    if event.wait != turn.status.waits:
        return None
    if turn.status.phase is Phase.SUSPENDED:
        return suspending.time_out(turn)
    onward = turn.status.resume_at
    turn.change(resume_at=None)
    return onward


def _approved(turn: Turn, approval: Approval) -> Next:
    key = (approval.module, approval.attempt, approval.resume_id)
    if any(key == (known.module, known.attempt, known.resume_id) for known in turn.status.approvals):
        return None
    turn.change(approvals=(*turn.status.approvals, approval))
    return Stage.ENTER if turn.status.phase is Phase.SUSPENDED else None


def _cancel(turn: Turn, event: CancelAsked) -> Next:
    repeated = turn.status.canceled is not None
    if repeated and not event.force:
        return None
    if not repeated:
        turn.change(canceled=Canceled(event.by, event.reason))
    live = _live_children(turn)
    if live:
        turn.cancel_children(event.by, event.reason)
    if live and not event.force:
        turn.change(phase=Phase.CANCELING)
        return None
    return _end_canceled(turn)


def _stopped_by_child(turn: Turn, event: ChildEnded) -> Next:
    """Somebody ended a step: the flow ends with it, whatever the step says of failures."""
    canceled = event.canceled or Canceled("unknown", f"step '{turn.module.id}' was canceled")
    turn.change(canceled=canceled)
    iterations = turn.state.iterations
    if iterations is None:
        return _end_canceled(turn)
    iterations = msgspec.structs.replace(iterations, ended=iterations.ended + 1)
    turn.change_state(iterations=iterations)
    if iterations.ended == iterations.started:
        return _end_canceled(turn)
    turn.cancel_children(canceled.by, canceled.reason)
    turn.change(phase=Phase.CANCELING)
    return None


def _child_of_canceled_ended(turn: Turn) -> Next:
    iterations = turn.state.iterations
    if iterations is None:
        return _end_canceled(turn)
    iterations = msgspec.structs.replace(iterations, ended=iterations.ended + 1)
    turn.change_state(iterations=iterations)
    return _end_canceled(turn) if iterations.ended == iterations.started else None


def _end_canceled(turn: Turn) -> Next:
    canceled = turn.status.canceled
    assert canceled is not None
    result = Constant(msgspec.Raw(canceled_result(canceled.by, canceled.reason).encode()))
    if turn.is_ordinary and turn.state.state is not ModuleState.FAILURE:
        turn.change_state(state=ModuleState.FAILURE, result=result)
    turn.change(stop=None)
    turn.finish("canceled", result)
    return None


def _live_children(turn: Turn) -> int:
    """How many child jobs have been pushed and have not ended."""
    if turn.status.phase not in {Phase.RUNNING, Phase.CANCELING}:
        return 0
    iterations = turn.state.iterations
    return 1 if iterations is None else iterations.started - iterations.ended
