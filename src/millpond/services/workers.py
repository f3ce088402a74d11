"""The workers as users see them."""

from millpond.model.actors import Account
from millpond.services.authorization import authorize_account
from millpond.store import queue as store
from millpond.store.pool import Database
from millpond.store.queue import WorkerRow


class Workers:
    """Use cases on workers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_workers(self, account: Account, ping_since_secs: int) -> list[WorkerRow]:
        """Workers that pinged within so many seconds."""
        authorize_account(account, "workers", "read")
        async with self._database.statement() as connection:
            return await store.list_workers(connection, ping_since_secs)
