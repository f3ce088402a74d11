"""Fixtures for all tests: a real database each, the instance on it, and clients of its real ASGI application."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from litestar import Litestar

from millpond.app import Services, build_server, build_services, open_instance
from millpond.base.sealing import MasterKey
from millpond.base.settings import Settings
from millpond.store.migrate import migrate
from millpond.store.pool import Database
from tests.postgres import create_database, drop_database, postgres_url

__all__ = ["postgres_url"]

SUPERADMIN_SECRET = "superadmin-secret-of-the-tests"
TEMPLATE = "millpond_template"


@dataclass(frozen=True)
class Instance:
    """A prepared instance: superadmin `admin@localhost`, workspace `main`."""

    settings: Settings
    database: Database
    url: str
    master_key: MasterKey
    services: Services
    app: Litestar


@pytest.fixture(scope="session")
async def template_url(postgres_url: str) -> AsyncIterator[str]:
    """A migrated, empty database that tests copy: a copy takes a tenth of the time of the migrations."""
    name = f"{TEMPLATE}_{uuid.uuid4().hex[:8]}"
    url = await create_database(postgres_url, name)
    database = await Database.connect(url, connections=1)
    await migrate(database)
    await database.aclose()
    yield url
    await drop_database(postgres_url, name)


@pytest.fixture
async def database_url(postgres_url: str, template_url: str) -> AsyncIterator[str]:
    """A migrated, empty database of the test's own."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield await create_database(postgres_url, name, template=template_url.rsplit("/", 1)[1].partition("?")[0])
    await drop_database(postgres_url, name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A connection pool on it."""
    database = await Database.connect(database_url, connections=10)
    yield database
    await database.aclose()


@pytest.fixture
async def instance(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[Instance]:
    """A prepared instance, with what runs beside its server."""
    settings = Settings(data_dir=tmp_path / "data", superadmin_secret=SUPERADMIN_SECRET, wait_result_secs=20)
    master_key = await open_instance(settings, database, create=True)
    services = build_services(settings, database, master_key)
    app = build_server(settings, database, services)
    # In a task of its own: the lifespan must be left by the task that entered it, and a fixture's teardown is another.
    started, stop = asyncio.Event(), asyncio.Event()

    async def live() -> None:
        async with app.lifespan():
            started.set()
            await stop.wait()

    living = asyncio.create_task(live(), name="lifespan")
    await started.wait()
    yield Instance(settings, database, database_url, master_key, services, app)
    stop.set()
    await living


def client_with(instance: Instance, token: str | None) -> httpx.AsyncClient:
    """A client of the instance's application that shows a token."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(app=instance.app, raise_app_exceptions=False)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url="http://test", headers=headers)


@pytest.fixture
async def client(instance: Instance) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the superadmin's."""
    async with client_with(instance, SUPERADMIN_SECRET) as client:
        yield client


ClientOf = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def client_of(instance: Instance, client: httpx.AsyncClient) -> AsyncIterator[ClientOf]:
    """Makes members of `main`: `await client_of("henri", role="developer")` is a client with the member's token."""
    made: list[httpx.AsyncClient] = []

    async def make(username: str, role: str = "developer") -> httpx.AsyncClient:
        email = f"{username}@example.com"
        body = {"email": email, "password": "a long password", "super_admin": False}
        answer = await client.post("/api/users/create", json=body)
        assert answer.status_code == 201, answer.text
        member = {
            "email": email,
            "username": username,
            "is_admin": role == "admin",
            "operator": role == "operator",
        }
        answer = await client.post("/api/w/main/workspaces/add_user", json=member)
        assert answer.status_code in (200, 201), answer.text
        answer = await client.post("/api/auth/login", json={"email": email, "password": "a long password"})
        assert answer.status_code == 200, answer.text
        made.append(client_with(instance, answer.text))
        return made[-1]

    yield make
    for member_client in made:
        await member_client.aclose()
