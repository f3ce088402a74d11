"""Fixtures of the tests that drive a running instance with the real clients."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from real_wmill import NEW, OLD, Inside, Outside, Place
from served_instance import SUPERADMIN_SECRET, Api, ServedInstance, admit_henri, served_instance

from millpond.runtimes.python.dependencies.environments import Environments


@dataclass(frozen=True)
class Printed:
    """Drops what is written to it."""

    def write(self, chunk: bytes) -> None:
        """Nobody asks for it."""


@pytest.fixture(scope="session")
async def real_packages() -> AsyncIterator[dict[str, Path]]:
    """The folder of each real client with what it needs, installed from the package index."""
    cache = Path(tempfile.mkdtemp(prefix="millpond-wmill-"))
    environments = Environments(cache)
    folders: dict[str, Path] = {}
    for version in (OLD, NEW):
        lock = await environments.resolve(f"#requirements:\n#wmill=={version}\n", Printed())
        folder = await environments.ensure(lock)
        assert folder is not None
        folders[version] = folder
    yield folders
    shutil.rmtree(cache)


@pytest.fixture(scope="session")
def served() -> Iterator[ServedInstance]:
    """The instance that the tests share."""
    with served_instance() as running:
        yield running


@pytest.fixture(scope="session")
def admin(served: ServedInstance) -> Iterator[Api]:
    """The API as the superadmin."""
    api = Api.of(served, SUPERADMIN_SECRET)
    yield api
    api.close()


@pytest.fixture(scope="session")
def henri(served: ServedInstance, admin: Api) -> Iterator[Api]:
    """The API as henri, an ordinary member."""
    api = Api.of(served, admit_henri(admin))
    yield api
    api.close()


@pytest.fixture(params=[OLD, NEW])
def outside(
    request: pytest.FixtureRequest, real_packages: dict[str, Path], served: ServedInstance, henri: Api
) -> Outside:
    """A process outside with each real client."""
    return Outside(request.param, real_packages[request.param], served, henri.token)


@pytest.fixture(params=[OLD, NEW, None], ids=[OLD, NEW, "injected"])
def inside(request: pytest.FixtureRequest, henri: Api) -> Inside:
    """A job with each real client, and with the one that jobs find."""
    return Inside(request.param, henri)


Where = tuple[str, str | None]
OLD_PLACES: list[Where] = [("outside", OLD), ("inside", OLD)]
NEW_PLACES: list[Where] = [("outside", NEW), ("inside", NEW), ("inside", None)]


def name_of(where: Where) -> str:
    """A place in a test's id."""
    return f"{where[0]}-{where[1] or 'injected'}"


PlaceOf = Callable[[str, str | None], Place]


@pytest.fixture
def place_of(real_packages: dict[str, Path], served: ServedInstance, henri: Api) -> PlaceOf:
    """Makes a place of where it is and its client's version."""

    def make(where: str, version: str | None) -> Place:
        if where == "inside" or version is None:
            return Inside(version, henri)
        return Outside(version, real_packages[version], served, henri.token)

    return make


@pytest.fixture(params=OLD_PLACES + NEW_PLACES, ids=name_of)
def place(request: pytest.FixtureRequest, place_of: PlaceOf) -> Place:
    """Each client, inside and outside."""
    return place_of(*request.param)


@pytest.fixture(params=NEW_PLACES, ids=name_of)
def new_place(request: pytest.FixtureRequest, place_of: PlaceOf) -> Place:
    """Each client that has what came after 1.297.0, inside and outside."""
    return place_of(*request.param)
