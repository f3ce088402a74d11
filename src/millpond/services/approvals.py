"""Answering the waits of flows: by signed link, or as the owner of the flow (compat facts, flows 2.7).

An answer is recorded and said to the flow in one transaction, which holds the flow: what it was judged by still stands
when it counts. A flow hears answers before it waits, too.
"""

from uuid import UUID, uuid5

import msgspec

from millpond.base.errors import Conflict, InvalidInput, NotAuthenticated, NotFound, PermissionDenied
from millpond.engine.events import Approved
from millpond.engine.status import Approval, FlowStatus
from millpond.model.actors import Actor
from millpond.model.approvals import Answer, ResumeLink
from millpond.model.jobs import FLOW_KINDS
from millpond.model.permissions import is_owner
from millpond.services.approval_rules import (
    NOT_SUSPENDED,
    Target,
    check_visitor,
    conditions_of,
    known_visitor,
    waiting_step,
    waits_for,
)
from millpond.services.authorization import authorize
from millpond.services.flow_runs.inbox import tell
from millpond.services.flow_runs.library import Library, LoadedRun
from millpond.services.job_access import Lineage, require_change_job, require_read_job
from millpond.services.resume_links import ResumeLinks
from millpond.store import approvals as store
from millpond.store.approvals import StoredApproval
from millpond.store.jobs import JobAccess
from millpond.store.pool import Database, Transaction

RESUME_ID_OF_OWNERS = 0
"""An owner, and a token instead of a link, answer with this one: once for each wait."""


class Approvals:
    """Use cases of approvers."""

    def __init__(self, database: Database, links: ResumeLinks, library: Library) -> None:
        self._database = database
        self._links = links
        self._library = library

    async def signed_link(
        self, actor: Actor, link: ResumeLink, *, flow_level: bool = False
    ) -> tuple[ResumeLink, str]:
        """A link and its signature; `flow_level` makes it one of the flow that the job is a step of, or is.

        Raises NotFound, PermissionDenied unless the job may be changed; InvalidInput for a job that is no part of a flow.
        """
        authorize(actor, "jobs", "write", str(link.job_id))
        async with self._database.statement() as connection:
            await require_change_job(connection, actor, link.job_id)
            if flow_level:
                flow_job = await _flow_of(connection, actor.workspace_id, link.job_id)
                link = msgspec.structs.replace(link, job_id=flow_job)
        return link, await self._links.sign(actor.workspace_id, link)

    async def answer_by_link(
        self, workspace_id: str, visitor: Actor | None, link: ResumeLink, signature: str, answer: Answer
    ) -> None:
        """Answer by a link; its signature is checked before anything is looked up.

        Raises InvalidInput for a wrong signature or a job nothing waits for, Conflict for a second answer and when the
        wait is over, NotAuthenticated and PermissionDenied by the step's conditions.
        """
        await self._links.check(workspace_id, link, signature)
        async with self._database.statement() as connection:
            target = await target_of(connection, workspace_id, link.job_id)
        who = known_visitor(visitor, link.job_id)
        name = link.approver or (who.username if who else None)
        await self._answer(workspace_id, target, who, _approval(target, link.resume_id, name, answer))

    async def answer_as_owner(self, actor: Actor, flow_job: UUID, answer: Answer) -> None:
        """Answer the wait in force, as the owner of the flow's path or an administrator.

        Raises Conflict when the flow does not wait, or the owners have answered this wait; NotFound, PermissionDenied.
        """
        authorize(actor, "jobs", "write", str(flow_job))
        run = await self._owned_run(actor, flow_job)
        waiting = waiting_step(run.flow, run.status) if run.stored.is_live else None
        if waiting is None:
            raise Conflict(f"Flow {flow_job} does not wait for approvals; {NOT_SUSPENDED}")
        module, state = waiting
        async with self._database.statement() as connection:
            job_id = await store.find_step_job(
                connection, actor.workspace_id, flow_job, module.id, state.attempt
            )
        # A step that took no job is answered once as well.
        job_id = job_id or uuid5(flow_job, f"{module.id}:{state.attempt}")
        target = Target(flow_job=flow_job, job_id=job_id, step=module.id, attempt=state.attempt)
        approval = _approval(target, RESUME_ID_OF_OWNERS, actor.username, answer)
        await self._answer(actor.workspace_id, target, actor, approval)

    async def answer_suspended(
        self, workspace_id: str, visitor: Actor | None, job_id: UUID, token: str | None, answer: Answer
    ) -> None:
        """Answer by a token, the signature of resume id 0; without one as the owner of the flow the job belongs to."""
        if token is not None:
            link = ResumeLink(job_id=job_id, resume_id=RESUME_ID_OF_OWNERS)
            await self.answer_by_link(workspace_id, visitor, link, token, answer)
            return
        if visitor is None:
            raise NotAuthenticated("Log in, or give an approval_token, to answer the flow's wait")
        async with self._database.statement() as connection:
            await require_read_job(connection, visitor, job_id)
            target = await target_of(connection, workspace_id, job_id)
        await self.answer_as_owner(visitor, target.flow_job, answer)

    async def _owned_run(self, actor: Actor, flow_job: UUID) -> LoadedRun:
        async with self._database.statement() as connection:
            line = await require_read_job(connection, actor, flow_job)
        if not owns_run(actor, line):
            raise PermissionDenied(f"{actor.username} does not own flow job {flow_job}: answer by a link")
        run = await self._library.load(actor.workspace_id, flow_job)
        if run is None:
            raise NotFound(f"Flow job not found: {flow_job}")
        return run

    async def _answer(
        self, workspace_id: str, target: Target, visitor: Actor | None, approval: StoredApproval
    ) -> None:
        # Loaded before the transaction, which must not wait for a second connection: a definition never changes.
        run = await self._library.load(workspace_id, target.flow_job)
        async with self._database.transaction() as transaction:
            held = await store.hold_flow(transaction, workspace_id, target.flow_job)
            if run is None or held is None:
                raise Conflict(NOT_SUSPENDED)
            if not await store.add_approval(
                transaction, workspace_id, target.flow_job, target.job_id, approval
            ):
                raise Conflict("resume request already sent")
            if not held.is_live:
                raise Conflict(NOT_SUSPENDED)
            status = run.status if held.status is None else msgspec.json.decode(held.status, type=FlowStatus)
            numbers = waits_for(target, run.flow, status)
            check_visitor(visitor, run.job, [conditions_of(run.flow, status, number) for number in numbers])
            event = Approved(
                Approval(
                    approval.step, approval.attempt, approval.resume_id, approval.approver, approval.approved
                )
            )
            if not await tell(transaction, workspace_id, target.flow_job, event):
                raise Conflict(NOT_SUSPENDED)


def owns_run(actor: Actor, line: Lineage) -> bool:
    """Whether a flow, or one around it, lies at a path of the actor's, or is the actor's own test."""
    return actor.is_admin or any(_owns(actor, job) for job in line if job.kind in FLOW_KINDS)


def _owns(actor: Actor, job: JobAccess) -> bool:
    # A test belongs to who made it, whatever path it was given.
    if job.kind == "flowpreview" or job.runnable_path is None:
        return job.created_by == actor.username
    return is_owner(actor, job.runnable_path)


async def _flow_of(connection: Transaction, workspace_id: str, job_id: UUID) -> UUID:
    linked = await store.find_linked_job(connection, workspace_id, job_id)
    if linked is not None and linked.kind in FLOW_KINDS:
        return job_id
    if linked is None or linked.parent_job is None or linked.parent_kind not in FLOW_KINDS:
        raise _no_part(job_id)
    return linked.parent_job


async def target_of(connection: Transaction, workspace_id: str, job_id: UUID) -> Target:
    """What an answer by a job's link is for. Raises NotFound; InvalidInput for a job that is no part of a flow.

    A flow that runs is meant itself, one that has ended as the step it was of the flow around it.
    """
    linked = await store.find_linked_job(connection, workspace_id, job_id)
    if linked is None:
        raise NotFound(f"Job not found: {job_id}")
    is_flow = linked.kind in FLOW_KINDS
    if is_flow and linked.is_live:
        return Target(flow_job=job_id, job_id=job_id)
    if linked.parent_job and linked.parent_kind in FLOW_KINDS and linked.step_attempt is not None:
        return Target(
            flow_job=linked.parent_job,
            job_id=job_id,
            step=linked.step_place,
            attempt=linked.step_attempt,
            of_ended_flow=is_flow,
        )
    if is_flow:
        return Target(flow_job=job_id, job_id=job_id)
    raise _no_part(job_id)


def _no_part(job_id: UUID) -> InvalidInput:
    return InvalidInput(f"Job {job_id} is not part of a flow: nothing waits for its approval")


def _approval(target: Target, resume_id: int, approver: str | None, answer: Answer) -> StoredApproval:
    return StoredApproval(target.step, target.attempt, resume_id, approver, answer.approved, answer.payload)
