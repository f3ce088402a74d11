"""Finds flows of a tree to look at: as the turn being worked out has them, else as they are stored."""

from uuid import UUID

from millpond.engine.references import Place
from millpond.services.flow_runs.library import Library, LoadedRun
from millpond.services.flow_runs.run import Run
from millpond.store import flow_runs as store
from millpond.store.pool import Database


class Finder:
    """Flows by job, and by their place in the flow around; `runs` of the turn come first.

    `known` are remembered from earlier turns, and added to: good for flows the turn stores, which is when their version is
    compared, and for no others.
    """

    def __init__(
        self,
        database: Database,
        library: Library,
        workspace_id: str,
        known: dict[UUID, LoadedRun],
        runs: dict[UUID, Run],
    ) -> None:
        self._database = database
        self._library = library
        self._workspace_id = workspace_id
        self._known = known
        self._runs = runs
        self._seen: dict[UUID, LoadedRun] = {}

    async def load(self, flow_job: UUID) -> LoadedRun | None:
        """A flow that the turn is to store, as it is or was when it was last looked at."""
        known = self._known.get(flow_job)
        if known is None:
            known = await self._library.load(self._workspace_id, flow_job)
            if known is not None:
                self._known[flow_job] = known
        return known

    async def find(self, flow_job: UUID) -> Run | None:
        """A flow to look at, by its job; None when there is none."""
        run = self._runs.get(flow_job)
        if run is not None:
            return run
        seen = self._seen.get(flow_job)
        if seen is None:
            seen = await self._library.load(self._workspace_id, flow_job)
            if seen is None:
                return None
            self._seen[flow_job] = seen
        return Run.of(seen)

    async def child_at(self, run: Run, place: Place) -> Run | None:
        """The flow at a place of another; None when no flow was started there."""
        for other in self._runs.values():
            if other.job.parent_job == run.id and other.job.is_step and other.own_place == place:
                return other
        async with self._database.statement() as connection:
            found = await store.get_child(
                connection,
                self._workspace_id,
                place.origin or run.id,
                place.module,
                place.attempt,
                place.index,
            )
        return None if found is None else await self.find(found.id)
