"""A flow job as its turns see it."""

from datetime import datetime
from uuid import UUID

import msgspec


class FlowJob(msgspec.Struct, frozen=True, kw_only=True):
    """What a flow job is. Children take over most of it."""

    workspace_id: str
    id: UUID
    kind: str
    runnable_path: str | None
    args: str
    tag: str
    priority: int
    timeout_s: int | None
    parent_job: UUID | None
    root_job: UUID | None
    flow_step_id: str | None
    created_by: str
    permissioned_as: str
    email: str
    trigger_kind: str | None
    schedule_path: str | None
    visible_to_owner: bool
    scheduled_for: datetime
    flow_version: int | None
    raw_flow: str | None
    flow_path: str | None
    step_place: str | None
    step_attempt: int | None
    step_index: int | None
    flow_branch: int | None
    depth: int
    same_worker: bool
    is_test: bool
    cache_ttl_s: int | None
    delete_after_s: int | None
    concurrency_key: str | None
    concurrent_limit: int | None
    concurrency_window_s: int | None
    entrypoint: str | None
    started_at: datetime | None
    pinned_to: str | None

    @property
    def root(self) -> UUID:
        """The outermost flow job."""
        return self.root_job or self.id

    @property
    def is_step(self) -> bool:
        """Whether another flow waits for this one."""
        return self.step_attempt is not None


class StoredRun(msgspec.Struct, frozen=True, kw_only=True):
    """A flow job with where it stood at `version`, what was said to it until then, and when it wakes.

    `status` is the engine's, JSON; None: the flow has not begun. `args` are the flow's, or those its preprocessor made.
    """

    job: FlowJob
    version: int
    status: str | None
    args: str
    is_live: bool
    is_due: bool
    is_late: bool
    wake_at: datetime | None
    messages: list[str]
