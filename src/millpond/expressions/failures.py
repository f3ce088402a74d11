"""The variable `error` of an expression: what went wrong, read from the result of the step before."""

from collections.abc import Sequence

import msgspec

_NOTHING = b'{"name":"UnknownError","message":"No error found"}'


def error_of(previous_result: bytes) -> bytes:
    """The error in a result: its own, that of its single failed item, or `MultipleErrors` of several."""
    found = _member(previous_result, "error")
    if found is not None:
        return found
    if previous_result.lstrip()[:1] != b"[":
        return _unreadable(previous_result)
    items = msgspec.json.decode(previous_result, type=list[msgspec.Raw])
    errors = [error for item in items if (error := _member(bytes(item), "error")) is not None]
    if len(errors) > 1:
        return _several(errors)
    return errors[0] if errors else _NOTHING


def _member(text: bytes, name: str) -> bytes | None:
    """The member's JSON, None when there is none or it is null."""
    if text.lstrip()[:1] != b"{":
        return None
    found = msgspec.json.decode(text, type=dict[str, msgspec.Raw]).get(name)
    return None if found is None or bytes(found) == b"null" else bytes(found)


def _unreadable(previous_result: bytes) -> bytes:
    if previous_result.strip() == b"null":
        return _NOTHING
    return msgspec.json.encode(
        {
            "name": "UnknownError",
            "message": "Could not parse the error",
            "error": msgspec.Raw(previous_result),
        }
    )


def _several(errors: Sequence[bytes]) -> bytes:
    return msgspec.json.encode(
        {
            "name": "MultipleErrors",
            "message": "; ".join(_summary(error) for error in errors),
            "errors": [msgspec.Raw(error) for error in errors],
        }
    )


def _summary(error: bytes) -> str:
    step, message = _text(_member(error, "step_id")), _text(_member(error, "message"))
    return f"[{step}] {message}" if step else message


def _text(value: bytes | None) -> str:
    if value is None:
        return ""
    return msgspec.json.decode(value, type=str) if value.startswith(b'"') else value.decode()
