"""From a flow as it is written to the flow as it runs: waits at the end, bodies, iterations of one job."""

import msgspec

from millpond.model.flow_modules import (
    BranchAll,
    BranchOne,
    FlowModule,
    ForLoop,
    Identity,
    RawScript,
    ScriptStep,
    WhileLoop,
)
from millpond.model.flow_validation import replace_bodies
from millpond.model.flows import FlowValue

Modules = tuple[FlowModule, ...]


def runnable(flow: FlowValue) -> FlowValue:
    """The flow with a step `<last>-v` after every last step that sleeps or waits, so that the wait takes effect."""
    return msgspec.structs.replace(flow, modules=_with_last_waits(flow.modules))


def _with_last_waits(modules: Modules) -> Modules:
    inner = tuple(replace_bodies(module, _with_last_waits) for module in modules)
    if inner and (inner[-1].sleep is not None or required_approvals(inner[-1])):
        return (*inner, FlowModule(id=f"{inner[-1].id}-v", value=Identity()))
    return inner


def required_approvals(module: FlowModule) -> int:
    """How many approvals the flow waits for after the step."""
    return (module.suspend.required_events or 0) if module.suspend is not None else 0


def body_of(
    flow: FlowValue, module_id: str, *, branch: int | None = None, index: int | None = None
) -> FlowValue:
    """What a child flow job runs: a body of a step of this flow, with a copy of the failure module.

    `branch` is as in `RunBody`: of `branchone` 0 is the default. `index` is that of the child's place.
    """
    module = next(module for module in flow.modules if module.id == module_id)
    return FlowValue(
        modules=body_modules(module, branch),
        failure_module=_inner_failure_module(flow.failure_module, module_id, index),
        same_worker=flow.same_worker,
        preserve_step_tags=flow.preserve_step_tags,
        priority=flow.priority,
        state_commit=flow.state_commit,
    )


def body_modules(module: FlowModule, branch: int | None) -> Modules:
    """The steps of a loop's body or of a branch."""
    match module.value:
        case ForLoop() | WhileLoop():
            return module.value.modules
        case BranchOne():
            return module.value.branches[branch - 1].modules if branch else module.value.default
        case BranchAll():
            return module.value.branches[branch or 0].modules
        case _:
            raise ValueError(f"step '{module.id}' holds no steps")


def _inner_failure_module(failure: FlowModule | None, module_id: str, index: int | None) -> FlowModule | None:
    if failure is None:
        return None
    suffix = module_id if index is None else f"{module_id}-{index}"
    return msgspec.structs.replace(failure, id=f"failure-{suffix}")


def single_step(flow: FlowValue, module: FlowModule) -> FlowModule | None:
    """The only step of a loop's body when one job can stand for the whole iteration; None when it takes a flow job."""
    if not isinstance(module.value, ForLoop | WhileLoop) or flow.failure_module is not None:
        return None
    match module.value.modules:
        case (FlowModule(value=RawScript() | ScriptStep()) as step,) if _is_plain(step):
            return step
        case _:
            return None


def _is_plain(step: FlowModule) -> bool:
    """Whether nothing but the job itself happens: no waits, conditions, retries or caches around it."""
    special = (
        step.sleep, step.suspend, step.cache_ttl, step.retry, step.stop_after_if, step.stop_after_all_iters_if,
        step.skip_if, step.mock, step.timeout,
    )  # fmt: skip
    return all(setting is None for setting in special)


def path_suffix(module: FlowModule, *, branch: int | None, index: int | None) -> str:
    """What a child flow job's path has after the flow's own."""
    match module.value:
        case BranchOne():
            return f"branchone-{branch or 0}"
        case BranchAll():
            return f"branchall-{index or 0}"
        case ForLoop(parallel=True):
            return f"forloop-{index or 0}"
        case ForLoop() | WhileLoop():
            return f"loop-{index or 0}"
        case _:
            return module.id
