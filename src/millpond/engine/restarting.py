"""The status of a run that goes on from an earlier one, at a step or at a child of a container."""

from typing import NoReturn
from uuid import UUID

import msgspec

from millpond.base.errors import InvalidInput
from millpond.engine.references import FlowInput, Reference, ResultOf, ResultsOf, StopError
from millpond.engine.status import FlowStatus, ModuleState, ModuleStatus, RestartedFrom
from millpond.model.flow_modules import BranchAll, FlowModule, ForLoop, WhileLoop
from millpond.model.flows import FlowValue


class PastRun(msgspec.Struct, frozen=True):
    """A run that has ended: its job, what it ran (`runnable`), and where it stood."""

    job: UUID
    flow: FlowValue
    status: FlowStatus


def restarted_status(flow: FlowValue, past: PastRun, point: RestartedFrom) -> FlowStatus:
    """The status of a fresh run that takes over what came before `point`; raises `InvalidInput`."""
    ids = [module.id for module in flow.modules]
    states = dict(zip((module.id for module in past.flow.modules), past.status.modules, strict=True))
    if point.step_id not in ids or point.step_id not in states:
        raise InvalidInput(f"Flow cannot be restarted from step {point.step_id} as it could not be found.")
    step = ids.index(point.step_id)
    kept = tuple(_kept(name, states.get(name), past.job) for name in ids[:step])
    first = _first(flow.modules[step], states[point.step_id], past.job, point.branch_or_iteration_n or 0)
    return FlowStatus(
        step=step,
        modules=(*kept, first, *(ModuleStatus() for _ in ids[step + 1 :])),
        previous=_result_of(kept[-1]) if kept else FlowInput(),
        restarted_from=point,
    )


def _kept(name: str, state: ModuleStatus | None, job: UUID) -> ModuleStatus:
    if state is None or state.state is not ModuleState.SUCCESS or state.result is None:
        raise InvalidInput(
            f"Flow cannot be restarted from a non successful module: '{name}' has not succeeded"
        )
    result = adopted(state.result, job)
    return msgspec.structs.replace(state, result=result, iterations=None, inherited=True)


def _result_of(state: ModuleStatus) -> Reference:
    assert state.result is not None
    return state.result


def _first(module: FlowModule, past: ModuleStatus, job: UUID, number: int) -> ModuleStatus:
    if number == 0:
        return ModuleStatus()
    if number < 0 or not isinstance(module.value, ForLoop | WhileLoop | BranchAll):
        _refuse(module, number, "it is not a loop, and its branches are not all run")
    if not isinstance(module.value, WhileLoop) and module.value.parallel:
        _refuse(module, number, "its children run at the same time")
    if not isinstance(past.result, ResultsOf) or number >= sum(span.count for span in past.result.spans):
        _refuse(module, number, "the earlier run did not come that far")
    return ModuleStatus(restart_at=number, result=adopted(past.result, job))


def _refuse(module: FlowModule, number: int, reason: str) -> NoReturn:
    raise InvalidInput(
        f"Flow cannot be restarted from branch or iteration {number} of step {module.id}: {reason}."
    )


def adopted(reference: Reference, origin: UUID) -> Reference:
    """The reference as another flow job must write it: with the flow job it was made in."""
    match reference:
        case ResultOf(place) if place.origin is None:
            return ResultOf(msgspec.structs.replace(place, origin=origin))
        case ResultsOf(module, spans):
            return ResultsOf(
                module,
                tuple(
                    msgspec.structs.replace(span, origin=origin) if span.origin is None else span
                    for span in spans
                ),
            )
        case StopError(message, result):
            return StopError(message, adopted(result, origin))
        case _:
            return reference
