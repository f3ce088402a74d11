"""Jobs that only one worker may take do not wait for ever for one that is gone."""

from millpond.base.clock import Clock, SystemClock
from millpond.base.log import get_logger
from millpond.store import pinned_jobs as store
from millpond.store.pool import Database

log = get_logger()

GONE_SECS = 60.0
"""How long a worker may be away, restarting say, before others take over its flows."""


class PinnedJobs:
    """Moves what is pinned to workers that are gone. Not an endpoint: the scheduler calls it.

    The worker that takes a flow over does not have its shared directory, and says so in the name of the next step
    that needs it (`SharedDirectoryLost`); steps that need none, and flows that never made one, go on. A snapshot,
    once there are some, would be restored there too.
    """

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database = database
        self._clock = clock or SystemClock()
        self._missing_since: dict[str, float] = {}

    async def move_lost(self) -> int:
        """Move the jobs of workers that have been missing for `GONE_SECS`, as this object has seen; how many moved.

        When they went is not in the database: a worker that leaves in order takes its row with it. A new leader
        begins to count anew.
        """
        async with self._database.statement() as connection:
            missing = await store.missing_pins(connection)
        now = self._clock.monotonic()
        self._missing_since = {pin: self._missing_since.get(pin, now) for pin in missing}
        moved = 0
        for pin, since in self._missing_since.items():
            if now - since >= GONE_SECS:
                async with self._database.statement() as connection:
                    jobs = await store.move_pins(connection, pin)
                if jobs:
                    log.warning("pinned_jobs_moved", pin=pin, jobs=jobs)
                moved += jobs
        return moved
