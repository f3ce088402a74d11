"""Every error a use case can end in.

    MillpondError
    ├── InvalidInput            the request cannot be understood or breaks a rule          400
    │   └── UnsupportedMedia    the body's content type has no meaning here                415
    ├── NotAuthenticated        no token, or one that is unknown, expired or revoked        401
    ├── PermissionDenied        known, but not allowed                                      403
    ├── NotFound                the named thing does not exist or is not visible            404
    ├── Conflict                the named thing exists already, or changed meanwhile        400, as Windmill
    │   └── StateConflict       a compare-and-set met another version                       412
    ├── PayloadTooLarge         the body is over the limit                                  413
    ├── WaitTimedOut            a synchronous run did not end in time                       504
    ├── Unavailable             a part of the instance cannot be reached just now           503
    │   └── StatementBroken     the database gave up on a statement or the connection broke 503
    ├── SecretUnreadable        a secret does not open with the keys this instance has      500
    ├── LockFailed              the dependencies of a script cannot be resolved
    ├── SharedDirectoryLost     the files that the steps of a flow share are on a worker that is gone
    ├── SharedDirectoryQuotaExceeded  the files that the steps of a flow share take more than they may
    ├── SandboxUnavailable      the asked-for isolation cannot be had on this machine
    └── StartupRefused          the instance must not start, and the message says why

Leaves are situations, not layers. The message names the thing and what to do; `api/errors.py` is the only map
from error to status.
"""


class MillpondError(Exception):
    """Base of all errors raised on purpose; its text is meant for the user."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InvalidInput(MillpondError):
    """The request cannot be understood, or breaks a rule the message names."""


class UnsupportedMedia(InvalidInput):
    """The body's content type has no meaning for this call."""


class NotAuthenticated(MillpondError):
    """No credentials, or credentials that are unknown, expired or revoked."""


class PermissionDenied(MillpondError):
    """The actor is known and not allowed to do this."""


class NotFound(MillpondError):
    """The named thing does not exist, or is not visible to the actor."""


class Conflict(MillpondError):
    """The named thing exists already, or changed since the caller read it."""


class StateConflict(Conflict):
    """A compare-and-set named a version that is no longer the current one."""


class PayloadTooLarge(MillpondError):
    """The request body is larger than the instance accepts."""


class WaitTimedOut(MillpondError):
    """A synchronous run did not end within the time the server waits; the job goes on."""


class Unavailable(MillpondError):
    """A part of the instance, the database say, cannot be reached just now; trying again is right."""


class StatementBroken(Unavailable):
    """The database gave up on a statement for want of memory or time, or the connection broke, perhaps under its weight."""


class SecretUnreadable(MillpondError):
    """A secret does not open with the keys this instance has; trying again does not help."""


class LockFailed(MillpondError):
    """The dependencies of a script cannot be resolved or installed; the message is the resolver's own."""


class SharedDirectoryLost(MillpondError):
    """The files that the steps of a flow share lie on a worker that is gone, or are no longer there."""


class SharedDirectoryQuotaExceeded(MillpondError):
    """The files that the steps of a flow share take more room than they may."""


class SandboxUnavailable(MillpondError):
    """The isolation that the settings ask for cannot be had on this machine."""


class StartupRefused(MillpondError):
    """The instance must not start as it is; the message says why and what to do."""
