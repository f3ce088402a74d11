"""`results.<id>`: which result a step's name means, seen from a flow (compat facts, flows 1.7).

First the flow's own steps, then those nested in its containers, as far as the latest turn came; then the same of the
flow around, up to the outermost. Turns of parallel loops and sub-flows keep their names to themselves.
"""

from collections.abc import Awaitable, Callable
from uuid import UUID

from millpond.engine.definition import body_modules, single_step
from millpond.engine.references import Place, Reference, ResultOf
from millpond.engine.wire import result_of
from millpond.model.flow_modules import (
    BranchAll,
    BranchOne,
    FlowModule,
    ForLoop,
    WhileLoop,
    all_modules,
)
from millpond.services.flow_runs.run import Run

LOOKED_BACK = 2
"""Turns of a loop that are searched from the last: the one that runs, and the one before."""

FindRun = Callable[[UUID], Awaitable[Run | None]]
FindChild = Callable[[Run, Place], Awaitable[Run | None]]


class Found:
    """A result, and the flow it is one of."""

    def __init__(self, run: Run, reference: Reference) -> None:
        self.run = run
        self.reference = reference


class Names:
    """Finds results by step. `run_of` loads a flow job, `child_of` the flow job at a place."""

    def __init__(self, run_of: FindRun, child_of: FindChild) -> None:
        self._run_of = run_of
        self._child_of = child_of

    async def find(self, run: Run, step_id: str) -> Found | None:
        """The result of a step; None when no step of that name has ended."""
        here: Run | None = run
        passed: list[Run] = []
        while here is not None:
            passed.append(here)
            found = await self._below(here, step_id)
            if found is not None:
                return found
            parent = here.job.parent_job if here.job.is_step else None
            here = await self._run_of(parent) if parent is not None else None
        for restarted in passed:
            found = await self._before_restart(restarted, step_id)
            if found is not None:
                return found
        return None

    async def _before_restart(self, run: Run, step_id: str) -> Found | None:
        """A result of the run that this one goes on from."""
        point = run.status.restarted_from
        past = await self._run_of(point.flow_job_id) if point is not None else None
        return await self._below(past, step_id) if past is not None else None

    async def _below(self, run: Run, step_id: str) -> Found | None:
        own = result_of(run.flow, run.status, step_id)
        if own is not None:
            return Found(run, own)
        for number, module in enumerate(run.flow.modules):
            if _holds(module, step_id):
                return await self._within(run, number, module, step_id)
        return None

    async def _within(self, run: Run, number: int, module: FlowModule, step_id: str) -> Found | None:
        for place in _places(run, number, module, step_id):
            if single_step(run.flow, module) is not None:
                return Found(run, ResultOf(place))
            child = await self._child_of(run, place)
            if child is not None:
                found = await self._below(child, step_id)
                if found is not None:
                    return found
        return None


def _holds(module: FlowModule, step_id: str) -> bool:
    match module.value:
        case ForLoop() | WhileLoop():
            bodies = [body_modules(module, None)]
        case BranchOne():
            bodies = [body_modules(module, branch) for branch in range(len(module.value.branches) + 1)]
        case BranchAll():
            bodies = [body_modules(module, branch) for branch in range(len(module.value.branches))]
        case _:
            return False
    return any(inner.id == step_id for body in bodies for inner in all_modules(body))


def _places(run: Run, number: int, module: FlowModule, step_id: str) -> list[Place]:
    """The children whose steps the name may mean, the likeliest first."""
    state = run.status.modules[number]
    match module.value:
        case ForLoop(parallel=True):
            return []
        case ForLoop() | WhileLoop():
            if state.iterations is None:
                return []
            last = state.iterations.started - 1
            indices = range(last, max(-1, last - LOOKED_BACK), -1)
            return [Place(module.id, state.attempt, index) for index in indices]
        case BranchAll():
            held = [
                branch
                for branch in range(len(module.value.branches))
                if any(inner.id == step_id for inner in all_modules(body_modules(module, branch)))
            ]
            return [Place(module.id, state.attempt, branch) for branch in held]
        case _:
            return [Place(module.id, state.attempt)]
