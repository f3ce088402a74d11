"""Starting a step: its inputs, and the first child jobs, by the kind of step."""

from collections.abc import Callable, Mapping

import msgspec

from millpond.engine.definition import body_modules
from millpond.engine.effects import (
    Expression,
    FailAtOnce,
    FlowInputs,
    Inputs,
    InputsOf,
    InputsOfJob,
    KeepItems,
    NewChild,
    PassOn,
    RunBody,
    RunModule,
    Work,
)
from millpond.engine.failing import fail_before_start
from millpond.engine.inputs import (
    NO_SETTINGS,
    Answers,
    NotThat,
    Settings,
    count_from,
    items_from,
    seconds_from,
)
from millpond.engine.references import Constant, Place, ResultsOf, Span
from millpond.engine.status import Iterations, ModuleState, Stage
from millpond.engine.turn import Next, Question, Turn
from millpond.model.flow_modules import (
    BranchAll,
    BranchOne,
    FlowModule,
    ForLoop,
    Identity,
    RawScript,
    ScriptStep,
    Step,
    SubFlow,
    WhileLoop,
    transforms_of,
)

MOST_AT_ONCE = 1000
"""Children of a container that are under way at the same time: more would only wait, and swell a turn's transaction."""

INPUT = "input:"
"""Before the names of inputs, which could be those of settings."""


def launch(turn: Turn) -> Next:
    """Ask for what the step needs to start."""
    module = turn.module
    if module.mock is not None and module.mock.enabled:
        return _push(turn, PassOn(Constant(module.mock.return_value)), FlowInputs())
    if isinstance(module.value, Identity):
        return _push(turn, PassOn(turn.status.previous), FlowInputs())
    if turn.step < 0:
        return _push(turn, RunModule(), FlowInputs())
    if turn.state.prepared:
        return _repeat(turn)
    return _question(turn)


def _question(turn: Turn) -> Question:
    module = turn.module
    is_step = isinstance(module.value, RawScript | ScriptStep | SubFlow)
    question = turn.question(
        Stage.LAUNCH, _settings(module), turn.bindings(result=None if is_step else turn.status.previous)
    )
    if isinstance(module.value, BranchOne):
        branches = enumerate(module.value.branches)
        predicates = tuple(
            Expression(f"branch:{number}", branch.expr, boolean=True) for number, branch in branches
        )
        return msgspec.structs.replace(question, expressions=(*question.expressions, *predicates))
    return question


def launched(turn: Turn, answers: Answers) -> Next:
    """Start the step, now that its inputs are known."""
    if isinstance(turn.module.value, BranchOne):
        return _branch_one(turn, answers)
    broken = answers.broken()
    try:
        if broken is None:
            turn.change_state(timeout_s=seconds_from(answers.merged(_settings(turn.module)).get("timeout")))
            return LAUNCHERS[type(turn.module.value)](turn, answers)
    except NotThat as problem:
        broken = str(problem)
    if isinstance(turn.module.value, RawScript | ScriptStep | SubFlow):
        return _push(turn, FailAtOnce(broken), InputsOf({}))
    return fail_before_start(turn, broken)


def _step(turn: Turn, answers: Answers) -> Next:
    inputs = step_inputs(turn.module, answers, 0) or FlowInputs()
    turn.change_state(prepared=True)
    return _push(turn, RunModule(), inputs)


def _repeat(turn: Turn) -> Next:
    before = Place(turn.module.id, turn.state.attempt - 1)
    return _push(turn, RunModule(), InputsOfJob(before))


def _for_loop(turn: Turn, answers: Answers) -> Next:
    loop = turn.module.value
    assert isinstance(loop, ForLoop)
    settings = answers.merged(_settings(turn.module))
    items = items_from(settings.get("iterator")) if loop.modules else ()
    wanted = count_from(settings.get("parallelism")) or len(items)
    limit = _at_once(wanted) if loop.parallel else 1
    if items:
        turn.effects.append(KeepItems(turn.place, items))
    return _iterate(turn, len(items), limit)


def _while_loop(turn: Turn, _: Answers) -> Next:
    empty = not body_modules(turn.module, None)
    return _iterate(turn, 0 if empty else None, 1)


def _branch_all(turn: Turn, _: Answers) -> Next:
    branches = turn.module.value
    assert isinstance(branches, BranchAll)
    total = len(branches.branches)
    return _iterate(turn, total, _at_once(total) if branches.parallel else 1)


def _at_once(wanted: int) -> int:
    return min(max(1, wanted), MOST_AT_ONCE)


def _iterate(turn: Turn, total: int | None, limit: int) -> Next:
    inherited = _inherited(turn, total)
    done = sum(span.count for span in inherited)
    iterations = Iterations(total, limit, started=done, ended=done, inherited=inherited)
    turn.change_state(state=ModuleState.ACTIVE, iterations=iterations, restart_at=None)
    if done == total:
        turn.change_state(result=turn.iteration_results)
        return Stage.STOP_ALL
    return Stage.ITERATE


def _inherited(turn: Turn, total: int | None) -> tuple[Span, ...]:
    """What a restart keeps of the earlier run: the children before the one it begins with."""
    kept, past = turn.state.restart_at, turn.state.result
    if kept is None or not isinstance(past, ResultsOf):
        return ()
    left = kept if total is None else min(kept, total)
    spans = []
    for span in past.spans:
        count = min(left, span.count)
        if count > 0:
            spans.append(msgspec.structs.replace(span, count=count))
        left -= count
    return tuple(spans)


def _branch_one(turn: Turn, answers: Answers) -> Next:
    value = turn.module.value
    assert isinstance(value, BranchOne)
    chosen = 0
    for number in range(len(value.branches)):
        # Predicates behind the first true one do not count, not even broken ones.
        broken = answers.broken_at(f"branch:{number}")
        if broken is not None:
            return fail_before_start(turn, broken)
        if answers.is_true(f"branch:{number}"):
            chosen = number + 1
            break
    turn.change_state(branch=chosen)
    if not body_modules(turn.module, chosen):
        turn.change_state(state=ModuleState.ACTIVE, result=turn.status.previous)
        return Stage.STOP
    return _push(turn, RunBody(chosen), FlowInputs())


def _push(turn: Turn, work: Work, inputs: Inputs) -> Next:
    child = NewChild(
        place=turn.place, module=turn.module, work=work, inputs=inputs, timeout_s=turn.state.timeout_s
    )
    turn.push(child)
    return None


def step_settings(module: FlowModule) -> Settings:
    """The inputs of a step, each name marked as an input's."""
    value = module.value
    if not isinstance(value, RawScript | ScriptStep | SubFlow) or _takes_flow_input(module, value):
        return NO_SETTINGS
    return {INPUT + name: transform for name, transform in transforms_of(value).items()}


def step_inputs(module: FlowModule, answers: Answers, position: int) -> InputsOf | None:
    """The inputs of a step; None when it takes the flow's own arguments."""
    value = module.value
    if isinstance(value, RawScript | ScriptStep | SubFlow) and _takes_flow_input(module, value):
        return None
    merged = answers.merged(step_settings(module), position)
    return InputsOf({name.removeprefix(INPUT): given for name, given in merged.items()})


def _takes_flow_input(module: FlowModule, value: Step) -> bool:
    direct = not isinstance(value, RawScript) and value.pass_flow_input_directly
    return bool(direct or module.pass_flow_input_directly)


def _settings(module: FlowModule) -> Settings:
    settings = {"timeout": module.timeout, **step_settings(module)}
    if isinstance(module.value, ForLoop):
        settings |= {"iterator": module.value.iterator}
        settings |= {"parallelism": module.value.parallelism} if module.value.parallel else {}
    return settings


LAUNCHERS: Mapping[type, Callable[[Turn, Answers], Next]] = {
    RawScript: _step,
    ScriptStep: _step,
    SubFlow: _step,
    ForLoop: _for_loop,
    WhileLoop: _while_loop,
    BranchAll: _branch_all,
}
"""How a kind of step starts. An identity asks nothing, and `branchone` reads its answers one by one."""
