"""Queries on instance accounts and login links."""

from datetime import timedelta
from typing import NamedTuple, cast

import msgspec

from millpond.model.accounts import AccountChange, AccountFacts, NewAccount
from millpond.store.pool import Row, Transaction
from millpond.store.queries import load

_SQL = load("accounts")


class RedeemedLink(NamedTuple):
    """A login link that was used, in time or not."""

    email: str
    is_valid: bool


async def get_account(transaction: Transaction, email: str) -> AccountFacts | None:
    """One account."""
    row = await transaction.fetch_row(_SQL["get_account"], email)
    return None if row is None else _account(row)


async def list_accounts(transaction: Transaction, limit: int, offset: int) -> list[AccountFacts]:
    """Accounts by e-mail."""
    return [_account(row) for row in await transaction.fetch(_SQL["list_accounts"], limit, offset)]


async def account_exists(transaction: Transaction, email: str) -> bool:
    """Whether the e-mail has an account."""
    return bool(await transaction.fetch_value(_SQL["account_exists"], email))


async def get_password_hash(transaction: Transaction, email: str) -> str | None:
    """What a password is checked against; None when no password opens the account, or there is none."""
    return cast("str | None", await transaction.fetch_value(_SQL["get_password_hash"], email))


async def insert_account(
    transaction: Transaction, new: NewAccount, username: str, password_hash: str | None
) -> bool:
    """Create an account; False when the e-mail is taken."""
    values = (new.email, username, password_hash, new.super_admin, new.name, new.company)
    return await transaction.execute(_SQL["insert_account"], *values) == 1


async def ensure_superadmin(transaction: Transaction, email: str, username: str) -> bool:
    """Make a superadmin when the instance has none; whether it did."""
    return await transaction.execute(_SQL["ensure_superadmin"], email, username) == 1


async def lock_superadmins(transaction: Transaction) -> list[str]:
    """The e-mails of all superadmins, held until the transaction ends."""
    return [row["email"] for row in await transaction.fetch(_SQL["lock_superadmins"])]


async def update_account(
    transaction: Transaction, email: str, change: AccountChange, password_hash: str | None = None
) -> bool:
    """Apply a change; False when there is no such account."""
    updated = await transaction.execute(
        _SQL["update_account"],
        email,
        change.is_super_admin,
        password_hash,
        change.name is not msgspec.UNSET,
        None if change.name is msgspec.UNSET else change.name,
        change.company is not msgspec.UNSET,
        None if change.company is msgspec.UNSET else change.company,
    )
    return updated == 1


async def delete_account(transaction: Transaction, email: str) -> bool:
    """Delete an account with its memberships and tokens; False when there is none."""
    return await transaction.execute(_SQL["delete_account"], email) == 1


async def forget_grants(transaction: Transaction, email: str, workspace_id: str | None) -> None:
    """Take from folders and groups what they grant to an account's usernames, in one workspace or in all."""
    await transaction.execute(_SQL["forget_folder_grants"], email, workspace_id)
    await transaction.execute(_SQL["forget_group_grants"], email, workspace_id)


async def insert_login_link(
    transaction: Transaction, token_hash: bytes, email: str, valid_for: timedelta
) -> bool:
    """Keep a link's digest; False when the e-mail has no account."""
    await transaction.execute(_SQL["delete_expired_links"])
    return await transaction.execute(_SQL["insert_login_link"], token_hash, email, valid_for) == 1


async def redeem_login_link(transaction: Transaction, token_hash: bytes) -> RedeemedLink | None:
    """Use up a link; None when there is none, or it was used."""
    row = await transaction.fetch_row(_SQL["redeem_login_link"], token_hash)
    return None if row is None else RedeemedLink(row["email"], row["is_valid"])


def _account(row: Row) -> AccountFacts:
    return AccountFacts(
        email=row["email"],
        username=row["username"],
        super_admin=row["is_superadmin"],
        name=row["name"],
        company=row["company"],
        operator_only=row["operator_only"],
        has_password=row["has_password"],
        created_at=row["created_at"],
    )
