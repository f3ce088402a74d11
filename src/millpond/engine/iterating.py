"""Loops and branches that are all run: starting their children, and counting them as they end.

The status holds counters only. Children may run at the same time up to the limit; a sequential container is one whose
limit is 1, by definition and not by chance, so what breaks or fails it ends it at once.
"""

import msgspec

from millpond.engine.definition import single_step
from millpond.engine.effects import (
    FailAtOnce,
    FlowInputs,
    Inputs,
    InputsOf,
    NewChild,
    RunBody,
    RunModule,
    Work,
)
from millpond.engine.events import ChildEnded
from millpond.engine.inputs import Answers
from millpond.engine.launching import step_inputs, step_settings
from millpond.engine.references import ResultOf
from millpond.engine.status import Iterations, Phase, Stage
from millpond.engine.turn import Next, Question, Turn
from millpond.model.flow_modules import BranchAll, FlowModule, ForLoop, WhileLoop


def iterate(turn: Turn) -> Next:
    """Ask for the inputs of as many children as may start now."""
    iterations = _iterations(turn)
    first, count = iterations.started, _startable(iterations)
    step = single_step(turn.flow, turn.module)
    if step is None:
        return _start(
            turn,
            first,
            [(RunBody(_branch(turn, first + n)), FlowInputs(_item(turn, first + n))) for n in range(count)],
        )
    question = turn.question(Stage.ITERATE, step_settings(step), turn.bindings(items_of=turn.place))
    question = msgspec.structs.replace(question, first=first, count=count)
    return question if question.expressions else _start_single(turn, step, Answers({}, first, count))


def iterated(turn: Turn, answers: Answers) -> Next:
    """Start the children whose inputs are known now."""
    step = single_step(turn.flow, turn.module)
    assert step is not None
    return _start_single(turn, step, answers)


def child_ended(turn: Turn, event: ChildEnded) -> Next:
    """Count the child, and decide whether the container goes on."""
    iterations = _iterations(turn)
    failed = event.status in {"failure", "canceled"} and not _may_fail(turn.module, event.place.index or 0)
    iterations = msgspec.structs.replace(
        iterations,
        ended=iterations.ended + 1,
        failed=iterations.failed + failed,
        handled=iterations.handled or event.handled,
    )
    turn.change_state(iterations=iterations)
    if is_parallel(turn.module):
        return _parallel_child_ended(turn, iterations)
    if failed:
        return _failed(turn, iterations)
    if event.stop is not None and event.status in {"success", "skipped"}:
        return _broken_off(turn, event)
    if turn.module.stop_after_if is not None and event.status == "success" and not _is_branches(turn.module):
        return _stop_question(turn, event)
    return next_or_done(turn)


def next_or_done(turn: Turn) -> Next:
    """Start what comes next of a sequential container, or end it."""
    iterations = _iterations(turn)
    return Stage.ITERATE if iterations.started != iterations.total else done(turn)


def done(turn: Turn) -> Next:
    """The container has run as far as it will, and has not failed."""
    turn.change_state(result=turn.iteration_results)
    return Stage.STOP_ALL


def is_parallel(module: FlowModule) -> bool:
    """Whether the children may run at the same time."""
    return isinstance(module.value, ForLoop | BranchAll) and module.value.parallel


def _parallel_child_ended(turn: Turn, iterations: Iterations) -> Next:
    if iterations.started != iterations.total:
        return Stage.ITERATE
    if iterations.ended != iterations.total:
        return None
    return _failed(turn, iterations) if iterations.failed else done(turn)


def _failed(turn: Turn, iterations: Iterations) -> Next:
    turn.change_state(result=turn.iteration_results)
    turn.change(handled=iterations.handled)
    return Stage.RETRY


def _broken_off(turn: Turn, event: ChildEnded) -> Next:
    if _is_branches(turn.module):
        turn.change_state(stop=event.stop)
    return done(turn)


def _stop_question(turn: Turn, event: ChildEnded) -> Question:
    assert turn.module.stop_after_if is not None
    bindings = turn.bindings_after(ResultOf(event.place), all_iters=turn.iteration_results)
    return turn.condition(Stage.STOP_ITERATIONS, turn.module.stop_after_if.expr, bindings)


def _start_single(turn: Turn, step: FlowModule, answers: Answers) -> Next:
    return _start(
        turn, answers.first, [_single(step, answers, answers.first, n) for n in range(answers.count)], step
    )


def _single(step: FlowModule, answers: Answers, first: int, position: int) -> tuple[Work, Inputs]:
    broken = answers.broken(position)
    if broken is not None:
        return FailAtOnce(broken), InputsOf({})
    return RunModule(), step_inputs(step, answers, position) or FlowInputs(first + position)


def _start(turn: Turn, first: int, jobs: list[tuple[Work, Inputs]], step: FlowModule | None = None) -> Next:
    iterations = _iterations(turn)
    turn.change_state(iterations=msgspec.structs.replace(iterations, started=first + len(jobs)))
    if not jobs:
        turn.change(phase=Phase.RUNNING)
        return None
    children = (
        NewChild(
            place=turn.child(first + position),
            module=step or turn.module,
            work=work,
            inputs=inputs,
            timeout_s=turn.state.timeout_s,
        )
        for position, (work, inputs) in enumerate(jobs)
    )
    turn.push(*children)
    return None


def _startable(iterations: Iterations) -> int:
    room = iterations.limit - (iterations.started - iterations.ended)
    return room if iterations.total is None else min(room, iterations.total - iterations.started)


def _may_fail(module: FlowModule, index: int) -> bool:
    match module.value:
        case ForLoop() | WhileLoop():
            return module.value.skip_failures
        case BranchAll():
            return bool(module.value.branches[index].skip_failure)
        case _:
            return False


def _is_branches(module: FlowModule) -> bool:
    return isinstance(module.value, BranchAll)


def _branch(turn: Turn, index: int) -> int | None:
    return index if _is_branches(turn.module) else None


def _item(turn: Turn, index: int) -> int | None:
    return None if _is_branches(turn.module) else index


def _iterations(turn: Turn) -> Iterations:
    iterations = turn.state.iterations
    assert iterations is not None
    return iterations
