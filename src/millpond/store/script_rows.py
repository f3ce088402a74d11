"""From rows of scripts to the shapes of the API and of the deployment."""

from typing import NamedTuple
from uuid import UUID

import msgspec

from millpond.base.ids import hash_to_hex
from millpond.model.scripts import (
    DeploymentStatus,
    ListedScript,
    PreparedScript,
    RunnableScript,
    Script,
    ScriptFilters,
    ScriptSettings,
)
from millpond.store.columns import perms, raw
from millpond.store.pool import Row


class Content(NamedTuple):
    """The source of a version, with what decides who may see it."""

    content: str
    extra_perms: dict[str, bool]


class LockedScript(NamedTuple):
    """A version held for a change, with all a new deployment is compared with."""

    hash: int
    path: str
    parent_hashes: list[int]
    extra_perms: dict[str, bool]
    archived: bool
    summary: str
    description: str
    content: str
    language: str
    kind: str
    schema: str | None
    lock: str | None
    lock_error_logs: str | None
    is_template: bool
    settings: ScriptSettings
    labels: list[str] | None


class Candidate(NamedTuple):
    """A version a run would use, and what may keep it from running."""

    script: RunnableScript
    lock_error_logs: str | None
    deleted: bool


class Deployment(NamedTuple):
    """How far a version's dependencies are, with what decides who may know."""

    path: str
    extra_perms: dict[str, bool]
    status: DeploymentStatus


class NewVersion(NamedTuple):
    """A version about to be stored."""

    hash: int
    parent_hashes: list[int]
    extra_perms: dict[str, bool]
    lock_job_id: UUID | None
    script: PreparedScript


def _settings(stored: str) -> ScriptSettings:
    return msgspec.json.decode(stored, type=ScriptSettings)


def locked_script(row: Row | None) -> LockedScript | None:
    """The row of a version that is held, if there is one."""
    if row is None:
        return None
    values = dict(row.items())
    values["extra_perms"] = perms(row["extra_perms"])
    values["settings"] = _settings(row["settings"])
    return LockedScript(**values)


def script_of(workspace_id: str, row: Row) -> Script:
    """A version as the API answers it."""
    settings = _settings(row["settings"])
    return Script(
        workspace_id=workspace_id,
        hash=hash_to_hex(row["hash"]),
        path=row["path"],
        summary=row["summary"],
        description=row["description"],
        content=row["content"],
        language=row["language"],
        kind=row["kind"],
        schema=raw(row["schema"]),
        lock=row["lock"],
        lock_error_logs=row["lock_error_logs"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        archived=row["archived"],
        deleted=row["deleted"],
        is_template=row["is_template"],
        extra_perms=perms(row["extra_perms"]),
        starred=row["starred"],
        has_preprocessor=row["has_preprocessor"],
        no_main_func=row["no_main"],
        parent_hashes=[hash_to_hex(parent) for parent in row["parent_hashes"]] or msgspec.UNSET,
        tag=settings.tag or msgspec.UNSET,
        timeout=settings.timeout or msgspec.UNSET,
        priority=settings.priority or msgspec.UNSET,
        envs=settings.envs or msgspec.UNSET,
        on_behalf_of_email=settings.on_behalf_of_email or msgspec.UNSET,
        cache_ttl=settings.cache_ttl or msgspec.UNSET,
        concurrent_limit=settings.concurrent_limit or msgspec.UNSET,
        concurrency_time_window_s=settings.concurrency_time_window_s or msgspec.UNSET,
        concurrency_key=settings.concurrency_key or msgspec.UNSET,
        delete_after_use=settings.delete_after_use or msgspec.UNSET,
        delete_after_secs=msgspec.UNSET if settings.delete_after_secs is None else settings.delete_after_secs,
        visible_to_runner_only=settings.visible_to_runner_only or msgspec.UNSET,
        labels=row["labels"] or msgspec.UNSET,
    )


def listed_script(workspace_id: str, row: Row, filters: ScriptFilters) -> ListedScript:
    """An entry of a list, with what the filters ask to be told."""
    message = row["deployment_message"] if filters.with_deployment_message else None
    return ListedScript(
        workspace_id=workspace_id,
        hash=hash_to_hex(row["hash"]),
        path=row["path"],
        summary=row["summary"],
        language=row["language"],
        kind=row["kind"],
        created_by=row["created_by"],
        created_at=row["created_at"],
        archived=row["archived"],
        is_template=row["is_template"],
        extra_perms=perms(row["extra_perms"]),
        starred=row["starred"],
        has_preprocessor=row["has_preprocessor"],
        no_main_func=row["no_main"],
        has_deploy_errors=row["has_deploy_errors"],
        description=msgspec.UNSET if filters.without_description else row["description"],
        tag=_settings(row["settings"]).tag or msgspec.UNSET,
        labels=row["labels"] or msgspec.UNSET,
        deployment_msg=message or msgspec.UNSET,
    )


def candidate_of(row: Row) -> Candidate:
    """A version as a run would use it."""
    settings = _settings(row["settings"])
    script = RunnableScript(
        hash=row["hash"],
        path=row["path"],
        content=row["content"],
        language=row["language"],
        kind=row["kind"],
        lock=row["lock"],
        tag=settings.tag,
        timeout=settings.timeout,
        priority=settings.priority,
        envs=settings.envs or [],
        on_behalf_of_email=settings.on_behalf_of_email,
        created_by=row["created_by"],
        has_preprocessor=row["has_preprocessor"],
        no_main=row["no_main"],
        labels=row["labels"] or [],
        extra_perms=perms(row["extra_perms"]),
        cache_ttl=settings.cache_ttl,
        concurrent_limit=settings.concurrent_limit,
        concurrency_time_window_s=settings.concurrency_time_window_s,
        concurrency_key=settings.concurrency_key,
        delete_after_s=settings.deletes_after_s,
        visible_to_runner_only=bool(settings.visible_to_runner_only),
    )
    return Candidate(script, row["lock_error_logs"], row["deleted"])
