"""Queries on the answers to flows' waits."""

from typing import NamedTuple, cast
from uuid import UUID

from millpond.model.flow_status import Approver
from millpond.store.pool import Transaction
from millpond.store.queries import load

_SQL = load("approvals")

NAMELESS = "anonymous"


class LinkedJob(NamedTuple):
    """The job a link names."""

    id: UUID
    kind: str
    parent_job: UUID | None
    step_place: str | None
    step_attempt: int | None
    parent_kind: str | None
    is_live: bool


class HeldFlow(NamedTuple):
    """Where a flow stands; `status` None: it has not begun."""

    status: str | None
    is_live: bool


class StoredApproval(NamedTuple):
    """An answer. `step` None: given to the flow as a whole. `payload` is JSON text."""

    step: str | None
    attempt: int
    resume_id: int
    approver: str | None
    approved: bool
    payload: str


async def find_linked_job(transaction: Transaction, workspace_id: str, job_id: UUID) -> LinkedJob | None:
    """The job a link names; None when there is none, or its workspace is archived."""
    row = await transaction.fetch_row(_SQL["find_linked_job"], workspace_id, job_id)
    return None if row is None else LinkedJob(**{name: row[name] for name in LinkedJob._fields})


async def hold_flow(transaction: Transaction, workspace_id: str, flow_job: UUID) -> HeldFlow | None:
    """Where a flow stands, held until the transaction ends; None when it is no flow."""
    row = await transaction.fetch_row(_SQL["hold_flow"], workspace_id, flow_job)
    return None if row is None else HeldFlow(row["status"], row["is_live"])


async def find_step_job(
    transaction: Transaction, workspace_id: str, flow_job: UUID, step: str, attempt: int
) -> UUID | None:
    """The job of an attempt of a step, the last of several; None when it took none."""
    return cast(
        "UUID | None",
        await transaction.fetch_value(_SQL["find_step_job"], workspace_id, flow_job, step, attempt),
    )


async def add_approval(
    transaction: Transaction, workspace_id: str, flow_job: UUID, job_id: UUID, approval: StoredApproval
) -> bool:
    """Record an answer to a flow that is held; False when that one was given before."""
    values = (approval.resume_id, approval.step, approval.attempt, approval.approver, approval.approved)
    return (
        await transaction.execute(
            _SQL["add_approval"], workspace_id, flow_job, job_id, *values, approval.payload
        )
        == 1
    )


async def payloads_of(transaction: Transaction, workspace_id: str, flow_job: UUID) -> list[StoredApproval]:
    """All answers given to a flow, in order of arrival."""
    rows = await transaction.fetch(_SQL["list_payloads"], workspace_id, flow_job)
    return [StoredApproval(**{name: row[name] for name in StoredApproval._fields}) for row in rows]


async def list_approvers(
    transaction: Transaction, workspace_id: str, flow_job: UUID, step: str | None, attempt: int
) -> list[Approver]:
    """Who approved a step or the flow as a whole, in order of arrival."""
    rows = await transaction.fetch(_SQL["list_approvers"], workspace_id, flow_job, step, attempt)
    return [Approver(row["resume_id"], row["approver"] or NAMELESS) for row in rows]
