"""Queries on deployed flows and their versions."""

from collections.abc import Mapping
from typing import NamedTuple, cast
from uuid import UUID

import msgspec

from millpond.model.actors import Actor
from millpond.model.flow_documents import (
    Flow,
    FlowDeploymentStatus,
    FlowFilters,
    FlowVersion,
    ListedFlow,
    PreparedFlow,
    RunnableFlow,
    SearchedFlow,
    StepKind,
)
from millpond.model.flow_locks import with_locks
from millpond.store.columns import json_text, perms, raw
from millpond.store.composition import Composition
from millpond.store.flow_rows import flow_of, listed_flow, runnable_flow
from millpond.store.pool import Transaction
from millpond.store.queries import load
from millpond.store.visibility import visibility

_SQL = load("flows")

MAX_HISTORY = 1000
_USED: Mapping[StepKind, str] = {"script": "scripts", "flow": "flows"}


class Candidate(NamedTuple):
    """A version a run would use, and what may keep it from running."""

    flow: RunnableFlow
    archived: bool


class Owned(NamedTuple):
    """The flow a version is of, with what decides who may change it."""

    path: str
    extra_perms: dict[str, bool]


class SettledValue(NamedTuple):
    """What a version does, JSON text. Not settled: its locks are still being resolved."""

    value: str
    is_settled: bool


class Deployment(NamedTuple):
    """How far the locks of a flow's newest version are, with what decides who may know."""

    extra_perms: dict[str, bool]
    status: FlowDeploymentStatus


async def get_by_path(transaction: Transaction, actor: Actor, path: str) -> Flow | None:
    """A flow by its newest version, archived or not."""
    row = await transaction.fetch_row(_SQL["get_flow_by_path"], actor.workspace_id, path, actor.username)
    return None if row is None else flow_of(actor.workspace_id, row)


async def get_by_version(transaction: Transaction, actor: Actor, version_id: int) -> Flow | None:
    """A flow by one of its versions."""
    row = await transaction.fetch_row(
        _SQL["get_flow_by_version"], actor.workspace_id, version_id, actor.username
    )
    return None if row is None else flow_of(actor.workspace_id, row)


async def flow_exists(transaction: Transaction, workspace_id: str, path: str) -> bool:
    """Whether a path is taken, archived flows included."""
    return bool(await transaction.fetch_value(_SQL["flow_exists"], workspace_id, path))


async def head_version(transaction: Transaction, workspace_id: str, path: str) -> Candidate | None:
    """What a run by path uses: the newest version; None when there is no such flow."""
    row = await transaction.fetch_row(_SQL["get_runnable_flow_by_path"], workspace_id, path)
    return None if row is None else Candidate(runnable_flow(row), row["archived"])


async def get_runnable_by_version(
    transaction: Transaction, workspace_id: str, version_id: int
) -> Candidate | None:
    """One version as a run would use it."""
    row = await transaction.fetch_row(_SQL["get_runnable_flow_by_version"], workspace_id, version_id)
    return None if row is None else Candidate(runnable_flow(row), row["archived"])


async def get_version_value(transaction: Transaction, workspace_id: str, version_id: int) -> str | None:
    """What one version does, JSON text; None when it was deleted."""
    value = await transaction.fetch_value(_SQL["get_version_value"], workspace_id, version_id)
    return cast("str | None", value)


async def get_settled_value(
    transaction: Transaction, workspace_id: str, version_id: int
) -> SettledValue | None:
    """What one version does, and whether that will stay so; None when it was deleted."""
    row = await transaction.fetch_row(_SQL["get_settled_value"], workspace_id, version_id)
    return None if row is None else SettledValue(row["value"], row["is_settled"])


async def get_labels(transaction: Transaction, workspace_id: str, version_id: int) -> list[str]:
    """The labels of the flow a version is of."""
    labels = await transaction.fetch_value(_SQL["get_labels"], workspace_id, version_id)
    return cast("list[str] | None", labels) or []


async def get_deployment(transaction: Transaction, workspace_id: str, path: str) -> Deployment | None:
    """How far the locks of the newest version are."""
    row = await transaction.fetch_row(_SQL["get_flow_deployment"], workspace_id, path)
    if row is None:
        return None
    status = FlowDeploymentStatus(lock_error_logs=row["lock_error_logs"], job_id=row["lock_job_id"])
    return Deployment(perms(row["extra_perms"]), status)


async def list_flows(
    transaction: Transaction, actor: Actor, filters: FlowFilters, limit: int, offset: int
) -> list[ListedFlow]:
    """Visible flows, values left out."""
    query = Composition(_SQL, "list_flows", actor.workspace_id, *visibility(actor), actor.username)
    query.add("and_archived_is", filters.show_archived)
    query.add_if_given("and_path_start", filters.path_start)
    query.add_if_given("and_path_exact", filters.path_exact)
    query.add_if_given("and_edited_by", filters.edited_by)
    query.add_if_given("and_labels", filters.labels)
    if filters.starred_only:
        query.add("and_starred")
    query.add("newest_first" if filters.newest_first else "oldest_first", limit, offset)
    rows = await transaction.fetch(query.query, *query.values)
    return [listed_flow(actor.workspace_id, row, filters) for row in rows]


async def list_paths(transaction: Transaction, actor: Actor) -> list[str]:
    """Paths of visible flows in use."""
    rows = await transaction.fetch(_SQL["list_paths"], actor.workspace_id, *visibility(actor))
    return [row["path"] for row in rows]


async def list_users_of_runnable(
    transaction: Transaction, actor: Actor, kind: StepKind, path: str, *, path_start: bool
) -> list[str]:
    """Paths of visible flows in use with a step that runs a script or flow, or one below a path."""
    rows = await transaction.fetch(
        _SQL["list_users_of_runnable"],
        actor.workspace_id,
        *visibility(actor),
        _USED[kind],
        path,
        path_start,
    )
    return [row["path"] for row in rows]


async def search_flows(transaction: Transaction, actor: Actor) -> list[SearchedFlow]:
    """Up to 1000 visible paths and values."""
    rows = await transaction.fetch(_SQL["search_flows"], actor.workspace_id, *visibility(actor))
    return [SearchedFlow(path=row["path"], value=raw(row["value"])) for row in rows]


async def get_history(
    transaction: Transaction, workspace_id: str, path: str, limit: int = MAX_HISTORY
) -> tuple[dict[str, bool], list[FlowVersion]]:
    """The versions of a flow, newest first, and the flow's permissions."""
    rows = await transaction.fetch(_SQL["list_versions"], workspace_id, path, limit)
    versions = [
        FlowVersion(
            id=row["id"],
            created_at=row["created_at"],
            created_by=row["created_by"],
            deployment_msg=row["deployment_message"] or msgspec.UNSET,
        )
        for row in rows
    ]
    return (perms(rows[0]["extra_perms"]) if rows else {}), versions


async def lock_flow(transaction: Transaction, workspace_id: str, path: str) -> dict[str, bool] | None:
    """What a flow grants, held until the transaction ends; None when there is no such flow."""
    row = await transaction.fetch_row(_SQL["lock_flow"], workspace_id, path)
    return None if row is None else perms(row["extra_perms"])


async def lock_flow_of_version(transaction: Transaction, workspace_id: str, version_id: int) -> Owned | None:
    """The flow a version is of, held until the transaction ends."""
    row = await transaction.fetch_row(_SQL["lock_flow_of_version"], workspace_id, version_id)
    return None if row is None else Owned(row["path"], perms(row["extra_perms"]))


async def insert_flow(
    transaction: Transaction, actor: Actor, flow: PreparedFlow, lock_job_id: UUID | None
) -> int | None:
    """Store a flow with its first version; None when the path is taken: the transaction must then be rolled back."""
    values = _version_values(actor, flow, lock_job_id)
    return cast("int | None", await transaction.fetch_value(_SQL["insert_flow"], *values))


async def insert_version(
    transaction: Transaction, actor: Actor, flow: PreparedFlow, lock_job_id: UUID | None
) -> int:
    """Store the next version of a flow that is held; the flow is in use from then on."""
    values = _version_values(actor, flow, lock_job_id)
    return cast("int", await transaction.fetch_value(_SQL["insert_version"], *values))


def _version_values(actor: Actor, flow: PreparedFlow, lock_job_id: UUID | None) -> tuple[object, ...]:
    return (
        actor.workspace_id,
        flow.path,
        flow.value,
        flow.schema,
        lock_job_id,
        lock_job_id is None,
        flow.deployment_message,
        actor.username,
        flow.summary,
        flow.description,
        json_text(flow.settings),
        flow.labels,
    )


async def move_flow(transaction: Transaction, workspace_id: str, path: str, new_path: str) -> None:
    """Rename a flow; its versions and stars follow."""
    await transaction.execute(_SQL["move_flow"], workspace_id, path, new_path)
    await transaction.execute(_SQL["move_stars"], workspace_id, path, new_path)


async def record_locks(
    transaction: Transaction,
    workspace_id: str,
    version_id: int,
    locks: Mapping[str, str] | None,
    error: str | None,
) -> None:
    """Note how resolving a version's locks, by step id, ended: exactly one of `locks` and `error` is given.

    Changes nothing when the version has its locks already, or is gone.
    """
    if (locks is None) == (error is None):
        raise ValueError("locks or an error are recorded, not both and not neither")
    stored = await transaction.fetch_value(_SQL["lock_unlocked_version"], workspace_id, version_id)
    if stored is None:
        return
    if locks is None:
        # What a resolver prints may hold NUL characters, which text columns cannot.
        words = (error or "").replace("\x00", "�")
        await transaction.execute(_SQL["store_lock_error"], workspace_id, version_id, words)
    else:
        value = with_locks(cast("str", stored), locks)
        await transaction.execute(_SQL["store_locked_value"], workspace_id, version_id, value)


async def set_deployment_message(
    transaction: Transaction, workspace_id: str, version_id: int, message: str | None
) -> None:
    """Change what a deployment says of itself."""
    await transaction.execute(_SQL["set_deployment_message"], workspace_id, version_id, message)


async def set_archived(transaction: Transaction, workspace_id: str, path: str, *, archived: bool) -> None:
    """Take a flow out of use, or put it back."""
    await transaction.execute(_SQL["set_archived"], workspace_id, path, archived)


async def delete_flow(transaction: Transaction, workspace_id: str, path: str) -> None:
    """Delete a flow with its versions, and its stars."""
    await transaction.execute(_SQL["delete_stars"], workspace_id, path)
    await transaction.execute(_SQL["delete_flow"], workspace_id, path)
