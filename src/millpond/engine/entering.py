"""From the end of one step to the start of the next: the flow's own skip, approvals, sleep, and the step's skip."""

from millpond.engine.effects import FlowInputs, NewChild, PassOn
from millpond.engine.failing import fail_before_start
from millpond.engine.inputs import Answers, NotThat, Settings, seconds_from
from millpond.engine.references import Constant, error_constant
from millpond.engine.status import ModuleState, Stage, Stop
from millpond.engine.suspending import must_wait, weigh
from millpond.engine.turn import Next, Turn
from millpond.model.carried import null_json


def begin(turn: Turn) -> Next:
    """The first stage of all."""
    if turn.step < 0 or turn.flow.skip_expr is None:
        return Stage.LAUNCH if turn.step < 0 else Stage.ENTER
    return turn.condition(Stage.SKIP_FLOW, turn.flow.skip_expr, turn.bindings())


def skip_flow(turn: Turn, answers: Answers) -> Next:
    """Pass over the whole flow if its `skip_expr` says so."""
    broken = answers.broken()
    if broken is not None:
        turn.finish("failure", error_constant("ExecutionErr", broken))
        return None
    if not answers.is_true("condition"):
        return Stage.ENTER
    turn.change(stop=Stop(skip=True))
    turn.finish("skipped", Constant(null_json()))
    return None


def enter(turn: Turn) -> Next:
    """Arrive at a step, or behind the last one."""
    if turn.step == len(turn.flow.modules):
        turn.finish("success", turn.status.previous)
        return None
    return weigh(turn) if must_wait(turn) else Stage.SLEEP


def sleep(turn: Turn) -> Next:
    """Rest as the step before asked for."""
    if turn.step == 0 or not _rests(turn):
        return Stage.SKIP
    return turn.question(Stage.SLEEP, _sleep_of(turn), turn.bindings(result=turn.status.previous))


def slept_for(turn: Turn, answers: Answers) -> Next:
    """Rest, now that it is known how long."""
    broken = answers.broken()
    if broken is not None:
        return fail_before_start(turn, broken)
    try:
        seconds = seconds_from(answers.merged(_sleep_of(turn)).get("sleep"))
    except NotThat as problem:
        return fail_before_start(turn, str(problem))
    return turn.sleep(seconds or 0, Stage.SKIP)


def skip(turn: Turn) -> Next:
    """Ask whether to pass over the step."""
    if turn.module.skip_if is None:
        return Stage.LAUNCH
    return turn.condition(Stage.SKIP, turn.module.skip_if.expr, turn.bindings(result=turn.status.previous))


def skipped(turn: Turn, answers: Answers) -> Next:
    """Pass over the step, as an identity, or start it."""
    broken = answers.broken()
    if broken is not None:
        return fail_before_start(turn, broken)
    if not answers.is_true("condition"):
        return Stage.LAUNCH
    turn.change_state(state=ModuleState.ACTIVE, skipped=True)
    work = PassOn(turn.status.previous)
    turn.push(NewChild(place=turn.place, module=turn.module, work=work, inputs=FlowInputs()))
    return None


def _rests(turn: Turn) -> bool:
    state = turn.status.modules[turn.step - 1]
    return not (state.skipped or state.inherited)


def _sleep_of(turn: Turn) -> Settings:
    return {"sleep": turn.flow.modules[turn.step - 1].sleep}
