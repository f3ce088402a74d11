"""`flow_status` on the wire, exactly as clients read it (compat facts, flows 2.11)."""

from datetime import datetime
from uuid import UUID

import msgspec

NIL_JOB = UUID(int=0)
"""Stands for the job of a step that failed, or passed, before a job was made for it."""


class Iterator(msgspec.Struct, frozen=True, omit_defaults=True):
    """The item a loop is at. Of long loops the items are left out."""

    index: int
    itered_len: int
    itered: list[msgspec.Raw] | None = None


class Durations(msgspec.Struct, frozen=True):
    """When each child of a container began, and how long it took."""

    started_at: list[datetime | None]
    duration_ms: list[int | None]


class DefaultChosen(msgspec.Struct, frozen=True, tag_field="type", tag="default"):
    """No predicate was true."""


class BranchChosen(msgspec.Struct, frozen=True, tag_field="type", tag="branch"):
    """The branch whose predicate was true, counted from 0."""

    branch: int


class BranchAt(msgspec.Struct, frozen=True):
    """The branch a `branchall` is at."""

    branch: int
    len: int


class Approver(msgspec.Struct, frozen=True):
    """Who approved a wait."""

    resume_id: int
    approver: str


class WaitingForPriorSteps(msgspec.Struct, frozen=True, tag=True):
    """Not reached yet."""

    id: str


class WaitingForEvents(msgspec.Struct, frozen=True, tag=True):
    """Waits for approvals of the step before, whose job is `job`."""

    id: str
    count: int
    job: UUID


class WaitingForExecutor(msgspec.Struct, frozen=True, tag=True):
    """Its job waits for a worker."""

    id: str
    job: UUID


class InProgress(msgspec.Struct, frozen=True, kw_only=True, tag=True, omit_defaults=True):
    """Its job, or the jobs of a container, run."""

    id: str
    job: UUID
    iterator: Iterator | None = None
    flow_jobs: list[UUID] | None = None
    flow_jobs_success: list[bool | None] | None = None
    flow_jobs_duration: Durations | None = None
    branch_chosen: DefaultChosen | BranchChosen | None = None
    branchall: BranchAt | None = None
    parallel: bool = False
    while_loop: bool = False
    progress: int | None = None


class Success(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ended well."""

    id: str
    job: UUID
    skipped: bool
    flow_jobs: list[UUID] | msgspec.UnsetType = msgspec.UNSET
    flow_jobs_success: list[bool | None] | msgspec.UnsetType = msgspec.UNSET
    flow_jobs_duration: Durations | msgspec.UnsetType = msgspec.UNSET
    branch_chosen: DefaultChosen | BranchChosen | msgspec.UnsetType = msgspec.UNSET
    approvers: list[Approver] | msgspec.UnsetType = msgspec.UNSET
    failed_retries: list[UUID] | msgspec.UnsetType = msgspec.UNSET


class Failure(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Ended badly. `parent_module` is set on the failure module: the step it handles."""

    id: str
    job: UUID
    flow_jobs: list[UUID] | msgspec.UnsetType = msgspec.UNSET
    flow_jobs_success: list[bool | None] | msgspec.UnsetType = msgspec.UNSET
    flow_jobs_duration: Durations | msgspec.UnsetType = msgspec.UNSET
    branch_chosen: DefaultChosen | BranchChosen | msgspec.UnsetType = msgspec.UNSET
    failed_retries: list[UUID] | msgspec.UnsetType = msgspec.UNSET


WireModule = WaitingForPriorSteps | WaitingForEvents | WaitingForExecutor | InProgress | Success | Failure


class RetryStatus(msgspec.Struct, frozen=True):
    """The tries of the current step that failed."""

    fail_count: int
    failed_jobs: list[UUID]


class ApprovalConditions(msgspec.Struct, frozen=True):
    """Who may approve the wait in force."""

    user_auth_required: bool
    user_groups_required: list[str]
    self_approval_disabled: bool


class WireRestart(msgspec.Struct, frozen=True, omit_defaults=True):
    """The run that this one goes on from."""

    flow_job_id: UUID
    step_id: str
    branch_or_iteration_n: int | None = None
    flow_version: int | None = None


class Cleanup(msgspec.Struct, frozen=True):
    """Jobs whose arguments and results are wiped at the end."""

    flow_jobs_to_clean: list[UUID] | msgspec.UnsetType = msgspec.UNSET


class WireStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`flow_status`. The failure module's member carries `parent_module` beside its own."""

    step: int
    modules: list[WireModule]
    failure_module: msgspec.Raw
    preprocessor_module: WireModule | None = None
    cleanup_module: Cleanup = Cleanup()
    user_states: dict[str, msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    retry: RetryStatus | msgspec.UnsetType = msgspec.UNSET
    approval_conditions: ApprovalConditions | msgspec.UnsetType = msgspec.UNSET
    restarted_from: WireRestart | msgspec.UnsetType = msgspec.UNSET
