"""Fixtures of tests that run jobs. The instance is shared by the tests of one module: each names paths of its own."""

import uuid
from collections.abc import AsyncIterator

import pytest

from tests.integration.live_instance import Api, LiveInstance, live_instance
from tests.postgres import create_database, drop_database


@pytest.fixture(scope="module")
async def module_database_url(postgres_url: str, template_url: str) -> AsyncIterator[str]:
    """A migrated, empty database of the module's own."""
    name = f"live_{uuid.uuid4().hex[:12]}"
    template = template_url.rsplit("/", 1)[1].partition("?")[0]
    yield await create_database(postgres_url, name, template=template)
    await drop_database(postgres_url, name)


@pytest.fixture(scope="module")
async def running_worker(module_database_url: str) -> AsyncIterator[LiveInstance]:
    """An instance that serves HTTP and runs jobs."""
    async with live_instance(module_database_url) as live, live.worker():
        yield live


@pytest.fixture(scope="module")
async def live(running_worker: LiveInstance) -> LiveInstance:
    """The same, under the name tests use it by."""
    return running_worker


@pytest.fixture(scope="module")
async def api(live: LiveInstance) -> Api:
    """Its API as the superadmin."""
    return live.api


@pytest.fixture
async def idle(database_url: str) -> AsyncIterator[LiveInstance]:
    """An instance of the test's own that serves HTTP and has no worker: tests start those they need."""
    async with live_instance(database_url) as live:
        yield live
