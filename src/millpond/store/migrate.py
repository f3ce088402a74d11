"""Applies and verifies the numbered migrations of `store/migrations/`, forward only."""

import re
from dataclasses import dataclass
from importlib.resources import files

from millpond.base.errors import StartupRefused
from millpond.base.log import get_logger
from millpond.store.pool import Database, Transaction
from millpond.store.queries import load

log = get_logger()

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")
_SQL = load("migrations")
_LOCK_KEY = 0x4D494C4C  # "MILL": one number for all who migrate


@dataclass(frozen=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    script: str


def available() -> list[Migration]:
    """The migrations this version carries, in order; raises ValueError when a number is missing or given twice."""
    found = [
        Migration(int(match[1]), match[2], entry.read_text(encoding="utf-8"))
        for entry in files(__package__).joinpath("migrations").iterdir()
        if (match := _FILE.fullmatch(entry.name))
    ]
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError("the migrations are not numbered 1, 2, 3, …")
    return found


async def migrate(database: Database) -> list[Migration]:
    """Apply what is missing, each migration with its record in one transaction; returns what was applied.

    Two processes that migrate at once take turns under an advisory lock. Raises StartupRefused on a schema newer than
    this version.
    """
    applied = []
    for migration in available():
        async with database.transaction() as transaction:
            await transaction.execute(_SQL["set_lock_timeout"])
            await transaction.execute(_SQL["lock"], _LOCK_KEY)
            await transaction.execute(_SQL["create_table"])
            known = await _known(transaction)
            _refuse_newer(known)
            if migration.number in known:
                continue
            await transaction.run_script(migration.script)
            await transaction.execute(_SQL["record"], migration.number, migration.name)
            log.info("migration_applied", number=migration.number, name=migration.name)
            applied.append(migration)
    return applied


async def verify(database: Database) -> None:
    """Check that the schema is exactly this version's; raises StartupRefused saying what to do when it is not."""
    async with database.statement() as connection:
        if await connection.fetch_value(_SQL["table_exists"]) is None:
            raise StartupRefused("The database holds no Millpond schema yet: run 'millpond migrate'")
        known = await _known(connection)
    _refuse_newer(known)
    missing = [migration for migration in available() if migration.number not in known]
    if missing:
        raise StartupRefused(
            f"The database lacks {len(missing)} migration(s), the first is {missing[0].number:04}_{missing[0].name}: "
            "run 'millpond migrate'"
        )


async def _known(transaction: Transaction) -> set[int]:
    return {row["number"] for row in await transaction.fetch(_SQL["list"])}


def _refuse_newer(known: set[int]) -> None:
    newest = max((migration.number for migration in available()), default=0)
    if known and max(known) > newest:
        raise StartupRefused(
            f"The database has migration {max(known)}, this version of Millpond knows {newest}: "
            "it was used by a newer version; upgrade Millpond, or restore a backup made before"
        )
