"""What a worker asks about the directories it keeps for flows. Their contents never pass through here."""

from collections.abc import Iterable
from uuid import UUID

from millpond.base.errors import NotFound
from millpond.store import shared_directories as store
from millpond.store.pool import Database
from millpond.store.shared_directories import FlowKey, Hold, SharingFlow


class SharingFlows:
    """The flows whose steps share a directory. Not an endpoint: only workers call it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def flow_of(self, workspace_id: str, flow_job: UUID) -> SharingFlow:
        """Whose directory the steps of this flow job share, and how it is kept.

        A flow job with `same_worker` shares the directory of the flow it is a step of; the outermost one reached
        that way is who the directory belongs to. Raises NotFound when the flow job was deleted.
        """
        async with self._database.statement() as connection:
            flow = await store.flow_of(connection, workspace_id, flow_job)
        if flow is None:
            raise NotFound(f"Flow job '{flow_job}' was deleted")
        return flow

    async def hold(self, flow: FlowKey, pin: str) -> Hold:
        """Have a worker hold the directory of a flow, unless one holds it already."""
        async with self._database.statement() as connection:
            return await store.hold(connection, flow, pin)

    async def let_go(self, flow: FlowKey, pin: str) -> None:
        """A worker has removed the directory of a flow that has ended."""
        async with self._database.statement() as connection:
            await store.let_go(connection, flow, pin)

    async def list_kept(self, flows: Iterable[FlowKey]) -> set[FlowKey]:
        """Those of some flows whose directories must stay: they go on, or ended less than `retain_secs` ago."""
        async with self._database.statement() as connection:
            return await store.list_kept(connection, flows)
