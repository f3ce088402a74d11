"""Reading a flow's definition, and refusing what is wrong with the name of the thing and its place."""

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import NoReturn

import msgspec

from millpond.base.errors import InvalidInput
from millpond.model.flow_modules import (
    FlowModule,
    ForLoop,
    Identity,
    RawScript,
    ScriptStep,
    Step,
    WhileLoop,
    all_modules,
    bodies_of,
)
from millpond.model.flow_settings import AiTransform
from millpond.model.flows import FlowValue

DEEPEST_NESTING = 50
LONGEST_ID = 100
RESERVED_IDS = frozenset({"failure", "preprocessor"})

UNSUPPORTED_FLOW_FIELDS: Mapping[str, Callable[[FlowValue], object]] = {
    "debounce_delay_s": lambda flow: flow.debounce_delay_s,
    "debounce_key": lambda flow: flow.debounce_key,
    "debounce_args_to_accumulate": lambda flow: flow.debounce_args_to_accumulate,
    "max_total_debouncing_time": lambda flow: flow.max_total_debouncing_time,
    "max_total_debounces_amount": lambda flow: flow.max_total_debounces_amount,
    "chat_input_enabled": lambda flow: flow.chat_input_enabled,
    "cache_ignore_s3_path": lambda flow: flow.cache_ignore_s3_path,
}
"""Members of a flow that Windmill has and we do not, each with what tells that it is in use."""

UNSUPPORTED_MODULE_FIELDS: Mapping[str, Callable[[FlowModule], object]] = {
    "debouncing": lambda module: module.debouncing,
    "job_token_scopes": lambda module: module.job_token_scopes is not None,
    "cache_ignore_s3_path": lambda module: module.cache_ignore_s3_path,
    "value.squash": lambda module: isinstance(module.value, ForLoop | WhileLoop) and module.value.squash,
    "value.parallel": lambda module: isinstance(module.value, WhileLoop) and module.value.parallel,
}
"""The same of a step. Editors write `parallel: false` on while loops, so only `true` is refused."""

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_PLACE = re.compile(r" - at `(?P<path>[^`]*)`$")
_STEP_OF_PATH = re.compile(r"\.(\w+)|\[(\d+)\]")


def read_flow(definition: bytes | str) -> FlowValue:
    """The definition as structs, ids filled in where they are missing; raises `InvalidInput`."""
    _refuse_nul(definition)
    try:
        flow = msgspec.json.decode(definition, type=FlowValue)
    except msgspec.ValidationError as error:
        _refuse(str(error), definition)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInput(f"Invalid flow: {error}") from error
    flow = _with_ids(flow)
    check_flow(flow)
    return flow


def check_flow(flow: FlowValue) -> None:
    """Raise `InvalidInput` for what single members cannot tell: ids, retries, handlers, what is unsupported."""
    for name, in_use in UNSUPPORTED_FLOW_FIELDS.items():
        if in_use(flow):
            raise InvalidInput(f"Invalid flow: `{name}` is not supported")
    _check_depth(flow.modules, DEEPEST_NESTING)
    _check_ids(flow)
    for module in every_module(flow):
        _check_module(module)
    for name, handler in (("failure", flow.failure_module), ("preprocessor", flow.preprocessor_module)):
        if handler is not None and not isinstance(handler.value, RawScript | ScriptStep):
            raise InvalidInput(f"Invalid flow: the {name} module must be a script")
    if flow.early_return and flow.early_return not in {module.id for module in flow.modules}:
        raise InvalidInput(
            f"Invalid flow: `early_return` names step '{flow.early_return}', which does not exist"
        )


def every_module(flow: FlowValue) -> Iterator[FlowModule]:
    """Every step at any depth, the handlers included."""
    yield from all_modules(flow.modules)
    yield from (module for module in (flow.failure_module, flow.preprocessor_module) if module is not None)


def _check_depth(modules: tuple[FlowModule, ...], left: int) -> None:
    if left == 0:
        raise InvalidInput(f"Invalid flow: steps are nested deeper than {DEEPEST_NESTING} levels")
    for module in modules:
        for body in bodies_of(module.value):
            _check_depth(body, left - 1)


def _check_ids(flow: FlowValue) -> None:
    seen: set[str] = set()
    for module in all_modules(flow.modules):
        if module.id in seen:
            raise InvalidInput(f"Invalid flow: two steps have the id '{module.id}'")
        if module.id in RESERVED_IDS:
            raise InvalidInput(f"Invalid flow: a step cannot have the id '{module.id}', which is reserved")
        if len(module.id) > LONGEST_ID:
            raise InvalidInput(
                f"Invalid flow: the id of step '{module.id[:40]}…' is over {LONGEST_ID} characters long"
            )
        seen.add(module.id)


def _check_module(module: FlowModule) -> None:
    place = f"Invalid flow: step '{module.id}'"
    for name, in_use in UNSUPPORTED_MODULE_FIELDS.items():
        if in_use(module):
            raise InvalidInput(f"{place}: `{name}` is not supported")
    if module.retry is not None:
        _check_retry(module, place)
    if isinstance(module.value, ForLoop) and isinstance(module.value.iterator, AiTransform):
        raise InvalidInput(f"{place}: AI input transform not supported for iterator")
    if (
        module.suspend is not None
        and min(module.suspend.required_events or 0, module.suspend.timeout or 0) < 0
    ):
        raise InvalidInput(f"{place}: `suspend` takes no negative numbers")
    if module.cache_ttl and not isinstance(module.value, Step):
        raise InvalidInput(f"{place}: `cache_ttl` is not supported on steps other than scripts and flows")
    if isinstance(module.value, Identity) and module.pass_flow_input_directly:
        raise InvalidInput(f"{place}: `pass_flow_input_directly` has no meaning for an identity step")


def _check_retry(module: FlowModule, place: str) -> None:
    assert module.retry is not None
    constant, exponential = module.retry.constant, module.retry.exponential
    if exponential.attempts > 0 and exponential.seconds <= 0:
        raise InvalidInput(f"{place}: `retry.exponential.seconds` must be above 0")
    if min(constant.attempts, constant.seconds, exponential.attempts, exponential.multiplier) < 0:
        raise InvalidInput(f"{place}: `retry` takes no negative numbers")
    if not 0 <= (exponential.random_factor or 0) <= 100:
        raise InvalidInput(f"{place}: `retry.exponential.random_factor` is a percentage, 0 to 100")


def _with_ids(flow: FlowValue) -> FlowValue:
    taken = {module.id for module in all_modules(flow.modules)}
    fresh = (name for name in map(_letters, count()) if name not in taken)
    return msgspec.structs.replace(
        flow,
        modules=_named(flow.modules, fresh) if "" in taken else flow.modules,
        failure_module=_renamed(flow.failure_module, "failure"),
        preprocessor_module=_renamed(flow.preprocessor_module, "preprocessor"),
    )


def _renamed(module: FlowModule | None, name: str) -> FlowModule | None:
    return None if module is None else msgspec.structs.replace(module, id=name)


def _named(modules: tuple[FlowModule, ...], fresh: Iterator[str]) -> tuple[FlowModule, ...]:
    return tuple(
        replace_bodies(
            msgspec.structs.replace(module, id=module.id or next(fresh)), lambda body: _named(body, fresh)
        )
        for module in modules
    )


def replace_bodies(
    module: FlowModule, change: Callable[[tuple[FlowModule, ...]], tuple[FlowModule, ...]]
) -> FlowModule:
    """The step with every list of steps it holds put through `change`."""
    value = module.value
    if not bodies_of(value):
        return module
    replaced: dict[str, object] = {}
    for name in ("modules", "default"):
        if hasattr(value, name):
            replaced[name] = change(getattr(value, name))
    if hasattr(value, "branches"):
        replaced["branches"] = tuple(
            msgspec.structs.replace(branch, modules=change(branch.modules)) for branch in value.branches
        )
    return msgspec.structs.replace(module, value=msgspec.structs.replace(value, **replaced))


def _letters(number: int) -> str:
    """a to z, then aa, ab, …: the ids editors give."""
    letters = ""
    number += 1
    while number > 0:
        number, letter = divmod(number - 1, 26)
        letters = chr(ord("a") + letter) + letters
    return letters


def _refuse_nul(definition: bytes | str) -> None:
    """Texts of a flow become code, ids and tags, whose columns cannot hold the character."""
    text = definition if isinstance(definition, str) else definition.decode(errors="replace")
    if "\\u0000" in text and _NUL.search(text):
        raise InvalidInput("Invalid flow: it holds a NUL character")


def _refuse(message: str, definition: bytes | str) -> NoReturn:
    """Tell the place of an error by the id of the step it is in, as users know it, and the path as programs do."""
    found = _PLACE.search(message)
    if found is None:
        raise InvalidInput(f"Invalid flow: {message}")
    reason, path = message[: found.start()], found["path"]
    if reason.startswith("Invalid value") and path.endswith(".type"):
        reason = f"unknown or unsupported type: {reason.removeprefix('Invalid value ')}"
    step = _step_at(path, msgspec.json.decode(definition))
    where = f"step '{step}': " if step else ""
    raise InvalidInput(f"Invalid flow: {where}{reason} (at {path})")


def _step_at(path: str, definition: object) -> str | None:
    """The id of the innermost step on the way to a path such as `$.modules[0].value`."""
    step: str | None = None
    here = definition
    for name, position in _STEP_OF_PATH.findall(path):
        if isinstance(here, dict):
            here = here.get(name)
        elif isinstance(here, list) and position and int(position) < len(here):
            here = here[int(position)]
        else:
            break
        if isinstance(here, dict) and "value" in here and isinstance(here.get("id"), str):
            step = here["id"]
    return step
