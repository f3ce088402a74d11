"""The dependencies of code inside deployed flows, as the job that resolves them sees them.

No actor asks: the job was pushed by one who may deploy, and only workers call this.
"""

from millpond.base.errors import NotFound
from millpond.model.flow_documents import StepToLock
from millpond.model.flow_locks import steps_to_lock
from millpond.model.flow_validation import read_flow
from millpond.store import flows as store
from millpond.store.pool import Database


class FlowLocks:
    """Use cases of workers on the locks of a version. Not an endpoint."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def steps_to_lock(self, workspace_id: str, version_id: int) -> list[StepToLock]:
        """Code whose language has locks and that has none. Raises NotFound when the version was deleted since.

        How resolving it ended is told to `store.flows.record_locks`, in the transaction that completes the job.
        """
        async with self._database.statement() as connection:
            value = await store.get_version_value(connection, workspace_id, version_id)
        if value is None:
            raise NotFound(f"Flow version {version_id} was deleted")
        return steps_to_lock(read_flow(value))
