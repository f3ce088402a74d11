"""`/w/{workspace}/job_metrics`: how far a job is."""

from uuid import UUID

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, RawBody

from millpond.api.bodies import decode, json_bytes, json_of
from millpond.api.openapi import accepts, answers
from millpond.model.actors import Actor
from millpond.services.jobs import Jobs


class ProgressBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `set_progress`."""

    percent: int
    flow_job_id: UUID | None = None


@post("/set_progress/{job_id:uuid}", opt=accepts(ProgressBody), status_code=200)
async def set_progress(
    actor: NamedDependency[Actor], jobs: NamedDependency[Jobs], job_id: FromPath[UUID], body: RawBody
) -> Response[bytes]:
    """Say how far a job is."""
    await jobs.set_progress(actor, job_id, decode(body, ProgressBody).percent)
    return json_bytes("null")


@get("/get_progress/{job_id:uuid}", opt=answers(int | None))
async def get_progress(
    actor: NamedDependency[Actor], jobs: NamedDependency[Jobs], job_id: FromPath[UUID]
) -> Response[bytes]:
    """How far a job is, in percent."""
    return json_of(await jobs.get_percent(actor, job_id))


router = Router("/job_metrics", route_handlers=[set_progress, get_progress], tags=["jobs"])
