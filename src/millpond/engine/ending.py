"""From the end of a child job to the end of its step: early stops, success, and where to go from there."""

from millpond.engine.effects import AnswerEarly, ReplaceArguments
from millpond.engine.events import ChildEnded
from millpond.engine.inputs import Answers
from millpond.engine.iterating import child_ended as iteration_ended
from millpond.engine.iterating import done, next_or_done
from millpond.engine.references import FlowInput, Place, Reference, ResultOf, StopError, error_constant
from millpond.engine.status import ModuleState, Stage, Stop
from millpond.engine.turn import Next, Turn
from millpond.model.flow_modules import SubFlow
from millpond.model.flow_settings import StopAfterIf


def child_ended(turn: Turn, event: ChildEnded) -> Next:
    """A child job of the current step ended."""
    if turn.state.iterations is not None:
        return iteration_ended(turn, event)
    is_boundary = isinstance(turn.module.value, SubFlow)
    turn.change_state(result=ResultOf(event.place), stop=None if is_boundary else event.stop)
    if event.status == "failure":
        turn.change_state(stop=None)
        if turn.is_ordinary:
            turn.change(handled=event.handled and not is_boundary)
        return Stage.RETRY
    if turn.in_failure_module:
        return _failure_handled(turn, event)
    return Stage.SUCCEED if turn.state.skipped or turn.state.stop is not None else Stage.STOP


def is_current(turn: Turn, place: Place) -> bool:
    """Whether a place is one the flow waits for; a job rescued, repeated or of an earlier attempt is not."""
    iterations = turn.state.iterations
    if iterations is None:
        return place == turn.place and turn.state.state is ModuleState.ACTIVE
    index = -1 if place.index is None else place.index
    inherited = sum(span.count for span in iterations.inherited)
    return place == turn.child(index) and inherited <= index < iterations.started


def stop(turn: Turn) -> Next:
    """Ask whether the flow ends here."""
    condition = turn.module.stop_after_if
    if condition is None or not turn.is_ordinary:
        return Stage.SUCCEED
    return turn.condition(Stage.STOP, condition.expr, turn.bindings_after(turn.result))


def stopped(turn: Turn, answers: Answers) -> Next:
    """End the flow, or not."""
    return _judge(turn, answers, turn.module.stop_after_if, turn.result)


def iterations_stopped(turn: Turn, answers: Answers) -> Next:
    """Break the loop, or not."""
    condition = turn.module.stop_after_if
    assert condition is not None
    if answers.broken() is None and not answers.is_true("condition"):
        return next_or_done(turn)
    if answers.broken() is None and not _is_error(condition):
        return done(turn)
    return _judge(turn, answers, condition, turn.iteration_results)


def stop_all(turn: Turn) -> Next:
    """Ask whether the flow ends with this container."""
    condition = turn.module.stop_after_all_iters_if
    if condition is None or turn.state.stop is not None:
        return Stage.SUCCEED
    return turn.condition(Stage.STOP_ALL, condition.expr, turn.bindings_after(turn.result))


def all_stopped(turn: Turn, answers: Answers) -> Next:
    """End the flow, or not."""
    return _judge(turn, answers, turn.module.stop_after_all_iters_if, turn.result)


def succeed(turn: Turn) -> Next:
    """The step is done, and well; `state.result` is its result."""
    result = turn.result
    turn.change_state(state=ModuleState.SUCCESS)
    if turn.step < 0:
        return _preprocessed(turn, result)
    early_stop = turn.state.stop
    if turn.module.id == turn.flow.early_return:
        turn.effects.append(AnswerEarly(result))
    turn.change(previous=result, handled=False)
    if early_stop is None:
        turn.change(step=turn.step + 1)
        return Stage.ENTER
    turn.change(stop=early_stop)
    turn.finish("skipped" if early_stop.skip else "success", result)
    return None


def _preprocessed(turn: Turn, result: Reference) -> Next:
    turn.effects.append(ReplaceArguments(result))
    turn.change(step=0, previous=FlowInput())
    return Stage.BEGIN


def _failure_handled(turn: Turn, event: ChildEnded) -> Next:
    turn.change_state(state=ModuleState.SUCCESS)
    turn.finish("success" if event.recovers else "failure", ResultOf(event.place))
    return None


def _judge(turn: Turn, answers: Answers, condition: StopAfterIf | None, result: Reference) -> Next:
    assert condition is not None
    broken = answers.broken()
    if broken is not None:
        # The step itself went well, so trying it again would do its work twice.
        turn.change_state(result=error_constant("ExecutionErr", broken, turn.module.id))
        return Stage.FAIL
    if not answers.is_true("condition"):
        return Stage.SUCCEED
    error = _stop_error(condition, result)
    turn.change_state(stop=Stop(condition.skip_if_stopped), result=error or result)
    if _is_error(condition):
        return Stage.FAIL
    if condition.skip_if_stopped:
        turn.change_state(skipped=True)
    return Stage.SUCCEED


def _is_error(condition: StopAfterIf) -> bool:
    return condition.error_message is not None and not condition.skip_if_stopped


def _stop_error(condition: StopAfterIf, result: Reference) -> Reference | None:
    if condition.error_message is None:
        return None
    message = condition.error_message or f"stop after if: {condition.expr}"
    if condition.error_include_result:
        return StopError(message, result)
    return error_constant("EarlyStopError", message)
