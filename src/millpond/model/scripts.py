"""Scripts and their versions: shapes on the wire (compat facts, flows 5), and their stored settings."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

Language = Literal[
    "python3", "bun", "bunnative", "deno", "nativets", "bash", "powershell", "go", "rust", "php", "csharp",
    "java", "ruby", "rlang", "nu", "ansible", "graphql", "postgresql", "mysql", "bigquery", "snowflake",
    "mssql", "oracledb", "duckdb",
]  # fmt: skip
"""Every language Windmill names; which of them can be deployed here is the instance's to say."""

ScriptKind = Literal["script", "failure", "trigger", "command", "approval", "preprocessor"]
FavoriteKind = Literal["script", "flow"]

LOCKED_LANGUAGES: frozenset[str] = frozenset({"python3"})
"""Languages whose dependencies a job resolves after deployment, unless the lock is given."""

MAX_PARENTS = 100
"""Ancestors a version remembers, nearest first."""


class ScriptSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a script asks of its runs; None is what the instance does by itself. `timeout` is in seconds."""

    tag: str | None = None
    timeout: int | None = None
    priority: int | None = None
    envs: list[str] | None = None
    on_behalf_of_email: str | None = None
    cache_ttl: int | None = None
    concurrent_limit: int | None = None
    concurrency_time_window_s: int | None = None
    concurrency_key: str | None = None
    delete_after_use: bool | None = None
    delete_after_secs: int | None = None
    visible_to_runner_only: bool | None = None

    @property
    def deletes_after_s(self) -> int | None:
        """Seconds after which a run is forgotten; None: it is kept. `delete_after_use` is the older way to say 0."""
        if self.delete_after_secs is not None:
            return self.delete_after_secs
        return 0 if self.delete_after_use else None


class UnsupportedSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of Windmill that nothing here acts on: a value that asks for something is refused by name."""

    cache_ignore_s3_path: bool | None = None
    debounce_key: str | None = None
    debounce_delay_s: int | None = None
    debounce_args_to_accumulate: list[str] | None = None
    max_total_debouncing_time: int | None = None
    max_total_debounces_amount: int | None = None
    dedicated_worker: bool | None = None
    ws_error_handler_muted: bool | None = None
    restart_unless_cancelled: bool | None = None
    codebase: str | bool | None = None
    modules: dict[str, msgspec.Raw] | None = None
    job_token_scopes: list[str] | None = None
    draft_only: bool | None = None
    assets: list[msgspec.Raw] | None = None

    def asked_for(self) -> list[str]:
        """The names of those that carry more than a default."""
        names = [field.name for field in msgspec.structs.fields(UnsupportedSettings)]
        return [name for name in names if getattr(self, name)]


class NewScript(UnsupportedSettings, frozen=True, kw_only=True):
    """The body that deploys a version. What its content tells (`has_preprocessor`, …) is not read."""

    path: str
    summary: str
    content: str
    language: Language
    description: str | None = None
    kind: ScriptKind | None = None
    schema: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    lock: str | None = None
    is_template: bool | None = None
    parent_hash: str | None = None
    auto_parent: bool | None = None
    deployment_message: str | None = None
    labels: list[str] | None = None
    tag: str | None = None
    timeout: int | None = None
    priority: int | None = None
    envs: list[str] | None = None
    on_behalf_of_email: str | None = None
    cache_ttl: int | None = None
    concurrent_limit: int | None = None
    concurrency_time_window_s: int | None = None
    concurrency_key: str | None = None
    delete_after_use: bool | None = None
    delete_after_secs: int | None = None
    visible_to_runner_only: bool | None = None


class PreparedScript(msgspec.Struct, frozen=True, kw_only=True):
    """A version that obeys the rules, with all that is derived from its content.

    `schema` is JSON text. `lock` None means that it is still to be resolved.
    """

    path: str
    summary: str
    description: str
    content: str
    language: str
    kind: ScriptKind
    schema: str
    lock: str | None
    is_template: bool
    has_preprocessor: bool
    no_main: bool
    settings: ScriptSettings
    labels: list[str] | None
    deployment_message: str | None


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """A version as the API answers it.

    `lock` is null until it is resolved. Options that are not set are left out: clients compare key by key.
    """

    workspace_id: str
    hash: str
    path: str
    summary: str
    description: str
    content: str
    language: str
    kind: str
    schema: msgspec.Raw
    lock: str | None
    lock_error_logs: str | None
    created_by: str
    created_at: datetime
    archived: bool
    deleted: bool
    is_template: bool
    extra_perms: dict[str, bool]
    starred: bool
    has_preprocessor: bool
    no_main_func: bool
    ws_error_handler_muted: bool = False
    parent_hashes: list[str] | msgspec.UnsetType = msgspec.UNSET
    tag: str | msgspec.UnsetType = msgspec.UNSET
    timeout: int | msgspec.UnsetType = msgspec.UNSET
    priority: int | msgspec.UnsetType = msgspec.UNSET
    envs: list[str] | msgspec.UnsetType = msgspec.UNSET
    on_behalf_of_email: str | msgspec.UnsetType = msgspec.UNSET
    cache_ttl: int | msgspec.UnsetType = msgspec.UNSET
    concurrent_limit: int | msgspec.UnsetType = msgspec.UNSET
    concurrency_time_window_s: int | msgspec.UnsetType = msgspec.UNSET
    concurrency_key: str | msgspec.UnsetType = msgspec.UNSET
    delete_after_use: bool | msgspec.UnsetType = msgspec.UNSET
    delete_after_secs: int | msgspec.UnsetType = msgspec.UNSET
    visible_to_runner_only: bool | msgspec.UnsetType = msgspec.UNSET
    labels: list[str] | msgspec.UnsetType = msgspec.UNSET


class ListedScript(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of `list`: a script without its content."""

    workspace_id: str
    hash: str
    path: str
    summary: str
    language: str
    kind: str
    created_by: str
    created_at: datetime
    archived: bool
    is_template: bool
    extra_perms: dict[str, bool]
    starred: bool
    has_preprocessor: bool
    no_main_func: bool
    has_deploy_errors: bool
    ws_error_handler_muted: bool = False
    description: str | msgspec.UnsetType = msgspec.UNSET
    tag: str | msgspec.UnsetType = msgspec.UNSET
    labels: list[str] | msgspec.UnsetType = msgspec.UNSET
    deployment_msg: str | msgspec.UnsetType = msgspec.UNSET


class ScriptFilters(msgspec.Struct, frozen=True, kw_only=True):
    """What `list` may be narrowed by, and its order."""

    path_start: str | None = None
    path_exact: str | None = None
    created_by: str | None = None
    kinds: list[str] | None = None
    languages: list[str] | None = None
    labels: list[str] | None = None
    is_template: bool | None = None
    dedicated_worker: bool | None = None
    parent_hash: int | None = None
    first_parent_hash: int | None = None
    last_parent_hash: int | None = None
    show_archived: bool = False
    starred_only: bool = False
    include_without_main: bool = False
    without_description: bool = False
    with_deployment_message: bool = False
    newest_first: bool = True


class SearchedScript(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of `list_search`."""

    path: str
    content: str


class ScriptVersion(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of `history`."""

    script_hash: str
    created_at: datetime
    created_by: str
    deployment_msg: str | msgspec.UnsetType = msgspec.UNSET


class VersionNote(msgspec.Struct, frozen=True, kw_only=True):
    """The body that changes what a deployment says of itself."""

    deployment_msg: str | None = None


class DeploymentStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How far the dependencies of a version are: `lock` once resolved, `lock_error_logs` when that failed."""

    lock: str | None
    lock_error_logs: str | None
    job_id: UUID | None


class Favorite(msgspec.Struct, frozen=True, kw_only=True):
    """The body that stars or unstars something."""

    favorite_kind: FavoriteKind
    path: str


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """The body that asks for a signature."""

    language: Language
    content: str


class ScopedToken(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of `list_tokens`: a token made for one script, without its secret part."""

    label: str | None
    token_prefix: str
    expiration: datetime | None
    created_at: datetime
    last_used_at: datetime
    scopes: list[str]
    email: str


class RunnableScript(msgspec.Struct, frozen=True, kw_only=True):
    """The version a run uses, read by someone who may.

    `lock` None: it is still being resolved, and the run resolves it itself. `envs` are `NAME=value`,
    `timeout` is in seconds. `on_behalf_of_email` is None, or the e-mail of `created_by`, as whom every run
    shall happen. `delete_after_s`: how long after its root run's end a run is kept, None for ever.
    """

    hash: int
    path: str
    content: str
    language: str
    kind: str
    lock: str | None
    tag: str | None
    timeout: int | None
    priority: int | None
    envs: list[str]
    on_behalf_of_email: str | None
    created_by: str
    has_preprocessor: bool
    no_main: bool
    labels: list[str]
    extra_perms: dict[str, bool]
    cache_ttl: int | None = None
    concurrent_limit: int | None = None
    concurrency_time_window_s: int | None = None
    concurrency_key: str | None = None
    delete_after_s: int | None = None
    visible_to_runner_only: bool = False
