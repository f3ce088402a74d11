"""What saving a flow must obey, and what is derived from its value. No I/O."""

import msgspec

from millpond.base.errors import InvalidInput
from millpond.base.paths import check_path, is_path
from millpond.model.actors import Actor
from millpond.model.flow_documents import FlowSettings, NewFlow, PreparedFlow, StepKind, runnable_of
from millpond.model.flow_locks import steps_to_lock, with_locks
from millpond.model.flow_modules import RawScript
from millpond.model.flow_validation import every_module, read_flow
from millpond.model.flows import FlowValue

MAX_TAG_CHARACTERS = 50
MAX_LABELS = 50
MAX_LABEL_CHARACTERS = 50
MAX_TIMEOUT_SECS = 2**31 - 1
MAX_PRIORITY = 100


def prepare(actor: Actor, new: NewFlow, languages: frozenset[str]) -> PreparedFlow:
    """The version `new` asks for. Raises InvalidInput naming the field or step that breaks a rule.

    Scripts and flows that steps refer to need not exist: their absence is an error of the run.
    """
    check_path(new.path)
    _refuse_unsupported(new)
    _check_texts(new)
    value = bytes(new.value).decode()
    flow = read_flow(value)
    _check_languages(flow, languages)
    to_lock = steps_to_lock(flow)
    return PreparedFlow(
        path=new.path,
        summary=new.summary,
        description=new.description or "",
        value=value if to_lock else with_locks(value, {}),
        schema=_schema(new),
        settings=_settings(actor, new, flow),
        labels=_labels(new.labels),
        deployment_message=new.deployment_message or None,
        to_lock=to_lock,
    )


def _refuse_unsupported(new: NewFlow) -> None:
    names = new.asked_for()
    if names:
        raise InvalidInput(
            f"This version does not support the flow setting {', '.join(names)}: nothing would act on it"
        )


def _check_texts(new: NewFlow) -> None:
    texts = {
        "summary": new.summary,
        "description": new.description,
        "deployment_message": new.deployment_message,
        "tag": new.tag,
        "labels": "".join(new.labels or []),
    }
    for name, text in texts.items():
        if text and "\x00" in text:
            raise InvalidInput(f"The flow's {name} holds a NUL character")


def _check_languages(flow: FlowValue, languages: frozenset[str]) -> None:
    for module in every_module(flow):
        if isinstance(module.value, RawScript) and module.value.language not in languages:
            raise InvalidInput(
                f"Invalid flow: step '{module.id}': scripts in {module.value.language!r} cannot run here; "
                f"supported are {', '.join(sorted(languages))}"
            )


def _schema(new: NewFlow) -> str | None:
    given = "null" if new.schema is msgspec.UNSET else bytes(new.schema).decode().strip()
    if given == "null":
        return None
    if not given.startswith("{"):
        raise InvalidInput("The flow's schema must be a JSON object")
    return given


def _settings(actor: Actor, new: NewFlow, flow: FlowValue) -> FlowSettings:
    if new.tag and len(new.tag) > MAX_TAG_CHARACTERS:
        raise InvalidInput(
            f"The flow's tag is {len(new.tag)} characters long, {MAX_TAG_CHARACTERS} are allowed"
        )
    return FlowSettings(
        tag=new.tag or None,
        timeout=_within("timeout", new.timeout, MAX_TIMEOUT_SECS),
        priority=_within("priority", new.priority, MAX_PRIORITY),
        visible_to_runner_only=bool(new.visible_to_runner_only),
        on_behalf_of_email=_on_behalf_of_email(actor, new),
        on_behalf_of=new.on_behalf_of or None,
        scripts=_used(flow, "script"),
        flows=_used(flow, "flow"),
    )


def _on_behalf_of_email(actor: Actor, new: NewFlow) -> str | None:
    """The deployer's own, when asked for: nobody has others' rights used by deploying."""
    if new.on_behalf_of and new.on_behalf_of not in (actor.permissioned_as, actor.email):
        raise InvalidInput(
            "This version does not support the flow setting on_behalf_of with anybody but the deployer, "
            f"{actor.permissioned_as}"
        )
    if new.on_behalf_of_email and new.on_behalf_of_email != actor.email:
        raise InvalidInput(
            "This version does not support the flow setting on_behalf_of_email with another e-mail than "
            f"the deployer's own, {actor.email}"
        )
    return actor.email if new.on_behalf_of or new.on_behalf_of_email else None


def _within(name: str, value: int | None, maximum: int) -> int | None:
    if value and not 0 < value <= maximum:
        raise InvalidInput(f"The flow's {name} must be between 1 and {maximum}, not {value}")
    return value or None


def _used(flow: FlowValue, kind: StepKind) -> list[str]:
    used = (runnable_of(module.value) for module in every_module(flow))
    # Only what can be asked for: a step may also name a script of the hub, or nonsense.
    return sorted(
        {runnable[1] for runnable in used if runnable and runnable[0] == kind and is_path(runnable[1])}
    )


def _labels(labels: list[str] | None) -> list[str] | None:
    longest = max(map(len, labels), default=0) if labels else 0
    if labels and (len(labels) > MAX_LABELS or longest > MAX_LABEL_CHARACTERS or not all(labels)):
        raise InvalidInput(f"A flow has up to {MAX_LABELS} labels of 1 to {MAX_LABEL_CHARACTERS} characters")
    return labels or None
