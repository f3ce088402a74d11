"""The only map from errors to statuses and bodies: plain text, with Windmill's prefixes (compat facts, clients 0)."""

from litestar import Response
from litestar.enums import MediaType
from litestar.exceptions import HTTPException

from millpond.api.auth import AnyRequest
from millpond.base.errors import (
    Conflict,
    InvalidInput,
    LockFailed,
    MillpondError,
    NotAuthenticated,
    NotFound,
    PayloadTooLarge,
    PermissionDenied,
    SecretUnreadable,
    StateConflict,
    Unavailable,
    UnsupportedMedia,
    WaitTimedOut,
)
from millpond.base.log import get_logger

log = get_logger()

_STATUSES: dict[type[MillpondError], tuple[int, str]] = {
    UnsupportedMedia: (415, "Unsupported media type: "),
    InvalidInput: (400, "Bad request: "),
    NotAuthenticated: (401, "Unauthorized: "),
    PermissionDenied: (403, "Permission denied: "),
    NotFound: (404, "Not found: "),
    StateConflict: (412, "Precondition failed: "),
    Conflict: (400, "Bad request: "),
    PayloadTooLarge: (413, "Payload too large: "),
    WaitTimedOut: (504, ""),
    Unavailable: (503, "Service unavailable: "),
    SecretUnreadable: (500, "Internal: "),
    LockFailed: (400, "Bad request: "),
}
"""The nearest class in the error's ancestry decides."""


def answer_error(request: AnyRequest, error: MillpondError) -> Response[str]:
    """A situation of the domain, as text."""
    status, prefix = next(_STATUSES[kind] for kind in type(error).__mro__ if kind in _STATUSES)
    headers = {"www-authenticate": "Bearer"} if status == 401 else {}
    if status >= 500:
        log.warning("request_failed", route=_route(request), status=status, error=type(error).__name__)
    return _text(prefix + error.message, status, headers)


def answer_http_exception(request: AnyRequest, error: HTTPException) -> Response[str]:
    """What the framework refuses itself: unknown routes, methods and query values."""
    match error.status_code:
        case 404:
            message = f"Not found: no endpoint {request.method} {request.url.path}"
        case 405:
            message = f"Method not allowed: {request.method} {request.url.path}"
        case 413:
            message = "Payload too large: the body is over the limit of MILLPOND_MAX_BODY_BYTES"
        case _:
            details = (
                "; ".join(_detail(entry) for entry in error.extra) if isinstance(error.extra, list) else ""
            )
            message = (
                f"Bad request: {details or error.detail}"
                if error.status_code < 500
                else "Internal: see the server's log"
            )
    return _text(message, error.status_code, error.headers or {})


def answer_bug(request: AnyRequest, error: Exception) -> Response[str]:
    """Anything else is our mistake: logged in full, answered without details."""
    log.error("request_crashed", method=request.method, route=_route(request), exc_info=error)
    return _text(f"Internal: {type(error).__name__}, see the server's log", 500, {})


def _route(request: AnyRequest) -> str:
    """The route's template: the path itself may hold a token."""
    return str(request.scope.get("path_template", "unknown route"))


def _detail(entry: object) -> str:
    if isinstance(entry, dict):
        return f"{entry.get('key', '')}: {entry.get('message', '')}".strip(": ")
    return str(entry)


def _text(message: str, status: int, headers: dict[str, str]) -> Response[str]:
    return Response(message, status_code=status, media_type=MediaType.TEXT, headers=headers)
