"""Synchronous runs: from how a job ended to the HTTP answer (compat facts, flows 3.2)."""

import msgspec
from litestar import Response
from litestar.enums import MediaType

from millpond.api.bodies import json_bytes
from millpond.base.errors import InvalidInput
from millpond.store.jobs import StoredResult

_MARKS = (b'"windmill_status_code"', b'"windmill_content_type"', b'"windmill_headers"')


class _Shaped(msgspec.Struct):
    windmill_status_code: object = None
    windmill_content_type: str | None = None
    windmill_headers: dict[str, str] | None = None
    result: msgspec.Raw | None = None


def answer_of(stored: StoredResult) -> Response[bytes]:
    """200 with the result, 422 with the error, or what the result itself asks for. Raises InvalidInput for a bad status."""
    text = (stored.result or "null").encode()
    success = stored.status in ("success", "skipped")
    if any(mark in text for mark in _MARKS) and text.startswith(b"{"):
        try:
            shaped = msgspec.json.decode(text, type=_Shaped)
        except msgspec.DecodeError as error:
            raise InvalidInput(f"The result's windmill_… members are not of their types: {error}") from None
        if shaped.windmill_status_code or shaped.windmill_content_type or shaped.windmill_headers:
            return _shaped_answer(shaped, success=success)
    return json_bytes(text, 200 if success else 422)


def _shaped_answer(shaped: _Shaped, *, success: bool) -> Response[bytes]:
    status = shaped.windmill_status_code
    if status is None:
        status = (204 if shaped.result is None else 200) if success else 422
    if not isinstance(status, int) or isinstance(status, bool) or not 100 <= status <= 999:
        raise InvalidInput(f"Invalid status code: {status!r}")
    body = b"" if shaped.result is None else bytes(shaped.result)
    media_type = shaped.windmill_content_type or MediaType.JSON
    if shaped.windmill_content_type and body.startswith(b'"'):
        body = msgspec.json.decode(body, type=str).encode()
    headers = {
        name: value for name, value in (shaped.windmill_headers or {}).items() if _is_safe(name + value)
    }
    return Response(body, status_code=status, media_type=media_type, headers=headers)


def _is_safe(text: str) -> bool:
    return text.isascii() and "\r" not in text and "\n" not in text
