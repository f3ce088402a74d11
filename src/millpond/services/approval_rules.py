"""Which waits an answer may end, and who may give it. Pure: a definition, a status and a visitor come in.

An answer may come before the wait it is for. It then obeys the step's settings as they are written; where those are
worked out only when the flow waits, it is refused. Without a login nobody can be told from the flow's runner, nor
found in a group: settings of either kind ask for one.
"""

from collections.abc import Iterable
from uuid import UUID

import msgspec

from millpond.base.errors import Conflict, InvalidInput, NotAuthenticated, PermissionDenied
from millpond.engine.definition import required_approvals
from millpond.engine.events import HEARD, Approved
from millpond.engine.status import Conditions, FlowStatus, ModuleStatus, Phase
from millpond.model.actors import Actor
from millpond.model.flow_modules import FlowModule
from millpond.model.flow_runs import FlowJob
from millpond.model.flow_settings import AiTransform, InputTransform, StaticTransform
from millpond.model.flows import FlowValue
from millpond.model.permissions import scope_allows

NOT_SUSPENDED = "the flow is not in a suspended state anymore"

_DEAF = frozenset(
    phase for phase, events in HEARD.items() if phase is not Phase.ASKING and Approved not in events
)
"""Phases in which a flow hears no answers; one that asks for values is never stored so."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer is for: a step's wait, by the attempt whose job was asked, or any wait of the flow (`step` None).

    `of_ended_flow`: the job asked is a flow that has ended, so the step of the flow around it may be meant.
    """

    flow_job: UUID
    job_id: UUID
    step: str | None = None
    attempt: int = 0
    of_ended_flow: bool = False


def waiting_step(flow: FlowValue, status: FlowStatus) -> tuple[FlowModule, ModuleStatus] | None:
    """The step behind which the flow waits just now; None when it does not wait for approvals."""
    if status.phase is not Phase.SUSPENDED:
        return None
    return flow.modules[status.step - 1], status.modules[status.step - 1]


def waits_for(target: Target, flow: FlowValue, status: FlowStatus) -> list[int]:
    """The numbers of the steps whose waits the answer counts for, now or later.

    Raises InvalidInput when there never is one, Conflict when it is over.
    """
    numbers = [number for number, module in enumerate(flow.modules) if required_approvals(module)]
    if target.step is not None:
        numbers = [number for number in numbers if flow.modules[number].id == target.step]
    if not numbers and target.of_ended_flow:
        raise Conflict(NOT_SUSPENDED)
    if not numbers:
        what = "The flow" if target.step is None else f"Step {target.step!r} of the flow"
        raise InvalidInput(f"{what} does not wait for approvals: its definition has no `suspend` there")
    if status.phase in _DEAF:
        raise Conflict(NOT_SUSPENDED)
    ahead = [number for number in numbers if not _is_over(status, number)]
    if target.step is not None:
        ahead = [number for number in ahead if status.modules[number].attempt == target.attempt]
    if not ahead:
        raise Conflict(NOT_SUSPENDED)
    return ahead


def _is_over(status: FlowStatus, number: int) -> bool:
    state = status.modules[number]
    return state.released or state.skipped or state.inherited or status.step > number + 1


def conditions_of(flow: FlowValue, status: FlowStatus, number: int) -> Conditions | None:
    """Who may answer the wait after a step; None: whoever has the link. Raises Conflict when that is not known yet."""
    if status.phase is Phase.SUSPENDED and status.step == number + 1:
        return status.conditions
    module = flow.modules[number]
    suspension = module.suspend
    assert suspension is not None
    groups = _written_groups(module, suspension.user_groups_required)
    if not (groups or suspension.user_auth_required or suspension.self_approval_disabled):
        return None
    return Conditions(bool(suspension.user_auth_required), groups, bool(suspension.self_approval_disabled))


def _written_groups(module: FlowModule, groups: InputTransform | None) -> tuple[str, ...]:
    match groups:
        case None | AiTransform():
            return ()
        case StaticTransform(value=value):
            try:
                return msgspec.json.decode(value, type=tuple[str, ...])
            except msgspec.ValidationError:
                pass
    raise Conflict(
        f"Who may approve step {module.id!r} is worked out when the flow waits there: approve it then"
    )


def check_visitor(visitor: Actor | None, job: FlowJob, every: Iterable[Conditions | None]) -> None:
    """Raises NotAuthenticated or PermissionDenied unless the visitor meets all conditions; administrators meet any."""
    conditions = [one for one in every if one is not None]
    if not conditions:
        return
    if visitor is None:
        raise NotAuthenticated("Only logged in users can approve this flow step")
    if visitor.is_admin:
        return
    if any(one.self_approval_disabled for one in conditions) and _is_runner(visitor, job):
        raise PermissionDenied("Self-approval is disabled for this flow step")
    for one in conditions:
        if one.user_groups_required and visitor.groups.isdisjoint(one.user_groups_required):
            names = ", ".join(one.user_groups_required)
            raise PermissionDenied(
                f"Only users from one of the following groups are allowed to approve this flow step: {names}"
            )


def _is_runner(visitor: Actor, job: FlowJob) -> bool:
    # The flow may run in another's name: then neither may approve.
    return visitor.email == job.email or visitor.username == job.created_by


def known_visitor(visitor: Actor | None, job_id: UUID) -> Actor | None:
    """The visitor, if the token shown may act on the job at all; otherwise somebody who only holds a link."""
    if visitor is None or not scope_allows(visitor.scopes, "jobs", "write", str(job_id)):
        return None
    return visitor
