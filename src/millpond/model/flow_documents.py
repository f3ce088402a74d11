"""Deployed flows and their versions: shapes on the wire (compat facts, flows 1.1 and 6.F), and their stored settings.

What a flow does, its value, is `model.flows`'; here it is carried.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

from millpond.model.flow_modules import ScriptStep, SubFlow

StepKind = Literal["script", "flow"]
"""What a step may run that is deployed by itself."""


class FlowSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a flow asks of its runs; None is what the instance does by itself. `timeout` is in seconds.

    `scripts` and `flows` are the paths its newest version uses as steps, kept to be searched.
    """

    tag: str | None = None
    timeout: int | None = None
    priority: int | None = None
    visible_to_runner_only: bool = False
    on_behalf_of_email: str | None = None
    on_behalf_of: str | None = None
    scripts: list[str] = msgspec.field(default_factory=list)
    flows: list[str] = msgspec.field(default_factory=list)


class UnsupportedFlowSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of Windmill that nothing here acts on: a value that asks for something is refused by name."""

    ws_error_handler_muted: bool | None = None
    dedicated_worker: bool | None = None
    draft_only: bool | None = None
    job_token_scopes: list[str] | None = None

    def asked_for(self) -> list[str]:
        """The names of those that carry more than a default. No scopes at all is a limit, not a default."""
        asked = {
            "ws_error_handler_muted": self.ws_error_handler_muted,
            "dedicated_worker": self.dedicated_worker,
            "draft_only": self.draft_only,
            "job_token_scopes": self.job_token_scopes is not None,
        }
        return [name for name, value in asked.items() if value]


class NewFlow(UnsupportedFlowSettings, frozen=True, kw_only=True):
    """The body that deploys a flow, or its next version. `value` is read by `flow_validation`."""

    path: str
    summary: str
    value: msgspec.Raw
    description: str | None = None
    schema: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    tag: str | None = None
    timeout: int | None = None
    priority: int | None = None
    visible_to_runner_only: bool | None = None
    on_behalf_of_email: str | None = None
    on_behalf_of: str | None = None
    labels: list[str] | None = None
    deployment_message: str | None = None


class StepToLock(msgspec.Struct, frozen=True):
    """Code inside a flow whose dependencies are still to be resolved."""

    module_id: str
    language: str
    code: str


class PreparedFlow(msgspec.Struct, frozen=True, kw_only=True):
    """A version that obeys the rules, with all that is derived from its value.

    `value` and `schema` are JSON text. `to_lock` empty means that every step has its lock.
    """

    path: str
    summary: str
    description: str
    value: str
    schema: str | None
    settings: FlowSettings
    labels: list[str] | None
    deployment_message: str | None
    to_lock: list[StepToLock]


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """A flow as the API answers it, by its newest version or a certain one.

    `value` and `schema` are as they were given. Options that are not set are left out: clients compare key by key.
    """

    workspace_id: str
    path: str
    summary: str
    description: str
    value: msgspec.Raw
    edited_by: str
    edited_at: datetime
    archived: bool
    extra_perms: dict[str, bool]
    version_id: int
    schema: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    starred: bool | msgspec.UnsetType = msgspec.UNSET
    tag: str | msgspec.UnsetType = msgspec.UNSET
    timeout: int | msgspec.UnsetType = msgspec.UNSET
    priority: int | msgspec.UnsetType = msgspec.UNSET
    visible_to_runner_only: bool | msgspec.UnsetType = msgspec.UNSET
    on_behalf_of_email: str | msgspec.UnsetType = msgspec.UNSET
    on_behalf_of: str | msgspec.UnsetType = msgspec.UNSET
    labels: list[str] | msgspec.UnsetType = msgspec.UNSET
    lock_error_logs: str | msgspec.UnsetType = msgspec.UNSET


class ListedFlow(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of `list`: a flow without its value."""

    workspace_id: str
    path: str
    summary: str
    edited_by: str
    edited_at: datetime
    archived: bool
    extra_perms: dict[str, bool]
    version_id: int
    starred: bool
    has_deploy_errors: bool
    description: str | msgspec.UnsetType = msgspec.UNSET
    tag: str | msgspec.UnsetType = msgspec.UNSET
    labels: list[str] | msgspec.UnsetType = msgspec.UNSET
    deployment_msg: str | msgspec.UnsetType = msgspec.UNSET


class FlowFilters(msgspec.Struct, frozen=True, kw_only=True):
    """What `list` may be narrowed by, and its order."""

    path_start: str | None = None
    path_exact: str | None = None
    edited_by: str | None = None
    labels: list[str] | None = None
    dedicated_worker: bool | None = None
    show_archived: bool = False
    starred_only: bool = False
    without_description: bool = False
    with_deployment_message: bool = False
    newest_first: bool = True


class SearchedFlow(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of `list_search`."""

    path: str
    value: msgspec.Raw


class FlowVersion(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of `history`."""

    id: int
    created_at: datetime
    created_by: str
    deployment_msg: str | msgspec.UnsetType = msgspec.UNSET


class FlowDeploymentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far the locks of the newest version are: `lock_error_logs` when resolving them failed."""

    lock_error_logs: str | None
    job_id: UUID | None


class FlowArchival(msgspec.Struct, frozen=True, kw_only=True):
    """The body that takes a flow out of use, or puts it back."""

    archived: bool | None = None


class ErrorHandlerMute(msgspec.Struct, frozen=True, kw_only=True):
    """The body that asks the workspace's error handler to pass over a flow."""

    muted: bool | None = None


class TriggersCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many triggers of each kind start something. `webhook_count` counts the tokens made to run it."""

    schedule_count: int = 0
    http_routes_count: int = 0
    webhook_count: int = 0
    email_count: int = 0
    default_email_count: int = 0
    websocket_count: int = 0
    postgres_count: int = 0
    kafka_count: int = 0
    nats_count: int = 0
    mqtt_count: int = 0
    sqs_count: int = 0
    gcp_count: int = 0


class RunnableFlow(msgspec.Struct, frozen=True, kw_only=True):
    """The version a run uses, read by someone who may run it.

    `value` is JSON text. `timeout` is in seconds. `on_behalf_of_email` is None, or the e-mail of `created_by`, as
    whom every run shall happen.
    """

    path: str
    version_id: int
    value: str
    tag: str | None
    timeout: int | None
    priority: int | None
    visible_to_owner: bool
    on_behalf_of_email: str | None
    created_by: str
    has_preprocessor: bool
    labels: list[str]
    extra_perms: dict[str, bool]


def runnable_of(step: object) -> tuple[StepKind, str] | None:
    """The kind and path of what a step runs; None when it runs nothing that is deployed by itself."""
    match step:
        case ScriptStep():
            return "script", step.path
        case SubFlow():
            return "flow", step.path
        case _:
            return None
