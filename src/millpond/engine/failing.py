"""What follows a failure: another try, going on regardless, the failure module, or the end."""

from millpond.engine.effects import Log
from millpond.engine.inputs import Answers
from millpond.engine.references import Reference, error_constant
from millpond.engine.retries import jitter_percent, retry_delay
from millpond.engine.status import ModuleState, Stage
from millpond.engine.turn import Next, Turn


def fail_before_start(turn: Turn, message: str) -> Next:
    """A condition or setting of the step came to nothing, so no job was made for it."""
    turn.change_state(result=error_constant("ExecutionErr", message, turn.module.id))
    return Stage.RETRY


def retry(turn: Turn) -> Next:
    """Try again if a retry is left; `state.result` is what failed."""
    condition = turn.module.retry.retry_if if turn.module.retry is not None else None
    if retry_delay(turn.module.retry, turn.state.attempt) is None:
        return Stage.FAIL
    if condition is None:
        return _try_again(turn)
    return turn.condition(Stage.RETRY, condition.expr, turn.bindings_after(turn.result))


def retry_if(turn: Turn, answers: Answers) -> Next:
    """Try again if the failure is worth it."""
    broken = answers.broken()
    if broken is not None:
        # The step's own error is worth more to the user than this one, so it stays the result.
        turn.effects.append(Log(f"Step '{turn.module.id}' is not tried again: {broken}"))
        return Stage.FAIL
    return _try_again(turn) if answers.is_true("condition") else Stage.FAIL


def _try_again(turn: Turn) -> Next:
    attempt = turn.state.attempt
    delay = retry_delay(turn.module.retry, attempt) or 0
    turn.change(handled=False)
    turn.change_state(
        state=ModuleState.WAITING,
        attempt=attempt + 1,
        result=None,
        branch=None,
        iterations=None,
        stop=None,
    )
    return turn.sleep(delay, Stage.LAUNCH, jitter_percent=jitter_percent(turn.module.retry, attempt))


def fail(turn: Turn) -> Next:
    """The step has failed for good; `state.result` is its result."""
    failed = turn.result
    early_stop = turn.state.stop is not None
    turn.change_state(state=ModuleState.FAILURE)
    if turn.module.continue_on_error and turn.is_ordinary and not early_stop:
        return _go_on(turn, failed)
    if turn.is_ordinary and turn.flow.failure_module is not None and not turn.status.handled:
        turn.change(
            failed_module=turn.module.id,
            step=len(turn.flow.modules),
            previous=failed,
            handled=True,
            stop=None,
        )
        return Stage.LAUNCH
    turn.finish("failure", failed)
    return None


def _go_on(turn: Turn, failed: Reference) -> Next:
    if turn.step == len(turn.flow.modules) - 1:
        turn.finish("failure", failed)
        return None
    turn.change(previous=failed, step=turn.step + 1, handled=False)
    return Stage.ENTER
