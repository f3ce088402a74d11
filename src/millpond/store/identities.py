"""Queries that turn credentials into who is asking and what they may touch."""

from typing import NamedTuple, cast
from uuid import UUID

from millpond.model.actors import Role
from millpond.store.pool import Row, Transaction
from millpond.store.queries import load

_SQL = load("identities")


class Credentials(NamedTuple):
    """What was shown: exactly one of a token's digest, the secret's account, or a job: one that runs, or one the instance
    acts for, with whom that is.

    `job_superadmin` is the e-mail whose jobs are a superadmin's although it has no account.
    """

    token_hash: bytes | None = None
    secret_email: str | None = None
    secret_username: str | None = None
    job_superadmin: str | None = None
    job_workspace: str | None = None
    job_id: UUID | None = None
    lease_token: int | None = None
    acts_as_email: str | None = None
    acts_as: str | None = None


class JobFacts(NamedTuple):
    """What decides the state path of the job behind a job token."""

    job_id: UUID
    kind: str
    runnable_path: str | None
    flow_step_id: str | None
    created_by: str
    trigger_kind: str | None
    schedule_path: str | None
    parent_job: UUID | None
    root_job: UUID | None
    flow_path: str | None
    is_test: bool


class Membership(NamedTuple):
    """Who the account is in the workspace, and what that opens."""

    username: str
    role: Role
    disabled: bool
    groups: frozenset[str]
    readable_folders: frozenset[str]
    writable_folders: frozenset[str]
    owned_folders: frozenset[str]


class Identity(NamedTuple):
    """Who shows the credentials. `archived` is None when there is no such workspace, or none was named."""

    email: str
    username: str
    is_superadmin: bool
    scopes: tuple[str, ...] | None
    bound_to: str | None
    expires_in_secs: float | None
    use_is_stale: bool
    archived: bool | None
    membership: Membership | None
    job: JobFacts | None


async def identify(transaction: Transaction, workspace_id: str | None, shown: Credentials) -> Identity | None:
    """Who shows these credentials, in one round trip; None when they are unknown, expired or over."""
    row = await transaction.fetch_row(_SQL["identify"], workspace_id, *shown)
    if row is None:
        return None
    return Identity(
        email=row["email"],
        username=row["username"],
        is_superadmin=row["is_superadmin"],
        scopes=None if row["scopes"] is None else tuple(row["scopes"]),
        bound_to=row["bound_to"],
        expires_in_secs=row["expires_in_secs"],
        use_is_stale=row["use_is_stale"],
        archived=row["archived"],
        membership=None if row["member_username"] is None else _membership(row),
        job=None if row["job_id"] is None else _job(row),
    )


async def touch_token(transaction: Transaction, token_hash: bytes) -> None:
    """Note that a token was used, at most once a minute."""
    await transaction.execute(_SQL["touch_token"], token_hash)


def _membership(row: Row) -> Membership:
    return Membership(
        username=row["member_username"],
        role=cast("Role", row["role"]),
        disabled=row["disabled"],
        groups=frozenset(row["groups"] or ()),
        readable_folders=frozenset(row["readable"] or ()),
        writable_folders=frozenset(row["writable"] or ()),
        owned_folders=frozenset(row["owned"] or ()),
    )


def _job(row: Row) -> JobFacts:
    return JobFacts(
        job_id=row["job_id"],
        kind=row["job_kind"],
        runnable_path=row["runnable_path"],
        flow_step_id=row["flow_step_id"],
        created_by=row["created_by"],
        trigger_kind=row["trigger_kind"],
        schedule_path=row["schedule_path"],
        parent_job=row["parent_job"],
        root_job=row["root_job"],
        flow_path=row["flow_path"],
        is_test=row["is_test"],
    )
