"""The bodies of calls that start flows (compat facts, flows 2.9 and 3.2)."""

from uuid import UUID

import msgspec

from millpond.model.carried import empty_object, null_json


class Restart(msgspec.Struct, frozen=True, kw_only=True):
    """Where a new run takes over from an earlier one. `flow_version` None: it runs what the earlier one ran."""

    step_id: str
    branch_or_iteration_n: int | None = None
    flow_version: int | None = None
    nested_path: list[msgspec.Raw] | None = None


class RestartOf(Restart, frozen=True, kw_only=True):
    """The same with the earlier run, in the body of a test."""

    flow_job_id: UUID


class FlowPreview(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `run/preview_flow`: a flow that is not deployed."""

    value: msgspec.Raw
    args: msgspec.Raw = msgspec.field(default_factory=empty_object)
    path: str | None = None
    tag: str | None = None
    restarted_from: RestartOf | None = None
    temp_script_refs: msgspec.Raw = msgspec.field(default_factory=null_json)
