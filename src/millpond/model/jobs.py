"""Jobs: what they are, how they end, and their shapes on the wire (compat facts, flows 3)."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from millpond.model.carried import empty_object
from millpond.model.flow_status import WireStatus

JobKind = Literal[
    "script", "preview", "dependencies", "identity", "noop",
    "flow", "flowpreview", "flownode", "flowscript", "flowdependencies",
]  # fmt: skip
JobState = Literal["queued", "running", "waiting"]
JobStatus = Literal["success", "failure", "canceled", "skipped"]
Lane = Literal["process", "inline", "flow"]

INLINE_KINDS: frozenset[str] = frozenset({"identity", "noop"})
"""Kinds the worker ends itself, without starting a process."""

FLOW_KINDS: frozenset[str] = frozenset({"flow", "flowpreview", "flownode"})
"""Kinds that run other jobs: deployed flows, tests of flows, and the bodies of loops and branches of deployed ones."""

DEPENDENCY_KINDS: frozenset[str] = frozenset({"dependencies", "flowdependencies"})
"""Kinds that resolve the dependencies of what was deployed to locks."""

LOG_TAIL_CHARACTERS = 20_000

TRANSITIONS: dict[str, frozenset[str]] = {
    "queued": frozenset({"running", "canceled"}),
    "running": frozenset({"queued", "waiting", "success", "failure", "canceled", "skipped"}),
    "waiting": frozenset({"queued", "success", "failure", "canceled", "skipped"}),
    "success": frozenset(),
    "failure": frozenset(),
    "canceled": frozenset(),
    "skipped": frozenset(),
}
"""From a job's state to those it may enter next. Back to `queued` only by the rescue of a dead worker's jobs, and for
flows: they run in turns, between which they wait for their steps, a time or an approval."""


def lane_of(kind: str) -> Lane:
    """The lane a kind of job waits in: those without a process never take a slot from those with one."""
    if kind in FLOW_KINDS:
        return "flow"
    return "inline" if kind in INLINE_KINDS else "process"


class NewJob(msgspec.Struct, frozen=True, kw_only=True):
    """A job about to be pushed. `args` is a JSON object; `scheduled_for` None means at once."""

    id: UUID
    workspace_id: str
    kind: JobKind
    args: str
    tag: str
    created_by: str
    permissioned_as: str
    email: str
    runnable_path: str | None = None
    script_hash: int | None = None
    language: str | None = None
    raw_code: str | None = None
    raw_lock: str | None = None
    entrypoint: str | None = None
    priority: int = 0
    timeout_s: int | None = None
    parent_job: UUID | None = None
    root_job: UUID | None = None
    flow_step_id: str | None = None
    trigger_kind: str | None = None
    schedule_path: str | None = None
    scheduled_for: datetime | None = None
    visible_to_owner: bool = True
    flow_version: int | None = None
    raw_flow: str | None = None
    flow_path: str | None = None
    step_place: str | None = None
    step_attempt: int | None = None
    step_index: int | None = None
    flow_branch: int | None = None
    depth: int = 0
    same_worker: bool = False
    is_test: bool = False
    cache_ttl_s: int | None = None
    delete_after_s: int | None = None
    concurrency_key: str | None = None
    concurrent_limit: int | None = None
    concurrency_window_s: int | None = None
    pinned_to: str | None = None


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A job a worker holds, with its fencing token: every write on the job's behalf names it."""

    workspace_id: str
    job_id: UUID
    lease_token: int
    kind: JobKind
    args: str | None
    tag: str
    created_by: str
    permissioned_as: str
    email: str
    runnable_path: str | None
    script_hash: int | None
    language: str | None
    raw_code: str | None
    raw_lock: str | None
    entrypoint: str | None
    timeout_s: int | None
    parent_job: UUID | None
    root_job: UUID | None
    flow_step_id: str | None
    schedule_path: str | None
    scheduled_for: datetime
    rescues: int
    priority: int = 0
    visible_to_owner: bool = True
    flow_version: int | None = None
    flow_path: str | None = None
    step_place: str | None = None
    step_attempt: int | None = None
    step_index: int | None = None
    flow_branch: int | None = None
    depth: int = 0
    same_worker: bool = False
    is_test: bool = False
    cache_ttl_s: int | None = None
    delete_after_s: int | None = None
    concurrency_key: str | None = None
    concurrent_limit: int | None = None
    concurrency_window_s: int | None = None


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """How a claimed job ended. `result` is JSON text; `labels` are sorted and distinct."""

    claim: Claim
    status: JobStatus
    result: str
    memory_peak_bytes: int | None = None
    labels: list[str] | None = None
    canceled_by: str | None = None
    canceled_reason: str | None = None


class Cancellation(msgspec.Struct, frozen=True):
    """Who asked a running job to end, and why."""

    by: str
    reason: str


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A job as the API answers it: `type` tells whether it is still in the queue."""

    type: Literal["QueuedJob", "CompletedJob"]
    id: UUID
    workspace_id: str
    job_kind: str
    created_by: str
    created_at: datetime
    permissioned_as: str
    email: str
    tag: str
    visible_to_owner: bool
    canceled: bool
    is_flow_step: bool
    same_worker: bool | msgspec.UnsetType = msgspec.UNSET
    running: bool | msgspec.UnsetType = msgspec.UNSET
    success: bool | msgspec.UnsetType = msgspec.UNSET
    is_skipped: bool | msgspec.UnsetType = msgspec.UNSET
    script_path: str | None = None
    script_hash: str | None = None
    language: str | None = None
    args: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    logs: str | msgspec.UnsetType = msgspec.UNSET
    raw_code: str | None = None
    raw_lock: str | None = None
    raw_flow: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    flow_status: WireStatus | msgspec.UnsetType = msgspec.UNSET
    preprocessed: bool | None = None
    suspend: int | None = None
    suspend_until: datetime | None = None
    started_at: datetime | None = None
    scheduled_for: datetime | None = None
    completed_at: datetime | None = None
    duration_ms: int | None = None
    parent_job: UUID | None = None
    root_job: UUID | None = None
    flow_step_id: str | None = None
    trigger_kind: str | None = None
    schedule_path: str | None = None
    priority: int | None = None
    timeout: int | None = None
    mem_peak: int | None = None
    canceled_by: str | None = None
    canceled_reason: str | None = None
    labels: list[str] | None = None
    worker: UUID | None = None
    sandbox: str | None = None
    deleted: bool | None = None


class JobResultMaybe(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `get_result_maybe`: clients index the first three in every answer."""

    started: bool | None
    completed: bool
    success: bool | None
    result: msgspec.Raw


class JobTiming(msgspec.Struct, frozen=True, kw_only=True):
    """When a completed job was made, began, and how long it took."""

    created_at: datetime
    started_at: datetime | None
    duration_ms: int


class JobUpdate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What changed since a caller looked last: the body of `getupdate`, and each event of its stream."""

    running: bool | msgspec.UnsetType = msgspec.UNSET
    completed: bool | msgspec.UnsetType = msgspec.UNSET
    new_logs: str | msgspec.UnsetType = msgspec.UNSET
    log_offset: int | msgspec.UnsetType = msgspec.UNSET
    new_result_stream: str | msgspec.UnsetType = msgspec.UNSET
    stream_offset: int | msgspec.UnsetType = msgspec.UNSET
    mem_peak: int | msgspec.UnsetType = msgspec.UNSET
    progress: int | msgspec.UnsetType = msgspec.UNSET
    flow_status: WireStatus | msgspec.UnsetType = msgspec.UNSET
    job: Job | msgspec.UnsetType = msgspec.UNSET
    only_result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `run/preview`: a script that is not deployed."""

    content: str = ""
    language: str | None = None
    args: msgspec.Raw = msgspec.field(default_factory=empty_object)
    path: str | None = None
    lock: str | None = None
    tag: str | None = None
    kind: Literal["code", "identity", "noop"] | None = None
    timeout: int | None = None


class JobFilters(msgspec.Struct, frozen=True, kw_only=True):
    """What job lists may be narrowed by; None means no restriction."""

    created_by: str | None = None
    label: str | None = None
    worker: str | None = None
    parent_job: UUID | None = None
    script_path_exact: str | None = None
    script_path_start: str | None = None
    schedule_path: str | None = None
    script_hash: int | None = None
    created_before: datetime | None = None
    created_after: datetime | None = None
    started_before: datetime | None = None
    started_after: datetime | None = None
    completed_before: datetime | None = None
    completed_after: datetime | None = None
    running: bool | None = None
    scheduled_for_before_now: bool | None = None
    job_kinds: list[str] | None = None
    args: str | None = None
    result: str | None = None
    tag: str | None = None
    trigger_kind: str | None = None
    is_skipped: bool | None = None
    is_flow_step: bool | None = None
    has_null_parent: bool | None = None
    is_not_schedule: bool | None = None
    success: bool | None = None
    status: str | None = None
    before_id: UUID | None = None
    include_args: bool = False
    order_desc: bool = True
