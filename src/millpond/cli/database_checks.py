"""The checks of `millpond doctor` on the database: reaching it, its schema, the master key, the workers."""

import asyncio
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from millpond.base.sealing import MasterKey, read_master_key
from millpond.base.settings import Settings
from millpond.cli.database import database_url
from millpond.cli.findings import Finding, failure, guarded, guarded_async
from millpond.services.instance import KEY_FILE, OPERATOR, open_master_key
from millpond.services.queue import LEASE_SECS
from millpond.services.workers import Workers
from millpond.store.diagnosis import server_version
from millpond.store.embedded.binaries import MAJOR_VERSION, find_binaries
from millpond.store.embedded.layout import Layout
from millpond.store.embedded.running import running_url
from millpond.store.migrate import available, verify
from millpond.store.pool import Database

WORKER_SILENCE = timedelta(seconds=LEASE_SECS)


def check_database(settings: Settings, *, server_answers: bool) -> list[Finding]:
    """Everything that is to be known of the database, without preparing one that is not."""
    findings = [] if settings.database_url else guarded("postgresql", _check_binaries)
    findings += guarded("master key", lambda: _check_key_file(settings))
    if _is_new(settings):
        return [*findings, Finding("ok", "database", "none yet: 'millpond serve' makes it")]
    return findings + guarded("database", lambda: _check_existing(settings, server_answers=server_answers))


def _check_binaries() -> list[Finding]:
    find_binaries()
    return [Finding("ok", "postgresql", f"embedded PostgreSQL {MAJOR_VERSION} is installed")]


def _check_key_file(settings: Settings) -> list[Finding]:
    """Whether a key can be read; whether it is the right one, the database knows."""
    if settings.master_key:
        MasterKey.from_hex(settings.master_key)
        return [Finding("ok", "master key", "from MILLPOND_MASTER_KEY")]
    path = settings.data_dir.resolve() / KEY_FILE
    if read_master_key(path) is None:
        if _is_new(settings):
            return [Finding("ok", "master key", f"none in {path} yet: the first start makes one")]
        text = f"neither in {path} nor in MILLPOND_MASTER_KEY: a database that was in use opens only with its key"
        return [Finding("warn", "master key", text)]
    if stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO):
        return [Finding("warn", "master key", f"{path} is open to other users of this machine: chmod 600 it")]
    return [Finding("ok", "master key", f"from {path}")]


def _is_new(settings: Settings) -> bool:
    return settings.database_url is None and not Layout(settings.data_dir.resolve()).cluster.exists()


def _check_existing(settings: Settings, *, server_answers: bool) -> list[Finding]:
    with _reached(settings) as (url, where):
        return asyncio.run(_examine(settings, url, where, server_answers=server_answers))


@contextmanager
def _reached(settings: Settings) -> Iterator[tuple[str, str]]:
    """The URL of the database, and how it came to be running; the URL holds a password and is never shown."""
    if settings.database_url:
        where = "DATABASE_URL"
    else:
        where = "embedded, running" if running_url(settings.data_dir) else "embedded, started for this check"
    with database_url(settings) as url:
        yield url, where


async def _examine(settings: Settings, url: str, where: str, *, server_answers: bool) -> list[Finding]:
    try:
        database = await Database.connect(url, connections=2, application="millpond doctor")
    except ValueError:
        # What is wrong with it is not repeated: parts of a URL that cannot be read may be parts of a password.
        return [
            Finding(
                "fail",
                "database",
                f"{where} is no URL of a PostgreSQL: postgresql://user:password@host:port/name",
            )
        ]
    except Exception as error:  # noqa: BLE001  # the door of a check: the others must still speak
        return [failure("database", error)]
    try:
        findings = await guarded_async("database", lambda: _check_version(database, where))
        schema = await guarded_async("schema", lambda: _check_schema(database))
        findings += schema
        if any(finding.status == "fail" for finding in schema):
            return [*findings, Finding("warn", "master key", "not compared, as the schema does not fit")]
        findings += await guarded_async("master key", lambda: _check_key(settings, database))
        return findings + await guarded_async(
            "workers", lambda: _check_workers(database, server_answers=server_answers)
        )
    finally:
        await database.aclose()


async def _check_version(database: Database, where: str) -> list[Finding]:
    async with database.statement() as connection:
        return [Finding("ok", "database", f"PostgreSQL {await server_version(connection)} ({where})")]


async def _check_schema(database: Database) -> list[Finding]:
    await verify(database)
    return [Finding("ok", "schema", f"migration {available()[-1].number}, this version's")]


async def _check_key(settings: Settings, database: Database) -> list[Finding]:
    await open_master_key(settings, database, create=False)
    return [Finding("ok", "master key", "the one this database was sealed with")]


async def _check_workers(database: Database, *, server_answers: bool) -> list[Finding]:
    alive = await Workers(database).list_workers(OPERATOR, round(WORKER_SILENCE.total_seconds()))
    if not alive and server_answers:
        return [Finding("fail", "workers", "none is alive: jobs wait until 'millpond worker' runs")]
    if not alive:
        return [Finding("warn", "workers", "none is alive")]
    return [
        Finding(
            "warn" if worker.sandbox == "none" else "ok",
            "workers",
            f"{worker.name} on {worker.host}: {worker.slots} slots, {worker.jobs_done} jobs done, "
            f"sandbox {worker.sandbox}{', draining' if worker.draining else ''}",
        )
        for worker in alive
    ]
