"""How the engine speaks of jobs and results it never sees.

A job is named by its place in the flow, not by an id: the engine makes no ids, and a place is the natural key that
keeps a step from being pushed twice. A result is named by where it will be found, so a status stays small.
"""

from uuid import UUID

import msgspec


class Place(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True):
    """A child job of a flow job: the step, which attempt, and of a loop or branches the number (0 first).

    `origin` is the flow job the child belongs to, when that is not this one: a run restarted from an earlier one.
    """

    module: str
    attempt: int = 0
    index: int | None = None
    origin: UUID | None = None


class Span(msgspec.Struct, frozen=True, omit_defaults=True, array_like=True):
    """Children `first` to `first + count - 1` of one attempt of a container."""

    attempt: int
    first: int
    count: int
    origin: UUID | None = None


class FlowInput(msgspec.Struct, frozen=True, tag="input"):
    """The arguments of the flow job itself."""


class ResultOf(msgspec.Struct, frozen=True, tag="job"):
    """The result of one child job."""

    place: Place


class ResultsOf(msgspec.Struct, frozen=True, tag="jobs"):
    """The array of the results of a container's children, in order of their numbers."""

    module: str
    spans: tuple[Span, ...] = ()


class Constant(msgspec.Struct, frozen=True, tag="json"):
    """A value the engine knows: a mock, or an error of its own."""

    value: msgspec.Raw


class StopError(msgspec.Struct, frozen=True, tag="stop"):
    """`{"error": {"name": "EarlyStopError", "message", "result"}}`, with the result referred to."""

    message: str
    result: "Reference"


Reference = FlowInput | ResultOf | ResultsOf | Constant | StopError


def error_constant(name: str, message: str, step_id: str | None = None) -> Constant:
    """`{"error": {"name", "message", "step_id"?}}`, as failed steps end in."""
    body = {"name": name, "message": message} | ({"step_id": step_id} if step_id else {})
    return Constant(msgspec.Raw(msgspec.json.encode({"error": body})))
