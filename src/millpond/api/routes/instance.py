"""Routes of the instance itself: version, health, workers, the front door."""

from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from millpond import __version__
from millpond.api.bodies import json_of, text
from millpond.api.openapi import answers
from millpond.model.actors import Account
from millpond.services.jobs import Jobs
from millpond.services.workers import Workers
from millpond.store.queue import WorkerRow

SPOKEN_VERSION = "v1.850.0"
"""The version of Windmill's API that is spoken; clients read the first `v<major>.<minor>` of the answer."""


@get("/version")
async def version() -> Response[str]:
    """The version spoken, and our own."""
    return text(f"CE {SPOKEN_VERSION} (Millpond {__version__})")


@get("/health/status")
async def health(jobs: NamedDependency[Jobs]) -> Response[bytes]:
    """Whether the server and its database answer."""
    await jobs.database_clock()
    return json_of({"status": "healthy", "database_healthy": True, "version": __version__})


@get("/workers/list", opt=answers(list[WorkerRow]))
async def list_workers(
    account: NamedDependency[Account], workers: NamedDependency[Workers], ping_since: FromQuery[int] = 300
) -> Response[bytes]:
    """Workers seen lately."""
    return json_of(await workers.list_workers(account, max(0, min(ping_since, 86_400))))


router = Router("/", route_handlers=[version, health, list_workers], tags=["instance"])


@get("/", include_in_schema=False)
async def front_door() -> Response[str]:
    """Where a browser lands."""
    return text(
        f"Millpond {__version__} is up. The API is below /api, its description at /api/openapi.json.\n"
    )
