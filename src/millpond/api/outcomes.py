"""Synchronous runs: from how a job ended to the HTTP answer (compat facts, flows 3.2)."""

import re

import msgspec
from litestar import Response
from litestar.enums import MediaType

from millpond.api.bodies import json_bytes
from millpond.base.errors import InvalidInput
from millpond.store.jobs import StoredResult

_MARKS = (b'"windmill_status_code"', b'"windmill_content_type"', b'"windmill_headers"')

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_FRAMING = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"})
_WITHOUT_BODY = (204, 304)


class _Shaped(msgspec.Struct):
    windmill_status_code: object = None
    windmill_content_type: str | None = None
    windmill_headers: dict[str, str] | None = None
    # Empty when there is none: in a union with None, msgspec takes nothing but null.
    result: msgspec.Raw = msgspec.Raw(b"")


def answer_of(stored: StoredResult) -> Response[bytes]:
    """200 with the result, 422 with the error, or what the result itself asks for.

    Raises InvalidInput for a status, header or content type that no answer can have.
    """
    text = (stored.result or "null").encode()
    success = stored.status in ("success", "skipped")
    if any(mark in text for mark in _MARKS) and text.lstrip().startswith(b"{"):
        try:
            shaped = msgspec.json.decode(text, type=_Shaped)
        except (msgspec.DecodeError, RecursionError) as error:
            raise InvalidInput(f"The result's windmill_… members are not of their types: {error}") from None
        asked = (shaped.windmill_status_code, shaped.windmill_content_type, shaped.windmill_headers)
        if any(member is not None for member in asked):
            return _shaped_answer(shaped, success=success)
    return json_bytes(text, 200 if success else 422)


def _shaped_answer(shaped: _Shaped, *, success: bool) -> Response[bytes]:
    status = shaped.windmill_status_code
    if status is None:
        status = (204 if not bytes(shaped.result) else 200) if success else 422
    # Below 200 are the provisional answers: the client would wait for another one.
    if not isinstance(status, int) or isinstance(status, bool) or not 200 <= status <= 999:
        raise InvalidInput(f"Invalid status code: {status!r}")
    body = b"" if status in _WITHOUT_BODY else bytes(shaped.result)
    headers = _checked_headers(shaped.windmill_headers or {})
    media_type: str = MediaType.JSON
    if shaped.windmill_content_type is not None:
        media_type = _checked_value("windmill_content_type", shaped.windmill_content_type)
        if body.startswith(b'"'):
            body = msgspec.json.decode(body, type=str).encode()
        # A page of a script's must not act with the session of whoever looks at it.
        headers.setdefault("content-security-policy", "sandbox allow-forms allow-popups allow-scripts")
    return Response(body, status_code=status, media_type=media_type, headers=headers)


def _checked_headers(asked: dict[str, str]) -> dict[str, str]:
    for name in asked:
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _FRAMING:
            raise InvalidInput(f"Invalid header in windmill_headers: {name!r}")
    return {name.lower(): _checked_value(name, value) for name, value in asked.items()}


def _checked_value(name: str, value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise InvalidInput(f"Invalid value of {name!r}: printable ASCII is allowed, not {value!r}")
    return value
