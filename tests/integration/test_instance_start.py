"""Starting an instance: what the first start makes, what the second leaves alone, and which master keys are refused."""

import asyncio
import stat
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import asyncpg
import httpx
import pytest

from millpond.app import build_server, build_services, open_instance
from millpond.base.errors import StartupRefused
from millpond.base.sealing import MasterKey
from millpond.base.settings import Settings
from millpond.store.pool import Database
from tests.conftest import SUPERADMIN_SECRET
from tests.postgres import create_database, drop_database

EMPTY = "millpond_start"
KEPT = (
    "account",
    "workspace",
    "workspace_user",
    "workspace_group",
    "instance_setting",
    "token",
    "login_link",
)
"""Tables whose rows a start may make."""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", superadmin_secret=SUPERADMIN_SECRET)


def _key_file(settings: Settings) -> Path:
    return settings.data_dir / "master.key"


async def _rows(url: str) -> dict[str, Sequence[str]]:
    """Every row of the kept tables, as text."""
    connection = await asyncpg.connect(url)
    try:
        return {
            table: [row[0] for row in await connection.fetch(f"SELECT t::text FROM {table} t ORDER BY 1")]
            for table in KEPT
        }
    finally:
        await connection.close()


async def test_the_first_start_makes_the_key_the_superadmin_and_the_workspace(
    settings: Settings, database: Database, database_url: str
) -> None:
    key = await open_instance(settings, database, create=True)
    assert MasterKey.from_hex(_key_file(settings).read_text()).fingerprint() == key.fingerprint()
    assert stat.S_IMODE(_key_file(settings).stat().st_mode) == 0o600

    app = build_server(settings, database, build_services(settings, database, key))
    headers = {"authorization": f"Bearer {SUPERADMIN_SECRET}"}
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers) as client:
        account = (await client.get("/api/users/whoami")).json()
        assert (account["email"], account["super_admin"]) == ("admin@localhost", True)
        assert account["has_password"] is False, "there is no default password"
        listed = (await client.get("/api/workspaces/list")).json()
        assert [(workspace["id"], workspace["owner"]) for workspace in listed] == [
            ("main", "admin@localhost")
        ]
        member = (await client.get("/api/w/main/users/whoami")).json()
        assert (member["username"], member["is_admin"]) == ("admin", True)
        answer = await client.post(
            "/api/w/main/variables/create",
            json={"path": "u/admin/secret", "value": "deep", "is_secret": True, "description": ""},
        )
        assert answer.status_code == 201, "the workspace has a key that opens"
        assert (await client.get("/api/w/main/variables/get_value/u/admin/secret")).json() == "deep"


async def test_the_second_start_makes_nothing(
    settings: Settings, database: Database, database_url: str
) -> None:
    first = await open_instance(settings, database, create=True)
    before, key = await _rows(database_url), _key_file(settings).read_text()
    for create in (True, False):
        again = await open_instance(settings, database, create=create)
        assert again.fingerprint() == first.fingerprint()
    assert await _rows(database_url) == before
    assert _key_file(settings).read_text() == key


async def test_two_first_starts_at_once_make_one_instance(
    settings: Settings, database: Database, database_url: str
) -> None:
    keyed = replace(settings, master_key=MasterKey.generate().hex())
    starts = (open_instance(keyed, database, create=True) for _ in range(2))
    first, second = await asyncio.gather(*starts, return_exceptions=True)
    assert not isinstance(first, BaseException), first
    assert not isinstance(second, BaseException), second
    rows = await _rows(database_url)
    assert len(rows["account"]) == len(rows["workspace"]) == len(rows["workspace_user"]) == 1


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_start_completes_what_one_that_was_killed_began(
    settings: Settings, database: Database, database_url: str
) -> None:
    """The superadmin comes before the workspace: a death between the two must not leave an instance without one."""
    await open_instance(settings, database, create=True)
    complete = await _rows(database_url)
    killed_after_the_superadmin = (
        "DELETE FROM workspace",
        "DELETE FROM instance_setting WHERE name = 'prepared'",
    )
    await _execute(database_url, *killed_after_the_superadmin)
    await open_instance(settings, database, create=True)
    assert {table: len(rows) for table, rows in (await _rows(database_url)).items()} == {
        table: len(rows) for table, rows in complete.items()
    }
    await _execute(database_url, killed_after_the_superadmin[1])  # killed after the workspace
    await open_instance(settings, database, create=True)
    assert len((await _rows(database_url))["workspace"]) == 1


async def test_the_first_workspace_once_deleted_stays_deleted(
    settings: Settings, database: Database, database_url: str
) -> None:
    await open_instance(settings, database, create=True)
    await _execute(database_url, "DELETE FROM workspace")
    await open_instance(settings, database, create=True)
    assert (await _rows(database_url))["workspace"] == []


async def test_the_key_of_the_environment_wins_and_is_written_nowhere(
    settings: Settings, database: Database
) -> None:
    key = MasterKey.generate()
    opened = await open_instance(replace(settings, master_key=key.hex()), database, create=True)
    assert opened.fingerprint() == key.fingerprint()
    assert not _key_file(settings).exists()


def _remove(path: Path) -> None:
    path.unlink()


def _replace_by_another(path: Path) -> None:
    path.write_text(MasterKey.generate().hex())


def _empty(path: Path) -> None:
    path.write_text("")


def _shorten(path: Path) -> None:
    path.write_text(path.read_text()[:32])


def _garble(path: Path) -> None:
    path.write_bytes(b"\xff\xfe no key \x00")


def _make_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_remove, "The master key is missing: .*Restore the file from your backup"),
        (_replace_by_another, "not the one this database was sealed with.*nothing was changed"),
        (_empty, "must be 64 hex digits"),
        (_shorten, "must be 64 hex digits"),
        (_garble, "master.key cannot be read"),
        (_make_a_folder, "master.key cannot be read"),
    ],
)
async def test_a_spoilt_key_file_stops_the_start_and_nothing_changes(
    settings: Settings,
    database: Database,
    database_url: str,
    spoil: Callable[[Path], None],
    message: str,
    create: bool,
) -> None:
    await open_instance(settings, database, create=True)
    before, path = await _rows(database_url), _key_file(settings)
    spoil(path)
    left = path.read_bytes() if path.is_file() else None
    with pytest.raises(StartupRefused, match=message):
        await open_instance(settings, database, create=create)
    assert await _rows(database_url) == before
    assert (path.read_bytes() if path.is_file() else None) == left, "no new key took the place of the old one"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("cd" * 32, "not the one this database was sealed with"),
        ("no key", "must be 64 hex digits.*see MILLPOND_MASTER_KEY"),
        ("ab" * 31, "must be 64 hex digits"),
        ("é" * 64, "must be 64 hex digits"),
    ],
)
async def test_a_wrong_key_in_the_environment_stops_the_start(
    settings: Settings, database: Database, database_url: str, given: str, message: str
) -> None:
    await open_instance(settings, database, create=True)
    before = await _rows(database_url)
    with pytest.raises(StartupRefused, match=message) as caught:
        await open_instance(replace(settings, master_key=given), database, create=True)
    assert given not in caught.value.message, "a key is a secret, even a wrong one"
    assert await _rows(database_url) == before


async def test_a_garbled_key_makes_nothing_of_a_new_database(
    settings: Settings, database: Database, database_url: str
) -> None:
    before = await _rows(database_url)
    with pytest.raises(StartupRefused, match="must be 64 hex digits"):
        await open_instance(replace(settings, master_key="no key"), database, create=True)
    assert await _rows(database_url) == before


async def test_a_key_file_that_cannot_be_written_leaves_the_database_without_a_key(
    settings: Settings, database: Database, database_url: str
) -> None:
    """The fingerprint is recorded only with the key on disk: otherwise no start would ever succeed again."""
    settings.data_dir.parent.mkdir(exist_ok=True)
    settings.data_dir.write_text("a file where the folder belongs")
    before = await _rows(database_url)
    with pytest.raises(StartupRefused, match="cannot be"):
        await open_instance(settings, database, create=True)
    assert await _rows(database_url) == before
    settings.data_dir.unlink()
    await open_instance(settings, database, create=True)


async def test_a_new_key_that_cannot_be_kept_stops_the_start(
    settings: Settings, database: Database, database_url: str
) -> None:
    settings.data_dir.mkdir()
    _key_file(settings).symlink_to(settings.data_dir / "elsewhere")
    before = await _rows(database_url)
    with pytest.raises(StartupRefused, match=r"new master key cannot be kept in .*master\.key"):
        await open_instance(settings, database, create=True)
    assert await _rows(database_url) == before


async def test_a_worker_waits_for_an_instance_that_was_never_prepared(
    settings: Settings, database: Database
) -> None:
    with pytest.raises(StartupRefused, match="never prepared: run 'millpond serve' or 'millpond migrate'"):
        await open_instance(settings, database, create=False)
    assert not _key_file(settings).exists()


async def test_a_worker_does_not_migrate(settings: Settings, postgres_url: str) -> None:
    url = await create_database(postgres_url, EMPTY)
    database = await Database.connect(url, connections=1)
    try:
        with pytest.raises(StartupRefused, match="no Millpond schema yet"):
            await open_instance(settings, database, create=False)
        async with database.statement() as connection:
            tables = await connection.fetch_value(
                "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            )
        assert tables == 0
    finally:
        await database.aclose()
        await drop_database(postgres_url, EMPTY)
