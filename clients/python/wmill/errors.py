"""Every error this client raises, so that callers can tell "there is none" from "could not find out".

WindmillError
├── ApiError                 the server answered with an error status
│   ├── NotFound             404
│   ├── PermissionDenied     401, 403
│   └── Conflict             409
│       └── StateConflict    412: someone else wrote first
├── ConnectionFailed         no answer: refused, dropped, timed out
├── InvalidAnswer            an answer that is not the JSON it should be (also a ValueError)
├── JobFailed                a job that was waited for did not succeed
├── SharedDirectoryMissing   the flow has no shared directory (also a FileNotFoundError)
└── Unsupported              in the original, not in Millpond (also a NotImplementedError)
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` costs more to import than this whole package
if TYPE_CHECKING:
    from typing import Any


class WindmillError(Exception):
    """Base of everything raised by this client."""


class ApiError(WindmillError):
    """The server refused the request; `body` holds its own words."""

    def __init__(self, status: int, body: str, url: str = "") -> None:
        super().__init__(status, body, url)
        self.status = status
        self.body = body
        self.url = url

    def __str__(self) -> str:
        return f"{self.url}: {self.status}, {self.body}"


class NotFound(ApiError):
    """404."""


class PermissionDenied(ApiError):
    """401 or 403: it may exist, but not for this token."""


class Conflict(ApiError):
    """409."""


class StateConflict(Conflict):
    """412: the version the write was based on is no longer current."""


class ConnectionFailed(WindmillError):
    """The server gave no complete answer. The message says whether the request can have had an effect."""


class InvalidAnswer(WindmillError, ValueError):
    """The body of a successful answer is not JSON."""


class JobFailed(WindmillError):
    """A job that was waited for ended without success; `error` is its own error object."""

    def __init__(self, job_id: str, error: Any) -> None:
        super().__init__(job_id, error)
        self.job_id = job_id
        self.error = error

    def __str__(self) -> str:
        return f"Job {self.job_id} was not successful: {self.error}"


class SharedDirectoryMissing(WindmillError, FileNotFoundError):
    """Neither `/shared` nor `./shared` exists."""


class Unsupported(WindmillError, NotImplementedError):
    """Part of the `wmill` package, but not of Millpond."""


_BY_STATUS: dict[int, type[ApiError]] = {
    401: PermissionDenied,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    412: StateConflict,
}


def api_error(status: int, body: str, url: str) -> ApiError:
    """The exception for an error status."""
    return _BY_STATUS.get(status, ApiError)(status, body, url)
