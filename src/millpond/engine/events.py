"""What happens to a flow. The caller turns completions, approvals and due times into these."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from millpond.engine.references import Place
from millpond.engine.status import Approval, Canceled, Phase, Stop


class Started(msgspec.Struct, frozen=True, tag=True):
    """A worker took up the flow job for the first time."""


class ChildEnded(msgspec.Struct, frozen=True, tag=True):
    """A child job ended. `stop` and `handled` repeat what the child flow's `Finish` said; `recovers` is
    `recovers(result)`, looked at for failure modules only. `canceled` says who ended it, when somebody did."""

    place: Place
    status: Literal["success", "failure", "canceled", "skipped"]
    stop: Stop | None = None
    handled: bool = False
    recovers: bool = False
    canceled: Canceled | None = None


class Value(msgspec.Struct, frozen=True, tag=True):
    """What an expression came to."""

    json: msgspec.Raw


class Broken(msgspec.Struct, frozen=True, tag=True):
    """Why an expression came to nothing; the message is the user's to read."""

    message: str


Answer = Value | Broken


class Evaluated(msgspec.Struct, frozen=True, tag=True):
    """The answers to `Evaluate`, by key: one for each child asked about, in order; a single one otherwise."""

    id: str
    answers: Mapping[str, tuple[Answer, ...]]


class Woken(msgspec.Struct, frozen=True, tag=True):
    """The time a `Sleep` or a `Suspend` named has come; `wait` is theirs."""

    wait: int


class Approved(msgspec.Struct, frozen=True, tag=True):
    """Somebody approved, or disapproved, a wait, perhaps one that has not begun."""

    approval: Approval


class CancelAsked(msgspec.Struct, frozen=True, tag=True):
    """The flow is to end; with `force` without waiting for its children."""

    by: str
    reason: str
    force: bool = False


Event = Started | ChildEnded | Evaluated | Woken | Approved | CancelAsked

_ALWAYS: frozenset[type[Event]] = frozenset({Approved, CancelAsked})

HEARD: Mapping[Phase, frozenset[type[Event]]] = {
    Phase.FRESH: _ALWAYS | {Started},
    Phase.ASKING: frozenset({Evaluated}),
    Phase.RUNNING: _ALWAYS | {ChildEnded},
    Phase.SLEEPING: _ALWAYS | {Woken},
    Phase.SUSPENDED: _ALWAYS | {Woken},
    Phase.CANCELING: frozenset({ChildEnded, CancelAsked}),
    Phase.ENDED: frozenset(),
}
"""The events that mean something in a phase. Others come too late, or twice, and change nothing."""


def recovers(result: bytes) -> bool:
    """Whether a failure module's result says that the flow did not fail after all."""
    if b'"recover"' not in result:
        return False
    try:
        return msgspec.json.decode(result, type=_Recovery).recover is True
    except (msgspec.DecodeError, RecursionError):
        return False


class _Recovery(msgspec.Struct):
    recover: object = None
