"""`/w/{workspace}/jobs`: lists of jobs, counts, and what concerns the queue as a whole."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, RawBody

from millpond.api.bodies import decode, json_of, page_of
from millpond.api.job_filters import filters_of
from millpond.api.openapi import accepts, answers, filtered_by
from millpond.api.routes.job_metrics import router as metrics_router
from millpond.api.routes.jobs_u import router as public_router
from millpond.model.actors import Actor
from millpond.model.jobs import Job, JobFilters
from millpond.services.cancellations import Cancellations
from millpond.services.jobs import Jobs

AnyRequest = Request[Any, Any, Any]


@get("/list", opt=answers(list[Job]) | filtered_by(JobFilters))
async def list_jobs(
    request: AnyRequest,
    actor: NamedDependency[Actor],
    jobs: NamedDependency[Jobs],
    page: FromQuery[int | None] = None,
    per_page: FromQuery[int | None] = None,
) -> Response[bytes]:
    """Matching jobs, those of the queue first."""
    where = page_of(page, per_page, default=100, maximum=1000)
    return json_of(await jobs.list_jobs(actor, filters_of(request.query_params), where.limit, where.offset))


@get("/queue/list", opt=answers(list[Job]) | filtered_by(JobFilters))
async def list_queue(
    request: AnyRequest,
    actor: NamedDependency[Actor],
    jobs: NamedDependency[Jobs],
    page: FromQuery[int | None] = None,
    per_page: FromQuery[int | None] = None,
) -> Response[bytes]:
    """Matching jobs that wait or run."""
    where = page_of(page, per_page, default=100, maximum=1000)
    return json_of(await jobs.list_queue(actor, filters_of(request.query_params), where.limit, where.offset))


@get("/completed/list", opt=answers(list[Job]) | filtered_by(JobFilters))
async def list_completed(
    request: AnyRequest,
    actor: NamedDependency[Actor],
    jobs: NamedDependency[Jobs],
    page: FromQuery[int | None] = None,
    per_page: FromQuery[int | None] = None,
) -> Response[bytes]:
    """Matching jobs that ended."""
    where = page_of(page, per_page, default=100, maximum=1000)
    return json_of(
        await jobs.list_completed(actor, filters_of(request.query_params), where.limit, where.offset)
    )


@get("/queue/count")
async def count_queue(actor: NamedDependency[Actor], jobs: NamedDependency[Jobs]) -> Response[bytes]:
    """How many are due and wait."""
    return json_of({"database_length": await jobs.count_queue(actor), "suspended": 0})


@get("/completed/count")
async def count_completed(actor: NamedDependency[Actor], jobs: NamedDependency[Jobs]) -> Response[bytes]:
    """How many have ended."""
    return json_of({"database_length": await jobs.count_completed(actor, None, None), "suspended": 0})


@get("/completed/count_jobs", opt=answers(int))
async def count_jobs(
    actor: NamedDependency[Actor],
    jobs: NamedDependency[Jobs],
    completed_after_s_ago: FromQuery[int | None] = None,
    success: FromQuery[bool | None] = None,
) -> Response[bytes]:
    """How many ended lately."""
    return json_of(await jobs.count_completed(actor, completed_after_s_ago, success))


@get("/queue/position/{scheduled_for_ms:int}")
async def queue_position(
    actor: NamedDependency[Actor], jobs: NamedDependency[Jobs], scheduled_for_ms: FromPath[int]
) -> Response[bytes]:
    """How many due jobs stand before an instant."""
    return json_of({"position": await jobs.queue_position(actor, scheduled_for_ms)})


@get("/queue/scheduled_for/{job_id:uuid}", opt=answers(int))
async def scheduled_for(
    actor: NamedDependency[Actor], jobs: NamedDependency[Jobs], job_id: FromPath[UUID]
) -> Response[bytes]:
    """When a waiting job is due, milliseconds since 1970."""
    due = await jobs.queued_scheduled_for(actor, job_id)
    return json_of(int(due.timestamp() * 1000))


@get("/list_filtered_uuids", opt=answers(list[UUID]))
async def list_uuids(
    request: AnyRequest,
    actor: NamedDependency[Actor],
    jobs: NamedDependency[Jobs],
    page: FromQuery[int | None] = None,
    per_page: FromQuery[int | None] = None,
) -> Response[bytes]:
    """The ids of matching jobs that ended."""
    where = page_of(page, per_page, default=1000)
    found = await jobs.list_completed(actor, filters_of(request.query_params), where.limit, where.offset)
    return json_of([job.id for job in found])


@get("/queue/list_filtered_uuids", opt=answers(list[UUID]))
async def list_queue_uuids(
    request: AnyRequest,
    actor: NamedDependency[Actor],
    jobs: NamedDependency[Jobs],
    page: FromQuery[int | None] = None,
    per_page: FromQuery[int | None] = None,
) -> Response[bytes]:
    """The ids of matching jobs that wait or run."""
    where = page_of(page, per_page, default=1000)
    found = await jobs.list_queue(actor, filters_of(request.query_params), where.limit, where.offset)
    return json_of([job.id for job in found])


@post("/queue/cancel_selection", opt=accepts(list[UUID]) | answers(list[UUID]), status_code=200)
async def cancel_selection(
    actor: NamedDependency[Actor],
    cancellations: NamedDependency[Cancellations],
    body: RawBody,
    force_cancel: FromQuery[bool] = False,
) -> Response[bytes]:
    """Cancel several."""
    return json_of(await cancellations.cancel_selection(actor, decode(body, list[UUID]), force=force_cancel))


@post("/completed/delete/{job_id:uuid}", opt=answers(Job), status_code=200)
async def delete_completed(
    actor: NamedDependency[Actor], jobs: NamedDependency[Jobs], job_id: FromPath[UUID]
) -> Response[bytes]:
    """Wipe what a job was given, returned and printed."""
    return json_of(await jobs.delete_completed(actor, job_id))


@get("/worker_is_draining/{job_id:uuid}", opt=answers(bool))
async def worker_is_draining(
    actor: NamedDependency[Actor], jobs: NamedDependency[Jobs], job_id: FromPath[UUID]
) -> Response[bytes]:
    """Whether the worker that runs a job is about to stop."""
    return json_of(await jobs.worker_is_draining(actor, job_id))


router = Router(
    "/jobs",
    route_handlers=[
        list_jobs,
        list_queue,
        list_completed,
        list_uuids,
        list_queue_uuids,
        count_queue,
        count_completed,
        count_jobs,
        queue_position,
        scheduled_for,
        cancel_selection,
        delete_completed,
        worker_is_draining,
    ],
    tags=["jobs"],
)


@get("/jobs/db_clock")
async def database_clock(jobs: NamedDependency[Jobs]) -> Response[bytes]:
    """Milliseconds since 1970, by the database."""
    return json_of(await jobs.database_clock())


__all__ = ["database_clock", "metrics_router", "public_router", "router"]
