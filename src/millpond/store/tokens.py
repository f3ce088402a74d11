"""Queries on tokens and sessions: kept as digests, shown once."""

from datetime import timedelta

from millpond.model.accounts import ListedToken, NewToken
from millpond.store.pool import Transaction
from millpond.store.queries import load

_SQL = load("tokens")


async def insert_token(
    transaction: Transaction,
    token_hash: bytes,
    prefix: str,
    email: str,
    new: NewToken,
    *,
    asked_with: bytes | None,
    longest: timedelta | None,
) -> bool:
    """Keep a token; False when the e-mail has no account.

    It ends no later than the token with the digest `asked_with`, and no later than `longest` from now.
    """
    about = (new.label, new.workspace_id, new.scopes, new.expiration)
    values = (token_hash, prefix, email, "token", *about, asked_with, longest)
    return await transaction.execute(_SQL["insert_token"], *values) == 1


async def insert_session(
    transaction: Transaction, token_hash: bytes, prefix: str, email: str, valid_for: timedelta
) -> bool:
    """Keep a session, and drop what of this account has expired; False when the e-mail has no account."""
    await transaction.execute(_SQL["delete_expired_tokens"], email)
    return await transaction.execute(_SQL["insert_session"], token_hash, prefix, email, valid_for) == 1


async def list_tokens(
    transaction: Transaction,
    email: str,
    bound_to: str | None,
    limit: int,
    offset: int,
    *,
    without_sessions: bool,
) -> list[ListedToken]:
    """Tokens of an account, newest first."""
    rows = await transaction.fetch(_SQL["list_tokens"], email, bound_to, without_sessions, limit, offset)
    return [
        ListedToken(
            token_prefix=row["prefix"],
            label=row["label"],
            expiration=row["expires_at"],
            created_at=row["created_at"],
            last_used_at=row["last_used_at"],
            scopes=row["scopes"],
            workspace_id=row["workspace_id"],
            email=row["email"],
        )
        for row in rows
    ]


async def revoke_token(transaction: Transaction, email: str, prefix: str, bound_to: str | None) -> int:
    """Delete tokens by their first characters; how many there were."""
    return await transaction.execute(_SQL["revoke_token"], email, prefix, bound_to)


async def end_session(transaction: Transaction, token_hash: bytes) -> bool:
    """Delete one session; False when the digest is no session's."""
    return await transaction.execute(_SQL["end_session"], token_hash) == 1


async def end_sessions(transaction: Transaction, email: str, but: bytes | None) -> None:
    """Delete all sessions of an account but one."""
    await transaction.execute(_SQL["end_sessions"], email, but)
