"""Instances for the chaos tests: each test has a folder and processes of its own, and leaves none behind.

MILLPOND_CHAOS_KEEP leaves the folders, with the logs in them.
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.served_instance import ServedInstance
from tests.chaos.tolerant_client import TolerantClient

Serve = Callable[..., ServedInstance]
Call = Callable[[ServedInstance], TolerantClient]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the other users can reach whom an instance started by root becomes."""
    made = Path(tempfile.mkdtemp(prefix="millpond-chaos-"))
    made.chmod(0o711)
    yield made
    if "MILLPOND_CHAOS_KEEP" not in os.environ:
        shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
async def serve(folder: Path) -> AsyncIterator[Serve]:
    """Makes instances on the test's folder, not yet started: `serve("--workers", "2")`."""
    made: list[ServedInstance] = []

    def make(*options: str, environment: dict[str, str] | None = None) -> ServedInstance:
        made.append(ServedInstance(folder, *options, environment=environment))
        return made[-1]

    yield make
    for served in made:
        await served.clear()


@pytest.fixture
async def call() -> AsyncIterator[Call]:
    """Makes clients of instances that run: `call(served)`."""
    made: list[TolerantClient] = []

    def make(served: ServedInstance) -> TolerantClient:
        made.append(TolerantClient(served))
        return made[-1]

    yield make
    for client in made:
        await client.aclose()
