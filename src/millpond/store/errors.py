"""Translates what the driver raises into errors of the domain, by constraint name, once and only here."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from millpond.base.errors import (
    Conflict,
    InvalidInput,
    MillpondError,
    NotFound,
    PayloadTooLarge,
    StatementBroken,
    Unavailable,
)

_MESSAGES: dict[str, tuple[type[MillpondError], str]] = {
    "resource_path": (
        InvalidInput,
        "The path breaks the rule u|f|g/<owner>/<name>, or is over 255 characters",
    ),
    "variable_path": (
        InvalidInput,
        "The path breaks the rule u|f|g/<owner>/<name>, or is over 255 characters",
    ),
    "script_path": (InvalidInput, "The path breaks the rule u|f|g/<owner>/<name>, or is over 255 characters"),
    "variable_value_length": (
        InvalidInput,
        "The variable's value is over 65536 characters (secrets are longer once encrypted)",
    ),
    "variable_description_length": (InvalidInput, "The variable's description is over 10000 characters"),
    "workspace_user_email_taken": (Conflict, "That e-mail is a member of the workspace already"),
    "group_member_user": (NotFound, "No such user in this workspace"),
    "group_member_group": (NotFound, "No such group in this workspace"),
    "script_head": (Conflict, "Another deployment of the same script path won; fetch it and deploy again"),
}
"""What a user is told when a constraint refuses; constraints of one use case only are named where it stands."""


@contextmanager
def translated() -> Iterator[None]:
    """Run a statement; driver exceptions leave as errors of `base.errors`."""
    try:
        yield
    except asyncpg.IntegrityConstraintViolationError as error:
        raise _from_constraint(error) from error
    except (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError) as error:
        raise InvalidInput("Text with a NUL character or of another encoding cannot be stored") from error
    except (asyncpg.InvalidTextRepresentationError, asyncpg.DataError) as error:
        raise InvalidInput(f"A value does not fit what is stored there: {error}") from error
    except asyncpg.ProgramLimitExceededError as error:
        raise PayloadTooLarge(f"The database cannot store a value of this size: {error}") from error
    except asyncpg.DiskFullError as error:
        raise Unavailable(f"The database has no room left: {error}") from error
    except asyncpg.OutOfMemoryError as error:
        raise StatementBroken(f"The database has no memory left: {error}") from error
    except asyncpg.QueryCanceledError as error:
        raise StatementBroken(f"The database gave up on a statement: {error}") from error
    except (
        asyncpg.PostgresConnectionError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        ConnectionError,
        TimeoutError,
    ) as error:
        raise StatementBroken(
            f"The database cannot be reached just now: {error or type(error).__name__}"
        ) from error
    except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
        raise Unavailable(f"The database refuses the connection, see DATABASE_URL: {error}") from error
    except (
        asyncpg.OperatorInterventionError,
        asyncpg.TooManyConnectionsError,
        asyncpg.TransactionRollbackError,
    ) as error:
        raise Unavailable(f"The database is starting, stopping or busy: {error}") from error
    except OSError as error:
        raise Unavailable(f"The database cannot be reached just now: {error}") from error


def _from_constraint(error: asyncpg.IntegrityConstraintViolationError) -> MillpondError:
    name = error.constraint_name or ""
    if name in _MESSAGES:
        kind, message = _MESSAGES[name]
        return kind(message)
    if isinstance(error, asyncpg.UniqueViolationError):
        return Conflict(f"{error.table_name} exists already: {error.detail or name}")
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        return NotFound(f"What is referred to does not exist: {error.detail or name}")
    return InvalidInput(f"The value breaks the rule {name!r} of {error.table_name}")
