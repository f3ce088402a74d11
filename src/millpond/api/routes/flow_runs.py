"""`/w/{workspace}/jobs/run/f…`: starting flows, and waiting for them."""

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get, post, route
from litestar.di import NamedDependency
from litestar.enums import HttpMethod
from litestar.params import FromPath, FromQuery, RawBody

from millpond.api.arguments import event_json, read_arguments
from millpond.api.bodies import created, decode, json_bytes, path_of
from millpond.api.event_streams import Updates, stream_of
from millpond.api.launching import WAITED, Waiter, guard_started_by_link, options_of
from millpond.api.openapi import accepts, may_answer
from millpond.model.actors import Actor
from millpond.model.flow_documents import RunnableFlow
from millpond.model.flow_launches import FlowPreview, Restart
from millpond.services.flow_launches import FlowLaunches
from millpond.services.flow_views import FlowViews
from millpond.services.jobs import Jobs
from millpond.services.launch_options import PREVIEW

BOTH = [HttpMethod.GET, HttpMethod.POST]


async def _launch(
    request: Request[Any, Any, Any], actor: Actor, launches: FlowLaunches, flow: RunnableFlow
) -> UUID:
    guard_started_by_link(request)
    given = await read_arguments(request)
    skip = request.query_params.get("skip_preprocessor", "").lower() == "true"
    preprocess = flow.has_preprocessor and not skip
    args = event_json(request, given) if preprocess else given.as_json()
    options = options_of(request.query_params, preprocess=preprocess)
    return await launches.run_flow(actor, flow, args, options)


@post("/run/f/{path:path}", opt=accepts(object))
async def run_by_path(
    request: Request[Any, Any, Any],
    actor: NamedDependency[Actor],
    flow_launches: NamedDependency[FlowLaunches],
    path: FromPath[str],
) -> Response[str]:
    """Start the deployed flow at a path; its job's id."""
    flow = await flow_launches.flow_by_path(actor, path_of(path))
    return created(str(await _launch(request, actor, flow_launches, flow)))


@post("/run/fv/{version:int}", opt=accepts(object))
async def run_by_version(
    request: Request[Any, Any, Any],
    actor: NamedDependency[Actor],
    flow_launches: NamedDependency[FlowLaunches],
    version: FromPath[int],
) -> Response[str]:
    """Start one version of a flow; its job's id."""
    flow = await flow_launches.flow_by_version(actor, version)
    return created(str(await _launch(request, actor, flow_launches, flow)))


@post("/run/preview_flow", opt=accepts(FlowPreview))
async def run_preview(
    request: Request[Any, Any, Any],
    actor: NamedDependency[Actor],
    flow_launches: NamedDependency[FlowLaunches],
    body: RawBody,
) -> Response[str]:
    """Start a flow that is not deployed; its job's id."""
    options = options_of(request.query_params)
    return created(str(await flow_launches.run_preview(actor, decode(body, FlowPreview), options)))


@post("/restart/f/{flow_job:uuid}", opt=accepts(Restart))
async def restart(
    request: Request[Any, Any, Any],
    actor: NamedDependency[Actor],
    flow_launches: NamedDependency[FlowLaunches],
    flow_job: FromPath[UUID],
    body: RawBody,
) -> Response[str]:
    """Start a run that goes on from a completed one at a step, or at an iteration of it; its job's id."""
    options = options_of(request.query_params)
    launched = await flow_launches.restart(actor, flow_job, decode(body, Restart), options)
    return created(str(launched.job_id))


@post("/restart/f/{flow_job:uuid}/from/{step_id:str}/{branch_or_iteration_n:int}")
async def restart_from(
    request: Request[Any, Any, Any],
    actor: NamedDependency[Actor],
    flow_launches: NamedDependency[FlowLaunches],
    flow_job: FromPath[UUID],
    step_id: FromPath[str],
    branch_or_iteration_n: FromPath[int],
) -> Response[str]:
    """The same as older clients ask for it."""
    point = Restart(step_id=step_id, branch_or_iteration_n=branch_or_iteration_n)
    options = options_of(request.query_params)
    return created(str((await flow_launches.restart(actor, flow_job, point, options)).job_id))


@route("/run_wait_result/f/{path:path}", http_method=BOTH, opt=may_answer(WAITED))
async def run_wait_by_path(
    request: Request[Any, Any, Any],
    actor: NamedDependency[Actor],
    flow_launches: NamedDependency[FlowLaunches],
    waiter: NamedDependency[Waiter],
    path: FromPath[str],
) -> Response[bytes]:
    """Start the deployed flow at a path and answer with its result, or its early one."""
    flow = await flow_launches.flow_by_path(actor, path_of(path))
    job_id = await _launch(request, actor, flow_launches, flow)
    return await waiter.wait(request, actor, job_id, f"flows:{flow.path}")


@route("/run_wait_result/fv/{version:int}", http_method=BOTH, opt=may_answer(WAITED))
async def run_wait_by_version(
    request: Request[Any, Any, Any],
    actor: NamedDependency[Actor],
    flow_launches: NamedDependency[FlowLaunches],
    waiter: NamedDependency[Waiter],
    version: FromPath[int],
) -> Response[bytes]:
    """Start one version of a flow and answer with its result, or its early one."""
    flow = await flow_launches.flow_by_version(actor, version)
    job_id = await _launch(request, actor, flow_launches, flow)
    return await waiter.wait(request, actor, job_id, f"flows:{flow.path}")


@post("/run_wait_result/preview_flow", opt=accepts(FlowPreview) | may_answer(WAITED), status_code=200)
async def run_wait_preview(
    request: Request[Any, Any, Any],
    actor: NamedDependency[Actor],
    flow_launches: NamedDependency[FlowLaunches],
    waiter: NamedDependency[Waiter],
    body: RawBody,
) -> Response[bytes]:
    """Start a flow that is not deployed and answer with its result."""
    options = options_of(request.query_params)
    job_id = await flow_launches.run_preview(actor, decode(body, FlowPreview), options)
    return await waiter.wait(request, actor, job_id, PREVIEW)


@route("/run_and_stream/f/{path:path}", http_method=BOTH)
async def run_and_stream_by_path(
    request: Request[Any, Any, Any],
    actor: NamedDependency[Actor],
    flow_launches: NamedDependency[FlowLaunches],
    jobs: NamedDependency[Jobs],
    flow_views: NamedDependency[FlowViews],
    path: FromPath[str],
) -> Response[Any]:
    """Start the deployed flow at a path and stream its updates."""
    flow = await flow_launches.flow_by_path(actor, path_of(path))
    job_id = await _launch(request, actor, flow_launches, flow)
    return stream_of(Updates(jobs, flow_views, actor, job_id), only_result=True)


@route("/run_and_stream/fv/{version:int}", http_method=BOTH)
async def run_and_stream_by_version(
    request: Request[Any, Any, Any],
    actor: NamedDependency[Actor],
    flow_launches: NamedDependency[FlowLaunches],
    jobs: NamedDependency[Jobs],
    flow_views: NamedDependency[FlowViews],
    version: FromPath[int],
) -> Response[Any]:
    """Start one version of a flow and stream its updates."""
    flow = await flow_launches.flow_by_version(actor, version)
    job_id = await _launch(request, actor, flow_launches, flow)
    return stream_of(Updates(jobs, flow_views, actor, job_id), only_result=True)


@get("/result_by_id/{flow_job:uuid}/{step_id:str}")
async def result_by_id(
    actor: NamedDependency[Actor],
    flow_views: NamedDependency[FlowViews],
    flow_job: FromPath[UUID],
    step_id: FromPath[str],
    json_path: FromQuery[str | None] = None,
) -> Response[bytes]:
    """The result of a step of a flow, by its id, at any depth."""
    return json_bytes(await flow_views.result_by_id(actor, flow_job, step_id, json_path))


@get("/flow_env_by_flow_job_id/{flow_job:uuid}/{name:str}")
async def flow_env(
    actor: NamedDependency[Actor],
    flow_views: NamedDependency[FlowViews],
    flow_job: FromPath[UUID],
    name: FromPath[str],
    json_path: FromQuery[str | None] = None,
) -> Response[bytes]:
    """A value of the flow's `flow_env`, null when there is none."""
    return json_bytes(await flow_views.flow_env(actor, flow_job, name, json_path))


handlers = [
    result_by_id,
    flow_env,
    run_by_path,
    run_by_version,
    run_preview,
    restart,
    restart_from,
    run_wait_by_path,
    run_wait_by_version,
    run_wait_preview,
    run_and_stream_by_path,
    run_and_stream_by_version,
]
router = Router("/jobs", route_handlers=handlers, tags=["flows"])
