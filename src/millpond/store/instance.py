"""Queries on the instance itself: the master key's fingerprint, and the partitions of the job tables."""

from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

from millpond.base.errors import MillpondError
from millpond.base.log import get_logger
from millpond.store.pool import Database, Transaction
from millpond.store.queries import load

log = get_logger()

_SQL = load("instance")

PARTITIONED = (
    *("job", "job_completed", "job_log"),
    *("flow_status", "flow_item", "flow_approval", "flow_user_state"),
)
WEEK = timedelta(days=7)
WEEKS_AHEAD = 4


async def lock_fingerprint(transaction: Transaction) -> str | None:
    """The recorded fingerprint, None in a new database; others who ask wait until the transaction ends."""
    await transaction.execute(_SQL["lock_settings"])
    return cast("str | None", await transaction.fetch_value(_SQL["get_fingerprint"]))


async def record_fingerprint(transaction: Transaction, fingerprint: str) -> None:
    """Keep the fingerprint of the key the database is sealed with."""
    await transaction.execute(_SQL["record_fingerprint"], fingerprint)


async def is_prepared(transaction: Transaction) -> bool:
    """Whether the first start came to its end."""
    return bool(await transaction.fetch_value(_SQL["is_prepared"]))


async def record_prepared(transaction: Transaction) -> None:
    """The first start has made all there is to make."""
    await transaction.execute(_SQL["record_prepared"])


async def ensure_partitions(database: Database, now: datetime | None = None) -> int:
    """Make the weekly partitions of the job tables from this week on; the number made.

    A week whose rows already lie in the default partition is left there, and said so in the log.
    """
    async with database.statement() as connection:
        existing = {
            row["relname"] for row in await connection.fetch(_SQL["list_partitions"], list(PARTITIONED))
        }
    made = 0
    for week in _weeks(now or datetime.now(UTC)):
        for parent in PARTITIONED:
            name = f"{parent}_{week:%Y%m%d}"
            if name in existing:
                continue
            try:
                async with database.transaction() as transaction:
                    # IF NOT EXISTS alone fails when two servers start at once: each must see what the other made.
                    await transaction.execute(_SQL["lock_settings"])
                    statement = await transaction.fetch_value(
                        _SQL["partition_statement"], name, parent, _first_id(week), _first_id(week + WEEK)
                    )
                    await transaction.run_script(cast("str", statement))
                made += 1
            except MillpondError as error:
                log.warning("partition_not_made", partition=name, error=error.message)
    return made


def _weeks(now: datetime) -> list[datetime]:
    monday = (now - timedelta(days=now.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    return [monday + WEEK * ahead for ahead in range(WEEKS_AHEAD + 1)]


def _first_id(instant: datetime) -> UUID:
    """The least UUID of version 7 made at an instant."""
    return UUID(int=int(instant.timestamp() * 1000) << 80)
