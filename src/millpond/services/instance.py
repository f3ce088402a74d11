"""The instance as a whole: its master key against its database, and what the first start creates."""

from contextlib import suppress
from pathlib import Path

from millpond.base.errors import Conflict, StartupRefused
from millpond.base.log import get_logger
from millpond.base.sealing import MasterKey, read_master_key, write_master_key
from millpond.base.settings import Settings
from millpond.model.actors import Account
from millpond.model.workspaces import NewWorkspace
from millpond.services.accounts import Accounts
from millpond.services.workspaces import Workspaces
from millpond.store import instance as store
from millpond.store.pool import Database

log = get_logger()

FIRST_WORKSPACE = "main"
FIRST_EMAIL = "admin@localhost"
FIRST_USERNAME = "admin"
KEY_FILE = "master.key"

OPERATOR = Account(email=FIRST_EMAIL, username=FIRST_USERNAME, is_superadmin=True)
"""Whoever starts the instance on its own machine."""


async def open_master_key(settings: Settings, database: Database, *, create: bool) -> MasterKey:
    """The master key, checked against the fingerprint the database keeps.

    `create` makes one for a database that has none yet. Raises StartupRefused for a wrong key, and for a missing one over
    data that was sealed: a new key would make every secret unreadable.
    """
    path = settings.data_dir / KEY_FILE
    key = MasterKey.from_hex(settings.master_key) if settings.master_key else read_master_key(path)
    async with database.transaction() as transaction:
        known = await store.lock_fingerprint(transaction)
        if known is not None:
            return _checked(key, known, path)
        if not create:
            raise StartupRefused(
                "The instance was never prepared: run 'millpond serve' or 'millpond migrate' once"
            )
        if key is None:
            key = _create_key(path)
        await store.record_fingerprint(transaction, key.fingerprint())
    return key


async def prepare(accounts: Accounts, workspaces: Workspaces, database: Database) -> bool:
    """What the first start creates: the superadmin and the first workspace. False when that was done before.

    A start that died half-way is completed by the next one.
    """
    await store.ensure_partitions(database)
    await accounts.ensure_superadmin(FIRST_EMAIL, FIRST_USERNAME)
    async with database.statement() as connection:
        if await store.is_prepared(connection):
            return False
    # A conflict: another server starts at the same moment, or one died before it could record that it was done.
    with suppress(Conflict):
        await workspaces.create(
            OPERATOR, NewWorkspace(id=FIRST_WORKSPACE, name=FIRST_WORKSPACE, username=FIRST_USERNAME)
        )
    async with database.statement() as connection:
        await store.record_prepared(connection)
    log.info("instance_prepared", workspace=FIRST_WORKSPACE, superadmin=FIRST_EMAIL)
    return True


def _create_key(path: Path) -> MasterKey:
    key = MasterKey.generate()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_master_key(path, key)
    except OSError as error:
        raise StartupRefused(f"The new master key cannot be kept in {path}: {error}") from None
    log.info("master_key_created", path=str(path))
    return key


def _checked(key: MasterKey | None, known: str, path: Path) -> MasterKey:
    if key is None:
        raise StartupRefused(
            f"The master key is missing: this database was sealed with one, but neither {path} nor "
            "MILLPOND_MASTER_KEY holds it. "
            "Restore the file from your backup; a new key would make every secret unreadable"
        )
    if key.fingerprint() != known:
        raise StartupRefused(
            f"The master key is not the one this database was sealed with (looked at MILLPOND_MASTER_KEY, then {path}). "
            "Restore the right key; nothing was changed"
        )
    return key
