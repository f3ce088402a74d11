"""Where flows stand, as clients read it: from the stored status and the rows of the children (compat facts, flows 2.11)."""

from uuid import UUID

import msgspec

from millpond.engine.events import Approved
from millpond.engine.references import Place, ResultOf, ResultsOf
from millpond.engine.status import FlowStatus
from millpond.engine.wire import Child, missing_approvals, wire_status
from millpond.model.flow_status import Cleanup, WireStatus
from millpond.model.jobs import FLOW_KINDS, Job
from millpond.services.flow_runs.inbox import read_event
from millpond.services.flow_runs.library import Library, LoadedRun
from millpond.store import deletions, flow_runs, flow_user_states
from millpond.store import flows as flow_store
from millpond.store.pool import Database, Transaction


class FlowStandings:
    """Describes flows to whoever may see them, which the caller has made sure of. Not an endpoint."""

    def __init__(self, database: Database, library: Library) -> None:
        self._database = database
        self._library = library

    async def of(self, workspace_id: str, job_id: UUID) -> WireStatus | None:
        """Where a flow job stands; None for a job that is no flow."""
        loaded = await self._library.load(workspace_id, job_id)
        if loaded is None:
            return None
        async with self._database.statement() as connection:
            return await self._status(connection, loaded)

    async def described(self, job: Job) -> Job:
        """A flow job with where it stands and what it runs; any other as it is."""
        loaded = await self._library.load(job.workspace_id, job.id) if job.job_kind in FLOW_KINDS else None
        if loaded is None:
            return job
        async with self._database.statement() as connection:
            status = await self._status(connection, loaded)
            raw_flow = await self._definition(connection, loaded)
        missing = missing_approvals(loaded.flow, with_unheard(loaded)) if loaded.stored.is_live else None
        return msgspec.structs.replace(
            job,
            flow_status=status,
            raw_flow=raw_flow,
            args=job.args if job.args is msgspec.UNSET else msgspec.Raw(loaded.stored.args.encode()),
            suspend=missing,
            suspend_until=None if missing is None else loaded.stored.wake_at,
            preprocessed=True if loaded.stored.args != loaded.job.args else None,
        )

    async def _definition(
        self, connection: Transaction, loaded: LoadedRun
    ) -> msgspec.Raw | msgspec.UnsetType:
        job = loaded.job
        if job.flow_version is None:
            return msgspec.UNSET if job.raw_flow is None else msgspec.Raw(job.raw_flow.encode())
        value = await flow_store.get_version_value(connection, job.workspace_id, job.flow_version)
        return msgspec.UNSET if value is None else msgspec.Raw(value.encode())

    async def _status(self, connection: Transaction, loaded: LoadedRun) -> WireStatus:
        job, standing = loaded.job, with_unheard(loaded)
        children: dict[Place, Child] = {}
        for origin in [None, *_origins(loaded.status)]:
            for row in await flow_runs.list_children(connection, job.workspace_id, origin or job.id):
                place = Place(row.step_place, row.step_attempt, row.step_index, origin)
                success = None if row.status is None else row.status in ("success", "skipped")
                children[place] = Child(row.id, row.started_at, row.duration_ms, success)
        status = wire_status(loaded.flow, standing, job.id, children)
        states = await flow_user_states.list_values(connection, job.workspace_id, job.id)
        to_clean = [] if job.is_step else await deletions.to_clean(connection, job.workspace_id, job.id)
        return msgspec.structs.replace(
            status,
            user_states={key: msgspec.Raw(value.encode()) for key, value in states.items()} or msgspec.UNSET,
            cleanup_module=Cleanup(to_clean or msgspec.UNSET),
        )


def with_unheard(loaded: LoadedRun) -> FlowStatus:
    """Where the flow stands, with the approvals its next turn will hear of."""
    events = [read_event(text) for text in loaded.stored.messages]
    given = tuple(event.approval for event in events if isinstance(event, Approved))
    return msgspec.structs.replace(loaded.status, approvals=(*loaded.status.approvals, *given))


def _origins(status: FlowStatus) -> list[UUID]:
    """The earlier runs whose steps this one goes on from."""
    origins: dict[UUID, None] = {}
    for module in status.modules:
        places: list[UUID | None] = []
        match module.result:
            case ResultOf(place):
                places = [place.origin]
            case ResultsOf(_, spans):
                places = [span.origin for span in spans]
        if module.iterations is not None:
            places += [span.origin for span in module.iterations.inherited]
        origins |= {origin: None for origin in places if origin is not None}
    return list(origins)
