"""From rows of flows to the shapes of the API and of runs."""

import msgspec

from millpond.model.flow_documents import Flow, FlowFilters, FlowSettings, ListedFlow, RunnableFlow
from millpond.store.columns import perms, raw
from millpond.store.pool import Row


class _Handlers(msgspec.Struct):
    """What of a value tells how its run is launched; the rest is passed over."""

    preprocessor_module: dict[str, msgspec.Raw] | None = None


def _settings(stored: str) -> FlowSettings:
    return msgspec.json.decode(stored, type=FlowSettings)


def flow_of(workspace_id: str, row: Row) -> Flow:
    """A flow as the API answers it."""
    settings = _settings(row["settings"])
    return Flow(
        workspace_id=workspace_id,
        path=row["path"],
        summary=row["summary"],
        description=row["description"],
        value=raw(row["value"]),
        edited_by=row["edited_by"],
        edited_at=row["edited_at"],
        archived=row["archived"],
        extra_perms=perms(row["extra_perms"]),
        version_id=row["version_id"],
        schema=msgspec.UNSET if row["schema"] is None else raw(row["schema"]),
        starred=row["starred"] or msgspec.UNSET,
        tag=settings.tag or msgspec.UNSET,
        timeout=settings.timeout or msgspec.UNSET,
        priority=settings.priority or msgspec.UNSET,
        visible_to_runner_only=settings.visible_to_runner_only or msgspec.UNSET,
        on_behalf_of_email=settings.on_behalf_of_email or msgspec.UNSET,
        on_behalf_of=settings.on_behalf_of or msgspec.UNSET,
        labels=row["labels"] or msgspec.UNSET,
        lock_error_logs=row["lock_error_logs"] or msgspec.UNSET,
    )


def listed_flow(workspace_id: str, row: Row, filters: FlowFilters) -> ListedFlow:
    """An entry of a list, with what the filters ask to be told."""
    message = row["deployment_message"] if filters.with_deployment_message else None
    return ListedFlow(
        workspace_id=workspace_id,
        path=row["path"],
        summary=row["summary"],
        edited_by=row["edited_by"],
        edited_at=row["edited_at"],
        archived=row["archived"],
        extra_perms=perms(row["extra_perms"]),
        version_id=row["version_id"],
        starred=row["starred"],
        has_deploy_errors=row["has_deploy_errors"],
        description=msgspec.UNSET if filters.without_description else row["description"],
        tag=_settings(row["settings"]).tag or msgspec.UNSET,
        labels=row["labels"] or msgspec.UNSET,
        deployment_msg=message or msgspec.UNSET,
    )


def runnable_flow(row: Row) -> RunnableFlow:
    """A version as a run would use it."""
    settings = _settings(row["settings"])
    return RunnableFlow(
        path=row["path"],
        version_id=row["version_id"],
        value=row["value"],
        tag=settings.tag,
        timeout=settings.timeout,
        priority=settings.priority,
        visible_to_owner=not settings.visible_to_runner_only,
        # Whoever saved the newest version lends their rights to that one, not to what others wrote before.
        on_behalf_of_email=settings.on_behalf_of_email if row["is_newest"] else None,
        created_by=row["created_by"],
        has_preprocessor=msgspec.json.decode(row["value"], type=_Handlers).preprocessor_module is not None,
        labels=row["labels"] or [],
        extra_perms=perms(row["extra_perms"]),
    )
