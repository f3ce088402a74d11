"""Request bodies in, responses out: JSON decoded into structs, carried JSON untouched, plain text as Windmill answers."""

import re
from typing import TypeVar

import msgspec
from litestar import Response
from litestar.enums import MediaType

from millpond.base.errors import InvalidInput

T = TypeVar("T")

_LONE_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)


def decode(body: bytes, shape: type[T]) -> T:
    """The body as `shape`. Raises InvalidInput naming the place that does not fit."""
    if not body:
        raise InvalidInput("The request needs a JSON body")
    check_json_text(body)
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"invalid json: {error}") from None
    except msgspec.DecodeError as error:
        # The decoder says of such an escape only that the text ends too early.
        lone = _LONE_SURROGATE.search(body)
        what = f"{lone[0].decode()} is half a character" if lone else str(error)
        raise InvalidInput(f"invalid json: {what}") from None
    except RecursionError:
        raise InvalidInput("invalid json: it is nested too deep") from None


def check_json_text(body: bytes) -> None:
    """Refuse what carried JSON must not hold: other encodings, since it is stored as text. Raises InvalidInput."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"invalid json: the body is not UTF-8 (byte {error.start})") from None
    if b"\x00" in body:
        raise InvalidInput("invalid json: the body holds a NUL byte")


def json_bytes(
    value: str | bytes, status: int = 200, headers: dict[str, str] | None = None
) -> Response[bytes]:
    """JSON that is ready, sent as it is."""
    content = value.encode() if isinstance(value, str) else value
    return Response(content, status_code=status, media_type=MediaType.JSON, headers=headers)


def json_of(value: object, status: int = 200) -> Response[bytes]:
    """A struct, list or value as JSON."""
    return Response(msgspec.json.encode(value), status_code=status, media_type=MediaType.JSON)


def text(message: str, status: int = 200) -> Response[str]:
    """Plain text: ids, hashes, tokens and messages, without quotes or newline."""
    return Response(message, status_code=status, media_type=MediaType.TEXT)


def created(message: str) -> Response[str]:
    """Plain text with status 201."""
    return text(message, 201)


def path_of(path: str) -> str:
    """The greedy tail of a route as a workspace path: the framework hands it over with a leading slash."""
    return path.removeprefix("/")


def split_list(text_value: str | None) -> list[str] | None:
    """A comma-separated query value; None when absent or empty."""
    return [part.strip() for part in text_value.split(",") if part.strip()] if text_value else None


class Page(msgspec.Struct, frozen=True):
    """Where a list starts, and how many rows it holds."""

    limit: int
    offset: int


def page_of(page: int | None, per_page: int | None, default: int = 1000, maximum: int = 10000) -> Page:
    """Windmill's paging: pages count from 1, and 0 means the first. Raises InvalidInput for negative values."""
    if (page or 0) < 0 or (per_page or 0) < 0 or (page or 0) > 10_000_000:
        raise InvalidInput("page and per_page must not be negative, nor beyond what can be listed")
    limit = min(per_page or default, maximum)
    return Page(limit=limit, offset=(max(page or 1, 1) - 1) * limit)
