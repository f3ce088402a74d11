"""Reading a flow's definition, and refusing what is wrong with the name of the thing and its place."""

import re
from collections.abc import Callable, Iterator
from itertools import chain, count
from typing import NoReturn

import msgspec

from millpond.base.errors import InvalidInput
from millpond.model.flow_bounds import beyond_bounds_of_flow, beyond_bounds_of_module
from millpond.model.flow_modules import (
    FlowModule,
    ForLoop,
    RawScript,
    ScriptStep,
    all_modules,
    bodies_of,
    waits_behind,
)
from millpond.model.flow_refusals import (
    refused_of_failure_module,
    refused_of_flow,
    refused_of_module,
    refused_of_preprocessor,
)
from millpond.model.flow_settings import AiTransform, Retry
from millpond.model.flows import FlowValue

DEEPEST_NESTING = 50
LONGEST_ID = 100
RESERVED_IDS = frozenset({"failure", "preprocessor"})
FAILURE_PREFIX = "failure-"
"""Of the ids of failure modules inside loops and branches."""
LAST_WAIT_SUFFIX = "-v"
"""Of the id of the step that is added where a last step sleeps or waits."""

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
    """Raise `InvalidInput` for what single members cannot tell: ids, numbers, handlers, what is unsupported."""
    _refuse_first(refused_of_flow(flow), beyond_bounds_of_flow(flow))
    _check_depth(flow.modules, DEEPEST_NESTING)
    _check_ids(flow)
    for module in every_module(flow):
        _check_module(module)
    _check_handlers(flow)
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
        if module.id.startswith(FAILURE_PREFIX):
            raise InvalidInput(
                f"Invalid flow: a step cannot have the id '{module.id}': those of failure modules in loops and "
                f"branches begin with '{FAILURE_PREFIX}'"
            )
        seen.add(module.id)
    for added, last in _added_waits(flow.modules):
        if added in seen:
            raise InvalidInput(
                f"Invalid flow: a step cannot have the id '{added}': it is that of the wait behind step '{last}'"
            )


def _added_waits(modules: tuple[FlowModule, ...]) -> Iterator[tuple[str, str]]:
    """The ids of steps that are added so that waits at an end take effect, each with the step it follows."""
    if modules and waits_behind(modules[-1]):
        yield f"{modules[-1].id}{LAST_WAIT_SUFFIX}", modules[-1].id
    for module in modules:
        for body in bodies_of(module.value):
            yield from _added_waits(body)


def _check_module(module: FlowModule) -> None:
    problems = (refused_of_module(module), beyond_bounds_of_module(module), _wrong_in(module))
    _refuse_first(*problems, step=module.id)


def _wrong_in(module: FlowModule) -> Iterator[str]:
    if isinstance(module.value, ForLoop) and isinstance(module.value.iterator, AiTransform):
        yield "AI input transform not supported for iterator"
    exponential = Retry().exponential if module.retry is None else module.retry.exponential
    if exponential.attempts > 0 and exponential.seconds <= 0:
        yield "`retry.exponential.seconds` must be above 0"


def _check_handlers(flow: FlowValue) -> None:
    for name, handler, refused in (
        ("failure", flow.failure_module, refused_of_failure_module),
        ("preprocessor", flow.preprocessor_module, refused_of_preprocessor),
    ):
        if handler is None:
            continue
        if not isinstance(handler.value, RawScript | ScriptStep):
            raise InvalidInput(f"Invalid flow: the {name} module must be a script")
        _refuse_first(refused(handler), step=handler.id)


def _refuse_first(*problems: Iterator[str], step: str | None = None) -> None:
    problem = next(chain(*problems), None)
    if problem is not None:
        where = "" if step is None else f"step '{step}': "
        raise InvalidInput(f"Invalid flow: {where}{problem}")


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
