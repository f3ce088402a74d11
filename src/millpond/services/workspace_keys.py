"""The keys of workspaces, unwrapped in memory: what seals and opens their secrets."""

from millpond.base.clock import Clock, SystemClock
from millpond.base.errors import NotFound, SecretUnreadable
from millpond.base.sealing import MasterKey, SealBroken
from millpond.store import workspaces as store
from millpond.store.pool import Database

TTL_SECS = 1.0
MAX_KEPT = 1000


class WorkspaceKeys:
    """Hands out workspace keys, kept in memory for a second: a key another server rotates is soon seen here.

    A rotation must keep writers of secrets out by itself: for that second the old key may still seal.
    """

    def __init__(self, database: Database, master_key: MasterKey, clock: Clock | None = None) -> None:
        self._database = database
        self._master_key = master_key
        self._clock = clock or SystemClock()
        self._kept: dict[str, tuple[float, bytes]] = {}

    async def key_of(self, workspace_id: str) -> bytes:
        """The key of a workspace. Raises NotFound, SecretUnreadable when another master key wrapped it."""
        kept = self._kept.get(workspace_id)
        if kept is not None and kept[0] > self._clock.monotonic():
            return kept[1]
        async with self._database.statement() as connection:
            wrapped = await store.get_sealed_key(connection, workspace_id)
        if wrapped is None:
            raise NotFound(f"No workspace {workspace_id}")
        key = self._unwrap(workspace_id, wrapped)
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()
        self._kept[workspace_id] = (self._clock.monotonic() + TTL_SECS, key)
        return key

    def forget(self, workspace_id: str) -> None:
        """Called when the key was rotated here."""
        self._kept.pop(workspace_id, None)

    def _unwrap(self, workspace_id: str, wrapped: bytes) -> bytes:
        try:
            return self._master_key.unwrap(workspace_id, wrapped)
        except SealBroken as error:
            raise SecretUnreadable(
                f"The secrets of workspace {workspace_id} cannot be opened: {error}; "
                "start the server with the right MILLPOND_MASTER_KEY"
            ) from None
