"""Looking at flows while they run and after: `flow_status`, results of steps, the jobs of a tree (compat facts, flows 1.7,
2.11 and 3.4)."""

from uuid import UUID

import msgspec

from millpond.base.errors import NotFound
from millpond.model.actors import Actor
from millpond.model.flow_status import WireStatus
from millpond.model.jobs import FLOW_KINDS, Job
from millpond.services.authorization import authorize
from millpond.services.flow_runs.finder import Finder
from millpond.services.flow_runs.library import Library
from millpond.services.flow_runs.names import Names
from millpond.services.flow_runs.run import Run
from millpond.services.flow_runs.scope import flow_env_value
from millpond.services.flow_runs.standings import FlowStandings
from millpond.services.flow_runs.values import Values
from millpond.services.interpolation import Interpolation
from millpond.services.job_access import require_read_job
from millpond.services.json_paths import value_at
from millpond.store import flow_runs
from millpond.store import jobs as job_store
from millpond.store.pool import Database

MOST_JOBS = 10_000
ROOT = "flow"


class FlowViews:
    """Use cases that look at flows."""

    def __init__(self, database: Database, library: Library, interpolation: Interpolation) -> None:
        self._database = database
        self._library = library
        self._standings = FlowStandings(database, library)
        self._interpolation = interpolation

    async def described(self, actor: Actor, job: Job) -> Job:
        """A flow job with where it stands and what it runs; any other as it is. Raises NotFound, PermissionDenied."""
        authorize(actor, "jobs", "read", str(job.id))
        if job.job_kind not in FLOW_KINDS:
            return job
        async with self._database.statement() as connection:
            await require_read_job(connection, actor, job.id)
        return await self._standings.described(job)

    async def status(self, actor: Actor, job_id: UUID) -> WireStatus | None:
        """Where a flow job stands; None for a job that is no flow. Raises NotFound, PermissionDenied."""
        authorize(actor, "jobs", "read", str(job_id))
        async with self._database.statement() as connection:
            line = await require_read_job(connection, actor, job_id)
        if line[0].kind not in FLOW_KINDS:
            return None
        return await self._standings.of(actor.workspace_id, job_id)

    async def result_by_id(
        self, actor: Actor, flow_job: UUID, step_id: str, json_path: str | None = None
    ) -> str:
        """What `results.<step_id>` means in a flow, JSON text; `json_path` (`a.b[0]`) picks a part of it.

        Raises NotFound for an unknown flow, and for a step that has not ended.
        """
        authorize(actor, "jobs", "read", str(flow_job))
        run, finder = await self._readable(actor, flow_job)
        found = await Names(finder.find, finder.child_at).find(run, step_id)
        if found is None:
            raise NotFound(
                f"Flow result by id not found at name {step_id}: the step has not ended, or is none"
            )
        values = Values(self._database, actor.workspace_id, {})
        text = await values.text_of(found.reference, found.run)
        return value_at(text, json_path) if json_path else text

    async def flow_env(self, actor: Actor, flow_job: UUID, name: str, json_path: str | None = None) -> str:
        """A value of `flow_env`, references resolved with the actor's rights; null when there is none. Raises NotFound."""
        authorize(actor, "jobs", "read", str(flow_job))
        run, _ = await self._readable(actor, flow_job)
        value = await flow_env_value(self._library, run.job, run.flow, name)
        text = "null" if value is None else bytes(value).decode()
        resolved = await self._interpolation.args(actor, f'{{"value":{text}}}')
        text = bytes(msgspec.json.decode(resolved.args, type=dict[str, msgspec.Raw])["value"]).decode()
        return value_at(text, json_path) if json_path else text

    async def debug_info(self, actor: Actor, flow_job: UUID) -> dict[str, Job]:
        """The latest job of each step of a flow and of the flows below it, of up to 10,000 jobs; the flow itself as `flow`.

        Raises NotFound, PermissionDenied.
        """
        authorize(actor, "jobs", "read", str(flow_job))
        await self._readable(actor, flow_job)
        found: dict[UUID, Job] = {}
        left = [flow_job]
        async with self._database.statement() as connection:
            while left and len(found) < MOST_JOBS:
                job = await job_store.get_job(connection, actor.workspace_id, left.pop())
                if job is None:
                    continue
                found[job.id] = job
                if job.job_kind in FLOW_KINDS:
                    rows = await flow_runs.list_children(connection, actor.workspace_id, job.id)
                    left.extend(row.id for row in rows)
        ordered = sorted(found.values(), key=lambda job: job.id)
        return {job.flow_step_id or ROOT: await self.described(actor, job) for job in ordered}

    async def all_logs(self, actor: Actor, flow_job: UUID) -> str:
        """What a flow's steps printed, at any depth, in the order they were started. Raises NotFound, PermissionDenied."""
        authorize(actor, "jobs", "read", str(flow_job))
        await self._readable(actor, flow_job)
        async with self._database.statement() as connection:
            return await job_store.read_tree_logs(connection, actor.workspace_id, flow_job, MOST_JOBS)

    async def _readable(self, actor: Actor, flow_job: UUID) -> tuple[Run, Finder]:
        async with self._database.statement() as connection:
            await require_read_job(connection, actor, flow_job)
        finder = Finder(self._database, self._library, actor.workspace_id, {}, {})
        run = await finder.find(flow_job)
        if run is None:
            raise NotFound(f"Job {flow_job} is no flow")
        return run, finder
