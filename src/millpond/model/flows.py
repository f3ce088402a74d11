"""A flow's definition as it is written: the value and its envelope (compat facts, flows 1.1 and 1.2).

The stored JSON is what is answered on read; these structs are how the engine reads it.
"""

from typing import Literal

import msgspec

from millpond.model.carried import null_json
from millpond.model.flow_modules import FlowModule
from millpond.model.flow_settings import Strict


class SharedDirectory(Strict, frozen=True):
    """How `./shared` of a `same_worker` flow is kept."""

    durable: bool = False
    quota_bytes: int | None = None
    retain_secs: int | None = None


class FlowValue(Strict, frozen=True):
    """What a flow does. `notes` and `groups` are the editor's own, carried only."""

    modules: tuple[FlowModule, ...]
    failure_module: FlowModule | None = None
    preprocessor_module: FlowModule | None = None
    same_worker: bool = False
    preserve_step_tags: bool = False
    concurrent_limit: int | None = None
    concurrency_time_window_s: int | None = None
    concurrency_key: str | None = None
    debounce_delay_s: int | None = None
    debounce_key: str | None = None
    debounce_args_to_accumulate: list[str] | None = None
    max_total_debouncing_time: int | None = None
    max_total_debounces_amount: int | None = None
    skip_expr: str | None = None
    cache_ttl: int | None = None
    cache_ignore_s3_path: bool | None = None
    delete_after_secs: int | None = None
    flow_env: dict[str, msgspec.Raw] | None = None
    priority: int | None = None
    early_return: str | None = None
    chat_input_enabled: bool = False
    notes: msgspec.Raw = msgspec.field(default_factory=null_json)
    groups: msgspec.Raw = msgspec.field(default_factory=null_json)
    state_commit: Literal["immediate", "on_success"] = "immediate"
    shared_directory: SharedDirectory | None = None


class RestartPoint(Strict, frozen=True):
    """Where a new run of a flow takes over from an earlier one."""

    step_id: str
    branch_or_iteration_n: int | None = None
