"""From Python values to the bytes of a request: paths, query strings, JSON.

`urllib.parse` is not used: importing it takes longer than a whole get-and-set of a state.
"""

# ruff: noqa: PLC0415  (imported when needed, see the package)
from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    Params = Mapping[str, Any] | Iterable[tuple[str, Any]]

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PATH = _UNRESERVED | frozenset(b"/")
# What RFC 9112 allows in a request target; "%" included, since the caller may have quoted already.
_TARGET = _UNRESERVED | frozenset(b"/?:@!$&'()*+,;=%[]")


def quote(text: str) -> str:
    """Percent-encode one path segment or query value; a slash is encoded too."""
    return _percent_encode(text, _UNRESERVED)


def quote_path(path: str) -> str:
    """Percent-encode a path such as `f/team/tok`, keeping its slashes."""
    return _percent_encode(path, _PATH)


def clean_target(endpoint: str) -> str:
    """Make a caller's endpoint, which may carry a query, fit for a request line.

    Line breaks, spaces and non-ASCII characters are encoded, so that no endpoint can add a header.
    """
    return _percent_encode(endpoint, _TARGET)


def _percent_encode(text: str, safe: frozenset[int]) -> str:
    raw = text.encode()
    if safe.issuperset(raw):
        return text
    return "".join(chr(byte) if byte in safe else f"%{byte:02X}" for byte in raw)


def encode_query(params: Params) -> str:
    """`a=1&b=true`: booleans in lower case, None as the empty string, a list repeats its key."""
    pairs = params.items() if hasattr(params, "items") else params
    encoded = []
    for key, value in pairs:
        values = value if isinstance(value, (list, tuple)) else [value]
        encoded += [f"{quote(str(key))}={quote(_query_text(each))}" for each in values]
    return "&".join(encoded)


def _query_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def encode_json(value: Any) -> bytes:
    """Compact UTF-8 JSON.

    Raises TypeError for a type JSON does not have (dates and decimals among them) and ValueError for NaN and
    the infinities: turning them into text silently would give back something else than what was stored.
    """
    import json  # not at the top: 7 ms that a job which never calls the server does not pay

    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
