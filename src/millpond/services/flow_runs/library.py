"""What flow jobs run: definitions by version, by test, or from the flow around them; each read once."""

from collections import OrderedDict
from uuid import UUID

import msgspec

from millpond.base.errors import NotFound
from millpond.engine.definition import body_of, runnable
from millpond.engine.status import FlowStatus, initial_status
from millpond.model.flow_runs import FlowJob, StoredRun
from millpond.model.flow_validation import read_flow
from millpond.model.flows import FlowValue
from millpond.store import flow_runs as store
from millpond.store import flows as flow_store
from millpond.store.pool import Database

MOST_DEFINITIONS = 500

_STATUS = msgspec.json.Decoder(FlowStatus)


class LoadedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A flow job, what it runs (as `engine.definition.runnable`), and where it stood.

    `items` are what its loops go over, by step and attempt, as far as they are known here.
    """

    stored: StoredRun
    flow: FlowValue
    status: FlowStatus
    items: dict[tuple[str, int], tuple[msgspec.Raw, ...]] = {}

    @property
    def job(self) -> FlowJob:
        return self.stored.job


class Library:
    """Loads flow jobs with their definitions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._definitions: OrderedDict[tuple[str, int | UUID], FlowValue] = OrderedDict()

    async def load(self, workspace_id: str, job_id: UUID) -> LoadedRun | None:
        """A flow job as it stands; None when there is none. Raises NotFound, InvalidInput for its definition."""
        async with self._database.statement() as connection:
            stored = await store.get_run(connection, workspace_id, job_id)
        if stored is None:
            return None
        flow = await self.definition_of(stored.job)
        return LoadedRun(stored=stored, flow=flow, status=status_of(stored, flow))

    async def definition_of(self, job: FlowJob) -> FlowValue:
        """What a flow job runs. Raises NotFound when the version, or the flow around it, was deleted."""
        if job.flow_version is not None:
            return await self.version(job.workspace_id, job.flow_version)
        known = self._known((job.workspace_id, job.id))
        if known is not None:
            return known
        return self._keep((job.workspace_id, job.id), await self._read(job))

    def body(self, outer: FlowValue, job: FlowJob) -> FlowValue:
        """What a loop's body or a branch runs, from the definition around it."""
        assert job.step_place is not None
        body = body_of(outer, job.step_place, branch=job.flow_branch, index=job.step_index)
        return runnable(body)

    async def version(self, workspace_id: str, version_id: int) -> FlowValue:
        """A deployed version. Raises NotFound when it was deleted."""
        known = self._known((workspace_id, version_id))
        if known is not None:
            return known
        async with self._database.statement() as connection:
            stored = await flow_store.get_settled_value(connection, workspace_id, version_id)
        if stored is None:
            raise NotFound(f"Flow version {version_id} was deleted")
        flow = runnable(read_flow(stored.value))
        return self._keep((workspace_id, version_id), flow) if stored.is_settled else flow

    async def deployed_around(self, job: FlowJob) -> tuple[FlowJob, FlowValue]:
        """The innermost flow job that is no body of a loop or branch of another, and what it runs."""
        while job.flow_version is None and job.raw_flow is None:
            job = await self._parent(job)
        return job, await self.definition_of(job)

    async def _read(self, job: FlowJob) -> FlowValue:
        if job.raw_flow is not None:
            return runnable(read_flow(job.raw_flow))
        return self.body(await self._around(job), job)

    async def _around(self, job: FlowJob) -> FlowValue:
        return await self.definition_of(await self._parent(job))

    async def _parent(self, job: FlowJob) -> FlowJob:
        if job.parent_job is None:
            raise NotFound(f"Flow job {job.id} has lost its definition")
        async with self._database.statement() as connection:
            parent = await store.get_run(connection, job.workspace_id, job.parent_job)
        if parent is None:
            raise NotFound(f"Flow job {job.parent_job}, around {job.id}, was deleted")
        return parent.job

    def _known(self, key: tuple[str, int | UUID]) -> FlowValue | None:
        known = self._definitions.get(key)
        if known is not None:
            self._definitions.move_to_end(key)
        return known

    def _keep(self, key: tuple[str, int | UUID], flow: FlowValue) -> FlowValue:
        self._definitions[key] = flow
        if len(self._definitions) > MOST_DEFINITIONS:
            self._definitions.popitem(last=False)
        return flow


def status_of(stored: StoredRun, flow: FlowValue) -> FlowStatus:
    """Where the run stands, by the engine's own words."""
    if stored.status is not None:
        return _STATUS.decode(stored.status)
    preprocess = stored.job.entrypoint == "preprocessor" and flow.preprocessor_module is not None
    return initial_status(len(flow.modules), preprocess=preprocess)
