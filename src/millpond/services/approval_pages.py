"""What an approver sees before answering: the flow, who approved already, the form, and whether they may answer."""

from uuid import UUID

import msgspec

from millpond.base.errors import MillpondError, NotAuthenticated, NotFound
from millpond.engine.status import Conditions
from millpond.model.actors import Actor
from millpond.model.approvals import ApprovalInfo, ResumeLink, SuspendedFlow
from millpond.model.flow_modules import FlowModule
from millpond.model.flow_status import ApprovalConditions
from millpond.services.approval_rules import (
    Target,
    check_visitor,
    conditions_of,
    known_visitor,
    waiting_step,
    waits_for,
)
from millpond.services.approvals import RESUME_ID_OF_OWNERS, owns_run, target_of
from millpond.services.flow_runs.library import Library, LoadedRun
from millpond.services.flow_runs.standings import FlowStandings
from millpond.services.job_access import require_read_job
from millpond.services.json_paths import value_at
from millpond.services.resume_links import ResumeLinks
from millpond.store import approvals as store
from millpond.store import jobs as job_store
from millpond.store.columns import raw
from millpond.store.pool import Database, Transaction

DEFAULT_SKIN = "detailed"


class ApprovalPages:
    """Use cases of pages that ask for approvals."""

    def __init__(self, database: Database, links: ResumeLinks, library: Library) -> None:
        self._database = database
        self._links = links
        self._library = library

    async def flow_by_link(
        self, workspace_id: str, visitor: Actor | None, link: ResumeLink, signature: str
    ) -> SuspendedFlow:
        """The flow a link answers to, readable for as long as its job is kept. The signature is checked first.

        Raises InvalidInput for a wrong signature, NotAuthenticated where the wait asks for a login.
        """
        await self._links.check(workspace_id, link, signature)
        run, target = await self._find(workspace_id, link.job_id)
        if visitor is None and _asks_for_login(run, target):
            raise NotAuthenticated("Only logged in users can approve this flow step")
        async with self._database.statement() as connection:
            job = await job_store.get_job(connection, workspace_id, target.flow_job)
            approvers = await store.list_approvers(
                connection, workspace_id, target.flow_job, target.step, target.attempt
            )
        if job is None:
            raise NotFound(f"Job not found: {target.flow_job}")
        described = await FlowStandings(self._database, self._library).described(job)
        return SuspendedFlow(job=described, approvers=approvers)

    async def info(
        self, workspace_id: str, visitor: Actor | None, job_id: UUID, token: str | None
    ) -> ApprovalInfo:
        """What a flow waits for, and whether who asks may answer; `token` is the signature of resume id 0.

        Raises InvalidInput for a wrong token; without one, NotAuthenticated, and PermissionDenied unless the job may be
        read.
        """
        who = known_visitor(visitor, job_id)
        if token is not None:
            await self._links.check(
                workspace_id, ResumeLink(job_id=job_id, resume_id=RESUME_ID_OF_OWNERS), token
            )
        elif who is None:
            raise NotAuthenticated("Log in, or give the token of an approval, to see it")
        else:
            async with self._database.statement() as connection:
                await require_read_job(connection, who, job_id)
        run, target = await self._find(workspace_id, job_id)
        async with self._database.statement() as connection:
            if token is not None:
                return await _info(connection, run, target, who, may_answer=True)
            waiting = _target_of_owners(run)
            may_answer = waiting is not None and await _is_owner(connection, who, run.job.id)
            return await _info(connection, run, waiting or target, who, may_answer=may_answer)

    async def _find(self, workspace_id: str, job_id: UUID) -> tuple[LoadedRun, Target]:
        async with self._database.statement() as connection:
            target = await target_of(connection, workspace_id, job_id)
        run = await self._library.load(workspace_id, target.flow_job)
        if run is None:
            raise NotFound(f"Flow job not found: {target.flow_job}")
        return run, target


def _target_of_owners(run: LoadedRun) -> Target | None:
    """What an owner would answer: the wait in force, if there is one."""
    waiting = waiting_step(run.flow, run.status) if run.stored.is_live else None
    if waiting is None:
        return None
    module, state = waiting
    return Target(flow_job=run.job.id, job_id=run.job.id, step=module.id, attempt=state.attempt)


async def _is_owner(connection: Transaction, who: Actor | None, flow_job: UUID) -> bool:
    return who is not None and owns_run(who, await require_read_job(connection, who, flow_job))


def _module_in_question(run: LoadedRun, target: Target) -> FlowModule | None:
    """The step whose wait is in force, or else the one the target names."""
    waiting = waiting_step(run.flow, run.status) if run.stored.is_live else None
    if waiting is not None:
        return waiting[0]
    return next((module for module in run.flow.modules if module.id == target.step), None)


def _conditions(run: LoadedRun, target: Target) -> list[Conditions] | None:
    """The conditions an answer has to meet now; None when none would be taken."""
    if not run.stored.is_live:
        return None
    try:
        numbers = waits_for(target, run.flow, run.status)
        found = [conditions_of(run.flow, run.status, number) for number in numbers]
    except MillpondError:
        return None
    return [one for one in found if one is not None]


def _asks_for_login(run: LoadedRun, target: Target) -> bool:
    return bool(_conditions(run, target))


async def _info(
    connection: Transaction, run: LoadedRun, target: Target, who: Actor | None, *, may_answer: bool
) -> ApprovalInfo:
    module = _module_in_question(run, target)
    suspension = module.suspend if module is not None else None
    form = suspension.resume_form if suspension is not None else None
    conditions = _conditions(run, target)
    info = ApprovalInfo(
        flow_id=target.flow_job,
        can_approve=may_answer and _meets(who, run, conditions),
        user_auth_required=bool(conditions),
        skin=(suspension.skin if suspension is not None else None) or DEFAULT_SKIN,
        approvers=await store.list_approvers(
            connection,
            run.job.workspace_id,
            target.flow_job,
            None if module is None else module.id,
            _attempt(run, module),
        ),
        form_schema=form.schema if form is not None else msgspec.UNSET,
        hide_cancel=bool(suspension.hide_cancel) if suspension is not None else msgspec.UNSET,
        approval_conditions=_written(run.status.conditions),
    )
    if module is None:
        return info
    description = await _description(connection, run, module)
    return info if description is None else msgspec.structs.replace(info, description=raw(description))


def _meets(who: Actor | None, run: LoadedRun, conditions: list[Conditions] | None) -> bool:
    if conditions is None:
        return False
    try:
        check_visitor(who, run.job, conditions)
    except MillpondError:
        return False
    return True


def _attempt(run: LoadedRun, module: FlowModule | None) -> int:
    states = zip(run.flow.modules, run.status.modules, strict=True)
    return next((state.attempt for known, state in states if module is known), 0)


def _written(conditions: Conditions | None) -> ApprovalConditions | msgspec.UnsetType:
    return (
        msgspec.UNSET
        if conditions is None
        else msgspec.convert(conditions, ApprovalConditions, from_attributes=True)
    )


async def _description(connection: Transaction, run: LoadedRun, module: FlowModule) -> str | None:
    """What the step that asks returned as `description`, for approvers to read."""
    workspace_id, flow_job = run.job.workspace_id, run.job.id
    step_job = await store.find_step_job(connection, workspace_id, flow_job, module.id, _attempt(run, module))
    result = None if step_job is None else await job_store.get_result(connection, workspace_id, step_job)
    found = "null" if result is None or result.result is None else value_at(result.result, "description")
    return None if found == "null" else found
