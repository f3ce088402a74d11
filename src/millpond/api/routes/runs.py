"""`/w/{workspace}/jobs/run…`: starting jobs, and waiting for them."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, post, route
from litestar.di import NamedDependency
from litestar.enums import HttpMethod
from litestar.params import FromPath, RawBody

from millpond.api.arguments import event_json, read_arguments
from millpond.api.bodies import check_json_text, created, decode, json_of, path_of
from millpond.api.event_streams import Updates, stream_of
from millpond.api.launching import WAITED, Waiter, guard_started_by_link, options_of
from millpond.api.openapi import accepts, may_answer
from millpond.base.errors import InvalidInput
from millpond.base.ids import ScriptHash, hash_from_hex
from millpond.model.actors import Actor
from millpond.model.carried import empty_object
from millpond.model.jobs import Preview
from millpond.services.flow_views import FlowViews
from millpond.services.jobs import Jobs
from millpond.services.launch_options import PREVIEW
from millpond.services.launches import Launches
from millpond.services.scripts import RunnableScript


def script_hash_of(text: str) -> ScriptHash:
    """The version a URL names. Raises InvalidInput."""
    found = hash_from_hex(text)
    if found is None:
        raise InvalidInput(f"{text!r} is no script hash: it has 16 hex digits")
    return found


async def _launch(
    request: Request[Any, Any, Any], actor: Actor, launches: Launches, script: RunnableScript
) -> UUID:
    guard_started_by_link(request)
    given = await read_arguments(request)
    skip = request.query_params.get("skip_preprocessor", "").lower() == "true"
    preprocess = script.has_preprocessor and not skip
    args = event_json(request, given) if preprocess else given.as_json()
    return await launches.run_script(
        actor, script, args, options_of(request.query_params, preprocess=preprocess)
    )


@post("/run/p/{path:path}", opt=accepts(object))
async def run_by_path(
    request: Request[Any, Any, Any],
    actor: NamedDependency[Actor],
    launches: NamedDependency[Launches],
    path: FromPath[str],
) -> Response[str]:
    """Start the deployed script at a path; its job's id."""
    script = await launches.script_by_path(actor, path_of(path))
    return created(str(await _launch(request, actor, launches, script)))


@post("/run/h/{script_hash:str}", opt=accepts(object))
async def run_by_hash(
    request: Request[Any, Any, Any],
    actor: NamedDependency[Actor],
    launches: NamedDependency[Launches],
    script_hash: FromPath[str],
) -> Response[str]:
    """Start one version of a script; its job's id."""
    script = await launches.script_by_hash(actor, script_hash_of(script_hash))
    return created(str(await _launch(request, actor, launches, script)))


@post("/run/preview", opt=accepts(Preview))
async def run_preview(
    request: Request[Any, Any, Any],
    actor: NamedDependency[Actor],
    launches: NamedDependency[Launches],
    body: RawBody,
) -> Response[str]:
    """Start code that is not deployed; its job's id."""
    options = options_of(request.query_params)
    return created(str(await launches.run_preview(actor, decode(body, Preview), options)))


@route(
    "/run_wait_result/p/{path:path}", http_method=[HttpMethod.GET, HttpMethod.POST], opt=may_answer(WAITED)
)
async def run_wait_by_path(
    request: Request[Any, Any, Any],
    actor: NamedDependency[Actor],
    launches: NamedDependency[Launches],
    waiter: NamedDependency[Waiter],
    path: FromPath[str],
) -> Response[bytes]:
    """Start the deployed script at a path and answer with its result."""
    script = await launches.script_by_path(actor, path_of(path))
    job_id = await _launch(request, actor, launches, script)
    return await waiter.wait(request, actor, job_id, f"scripts:{script.path}")


@route(
    "/run_wait_result/h/{script_hash:str}",
    http_method=[HttpMethod.GET, HttpMethod.POST],
    opt=may_answer(WAITED),
)
async def run_wait_by_hash(
    request: Request[Any, Any, Any],
    actor: NamedDependency[Actor],
    launches: NamedDependency[Launches],
    waiter: NamedDependency[Waiter],
    script_hash: FromPath[str],
) -> Response[bytes]:
    """Start one version of a script and answer with its result."""
    script = await launches.script_by_hash(actor, script_hash_of(script_hash))
    job_id = await _launch(request, actor, launches, script)
    return await waiter.wait(request, actor, job_id, f"scripts:{script.path}")


@post(
    ["/run_wait_result/preview", "/run_inline/preview"],
    opt=accepts(Preview) | may_answer(WAITED),
    status_code=200,
)
async def run_wait_preview(
    request: Request[Any, Any, Any],
    actor: NamedDependency[Actor],
    launches: NamedDependency[Launches],
    waiter: NamedDependency[Waiter],
    body: RawBody,
) -> Response[bytes]:
    """Start code that is not deployed and answer with its result."""
    preview = decode(body, Preview)
    job_id = await launches.run_preview(actor, preview, options_of(request.query_params))
    return await waiter.wait(request, actor, job_id, PREVIEW)


@route("/run_and_stream/p/{path:path}", http_method=[HttpMethod.GET, HttpMethod.POST])
async def run_and_stream_by_path(
    request: Request[Any, Any, Any],
    actor: NamedDependency[Actor],
    launches: NamedDependency[Launches],
    jobs: NamedDependency[Jobs],
    flow_views: NamedDependency[FlowViews],
    path: FromPath[str],
) -> Response[Any]:
    """Start the deployed script at a path and stream its updates."""
    script = await launches.script_by_path(actor, path_of(path))
    job_id = await _launch(request, actor, launches, script)
    return stream_of(Updates(jobs, flow_views, actor, job_id), only_result=True)


@route("/run_and_stream/h/{script_hash:str}", http_method=[HttpMethod.GET, HttpMethod.POST])
async def run_and_stream_by_hash(
    request: Request[Any, Any, Any],
    actor: NamedDependency[Actor],
    launches: NamedDependency[Launches],
    jobs: NamedDependency[Jobs],
    flow_views: NamedDependency[FlowViews],
    script_hash: FromPath[str],
) -> Response[Any]:
    """Start one version of a script and stream its updates."""
    script = await launches.script_by_hash(actor, script_hash_of(script_hash))
    job_id = await _launch(request, actor, launches, script)
    return stream_of(Updates(jobs, flow_views, actor, job_id), only_result=True)


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """The body of `add_batch_jobs`: what to run many times."""

    kind: str
    path: str | None = None
    args: msgspec.Raw = msgspec.field(default_factory=empty_object)


@post("/add_batch_jobs/{count:int}", opt=accepts(Batch))
async def add_batch_jobs(
    actor: NamedDependency[Actor], launches: NamedDependency[Launches], count: FromPath[int], body: RawBody
) -> Response[bytes]:
    """Start a script, or a no-op, many times; the ids. For benchmarks and back-fills."""
    batch = decode(body, Batch)
    match batch.kind:
        case "noop":
            script = None
        case "script" if batch.path:
            script = await launches.script_by_path(actor, batch.path)
        case _:
            raise InvalidInput(f"A batch runs kind 'noop', or 'script' with a path; not {batch.kind!r}")
    args = bytes(batch.args)
    check_json_text(args)
    if not args.startswith(b"{"):
        raise InvalidInput("The batch's args must be a JSON object")
    return json_of(await launches.run_batch(actor, count, script, args.decode()), 201)


handlers = [
    run_by_path,
    run_by_hash,
    run_preview,
    run_wait_by_path,
    run_wait_by_hash,
    run_wait_preview,
    run_and_stream_by_path,
    run_and_stream_by_hash,
    add_batch_jobs,
]
router = Router("/jobs", route_handlers=handlers, tags=["jobs"])
