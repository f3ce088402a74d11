"""Settings of a flow that Windmill has and nothing here acts on: refused by name where they would mean something.

Editors write nulls, `false` and other defaults of them all, so only what asks for something counts.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import msgspec

from millpond.model.flow_modules import (
    BranchAll,
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
from millpond.model.flow_settings import JavascriptTransform, Number, SkipIf, StaticTransform, StopAfterIf
from millpond.model.flows import FlowValue, SharedDirectory

Settings = TypeVar("Settings", FlowValue, FlowModule)

STEP_KINDS = "steps other than scripts and flows"
DOING_NOTHING = frozenset({"", "false"})
"""Conditions editors write for those that are switched off."""

FLOW: Mapping[str, Callable[[FlowValue], object]] = {
    "debounce_delay_s": lambda flow: flow.debounce_delay_s,
    "debounce_key": lambda flow: flow.debounce_key,
    "debounce_args_to_accumulate": lambda flow: flow.debounce_args_to_accumulate,
    "max_total_debouncing_time": lambda flow: flow.max_total_debouncing_time,
    "max_total_debounces_amount": lambda flow: flow.max_total_debounces_amount,
    "chat_input_enabled": lambda flow: flow.chat_input_enabled,
    "cache_ignore_s3_path": lambda flow: flow.cache_ignore_s3_path,
    "state_commit: on_success": lambda flow: flow.state_commit == "on_success",
    "shared_directory.durable": lambda flow: flow.shared_directory and flow.shared_directory.durable,
}
"""Of a flow, each with what tells that it is in use."""

MODULE: Mapping[str, Callable[[FlowModule], object]] = {
    "debouncing": lambda module: module.debouncing,
    "job_token_scopes": lambda module: module.job_token_scopes is not None,
    "cache_ignore_s3_path": lambda module: module.cache_ignore_s3_path,
    "apply_preprocessor": lambda module: module.apply_preprocessor,
    "value.squash": lambda module: isinstance(module.value, ForLoop | WhileLoop) and module.value.squash,
    "value.parallel": lambda module: isinstance(module.value, WhileLoop) and module.value.parallel,
}
"""Of any step. Editors write `parallel: false` on while loops, so only `true` is refused."""

HANDLER: Mapping[str, Callable[[FlowModule], object]] = {
    "skip_if": lambda module: _asks(module.skip_if),
    "sleep": lambda module: _is_set(module.sleep),
    "suspend": lambda module: module.suspend and module.suspend.required_events,
    "stop_after_if": lambda module: _asks(module.stop_after_if),
    "stop_after_all_iters_if": lambda module: _asks(module.stop_after_all_iters_if),
    "continue_on_error": lambda module: module.continue_on_error,
}
"""Of failure modules and preprocessors, which have no step behind them."""

PREPROCESSOR: Mapping[str, Callable[[FlowModule], object]] = {
    **HANDLER,
    "timeout": lambda module: _is_set(module.timeout),
}
"""Of preprocessors, which are given the arguments of the run as they are."""

CONTAINER: Mapping[str, Callable[[FlowModule], object]] = {"timeout": lambda module: _is_set(module.timeout)}
"""Of loops and branches."""

NO_STEP: Mapping[str, Callable[[FlowModule], object]] = {
    "cache_ttl": lambda module: module.cache_ttl,
    "pass_flow_input_directly": lambda module: module.pass_flow_input_directly,
}
"""Of all that is neither script nor flow."""

NO_ITERATIONS: Mapping[str, Callable[[FlowModule], object]] = {
    "stop_after_all_iters_if": lambda module: _asks(module.stop_after_all_iters_if),
}
"""Of all but loops and `branchall`."""


def refused_of_flow(flow: FlowValue) -> Iterator[str]:
    """What is wrong with the settings of the flow itself."""
    for name in _in_use(FLOW, flow):
        yield f"`{name}` is not supported"
    if not flow.same_worker and flow.shared_directory not in (None, SharedDirectory()):
        yield "`shared_directory` is not supported without `same_worker: true`"


def refused_of_module(module: FlowModule) -> Iterator[str]:
    """What is wrong with the settings of a step."""
    for name in _in_use(MODULE, module):
        yield f"`{name}` is not supported"
    if not isinstance(module.value, Step):
        yield from _told(NO_STEP, module, STEP_KINDS)
    if not isinstance(module.value, Step | Identity):
        yield from _told(CONTAINER, module, "loops and branches")
    if not isinstance(module.value, ForLoop | WhileLoop | BranchAll):
        yield from _told(NO_ITERATIONS, module, "steps other than loops and `branchall`")


def refused_of_failure_module(module: FlowModule) -> Iterator[str]:
    """What is wrong with a failure module, beside what is with any step."""
    yield from _told(HANDLER, module, "failure modules")


def refused_of_preprocessor(module: FlowModule) -> Iterator[str]:
    """What is wrong with a preprocessor, beside what is with any step."""
    yield from _told(PREPROCESSOR, module, "preprocessors")
    if _has_inputs(module):
        yield "`value.input_transforms` are not supported on preprocessors"


def _told(
    table: Mapping[str, Callable[[FlowModule], object]], module: FlowModule, kinds: str
) -> Iterator[str]:
    for name in _in_use(table, module):
        yield f"`{name}` is not supported on {kinds}"


def _in_use(table: Mapping[str, Callable[[Settings], object]], settings: Settings) -> Iterator[str]:
    return (name for name, in_use in table.items() if in_use(settings))


def _asks(condition: SkipIf | StopAfterIf | None) -> bool:
    return condition is not None and condition.expr.strip() not in DOING_NOTHING


def _is_set(setting: Number | None) -> bool:
    match setting:
        case StaticTransform(value=value):
            return msgspec.json.decode(value) not in (None, 0, "")
        case JavascriptTransform(expr=expr):
            return bool(expr.strip())
        case int():
            return setting != 0
        case _:
            return False


def _has_inputs(module: FlowModule) -> bool:
    """Whether a preprocessor's inputs say anything else than that it is given the run's own."""
    if not isinstance(module.value, RawScript | ScriptStep | SubFlow):
        return False
    return any(
        _is_set(transform)
        and not (
            isinstance(transform, JavascriptTransform) and transform.expr.strip() == f"flow_input.{name}"
        )
        for name, transform in transforms_of(module.value).items()
    )
