"""Results and errors as JSON text: the shapes clients index (compat facts, flows 3.6)."""

import msgspec


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What stands under `error` in the result of a failed job."""

    name: str
    message: str
    stack: str | None = None
    step_id: str | None = None
    reason: str | None = None
    canceler: str | None = None


def error_result(name: str, message: str, *, step_id: str | None = None) -> str:
    """The result of a job that failed for a reason of the engine's."""
    return _wrapped(ErrorBody(name=name, message=message, step_id=step_id))


def canceled_result(by: str, reason: str) -> str:
    """The result of a cancelled job."""
    return _wrapped(
        ErrorBody(name="Canceled", message=f"Job canceled: {reason} by {by}", reason=reason, canceler=by)
    )


def labels_of(result: bytes) -> list[str] | None:
    """The `wm_labels` of a result, distinct and sorted; None when it names none."""
    if b'"wm_labels"' not in result:
        return None
    try:
        named = msgspec.json.decode(result, type=_Labelled).wm_labels
    except (msgspec.DecodeError, RecursionError):
        return None
    # Unprintable characters have no place in a label, and the database takes no NUL.
    return sorted({label for label in named if label and label.isprintable()}) or None


class _Labelled(msgspec.Struct):
    wm_labels: list[str] = []


def _wrapped(error: ErrorBody) -> str:
    return msgspec.json.encode({"error": error}).decode()
