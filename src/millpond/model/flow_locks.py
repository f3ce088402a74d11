"""The locks inside a flow's value: which steps still need one, and filling them in.

Filling in touches nothing else: members keep their order, and numbers and texts the form they were written in.
"""

from collections.abc import Mapping, Sequence

import msgspec

from millpond.model.flow_documents import StepToLock
from millpond.model.flow_modules import FlowModule, RawScript, bodies_of
from millpond.model.flow_validation import every_module, read_flow
from millpond.model.flows import FlowValue
from millpond.model.scripts import LOCKED_LANGUAGES

NO_LOCK = ""
"""The lock of code in a language that has none."""

Members = dict[str, msgspec.Raw]


def steps_to_lock(flow: FlowValue) -> list[StepToLock]:
    """Code at any depth whose language has locks, and that has none."""
    return [
        StepToLock(module.id, module.value.language, module.value.content)
        for module in every_module(flow)
        if isinstance(module.value, RawScript)
        and module.value.language in LOCKED_LANGUAGES
        and _lacks_lock(module.value)
    ]


def with_locks(value: str, locks: Mapping[str, str]) -> str:
    """The flow's JSON text with locks by step id filled in where one is missing.

    Code in languages without locks gets the empty one. The text itself when nothing is missing.
    """
    flow = read_flow(value)
    if not any(_lock_for(module, locks) is not None for module in every_module(flow)):
        return value
    members = msgspec.json.decode(value, type=Members)
    members["modules"] = _filled_list(members["modules"], flow.modules, locks)
    for name, module in (
        ("failure_module", flow.failure_module),
        ("preprocessor_module", flow.preprocessor_module),
    ):
        if module is not None:
            members[name] = _filled(members[name], module, locks)
    return msgspec.json.encode(members).decode()


def _lacks_lock(script: RawScript) -> bool:
    return not (script.lock or "").strip()


def _lock_for(module: FlowModule, locks: Mapping[str, str]) -> str | None:
    """What is to be filled in; None when nothing is."""
    script = module.value
    if not isinstance(script, RawScript):
        return None
    if script.language in LOCKED_LANGUAGES:
        return locks.get(module.id) if _lacks_lock(script) else None
    return NO_LOCK if script.lock is None else None


# The text is walked beside the structs that were read from it: those know the ids that were left out.


def _filled_list(text: msgspec.Raw, modules: Sequence[FlowModule], locks: Mapping[str, str]) -> msgspec.Raw:
    texts = msgspec.json.decode(text, type=list[msgspec.Raw])
    return _raw([_filled(one, module, locks) for one, module in zip(texts, modules, strict=True)])


def _filled(text: msgspec.Raw, module: FlowModule, locks: Mapping[str, str]) -> msgspec.Raw:
    members = msgspec.json.decode(text, type=Members)
    value = msgspec.json.decode(members["value"], type=Members)
    lock = _lock_for(module, locks)
    if lock is not None:
        value["lock"] = _raw(lock)
    elif bodies := bodies_of(module.value):
        _fill_bodies(value, bodies, locks)
    else:
        return text
    members["value"] = _raw(value)
    return _raw(members)


def _fill_bodies(value: Members, bodies: Sequence[Sequence[FlowModule]], locks: Mapping[str, str]) -> None:
    """Fill the lists of steps of a container, in the order `bodies_of` names them."""
    left = list(bodies)
    for name in ("modules", "default"):
        if name in value:
            value[name] = _filled_list(value[name], left.pop(0), locks)
    if "branches" in value:
        branches = msgspec.json.decode(value["branches"], type=list[Members])
        for branch, body in zip(branches, left, strict=True):
            branch["modules"] = _filled_list(branch["modules"], body, locks)
        value["branches"] = _raw(branches)


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
