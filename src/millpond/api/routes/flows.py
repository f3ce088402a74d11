"""`/w/{workspace}/flows`: deployed flows and their versions."""

from typing import Literal

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, RawBody

from millpond.api.bodies import created, decode, json_of, page_of, path_of, split_list, text
from millpond.api.openapi import accepts, answers
from millpond.model.actors import Actor
from millpond.model.flow_documents import (
    ErrorHandlerMute,
    Flow,
    FlowArchival,
    FlowDeploymentStatus,
    FlowFilters,
    FlowVersion,
    ListedFlow,
    NewFlow,
    SearchedFlow,
    TriggersCount,
)
from millpond.model.scripts import ScopedToken, VersionNote
from millpond.services.flows import Flows


@post("/create", opt=accepts(NewFlow))
async def create(
    actor: NamedDependency[Actor], flows: NamedDependency[Flows], body: RawBody
) -> Response[str]:
    """Deploy a flow; its path."""
    return created(await flows.create(actor, decode(body, NewFlow)))


@post("/update/{path:path}", status_code=200, opt=accepts(NewFlow))
async def update(
    actor: NamedDependency[Actor], flows: NamedDependency[Flows], path: FromPath[str], body: RawBody
) -> Response[str]:
    """Deploy the next version of a flow, renaming it when the body names another path; its path."""
    return text(await flows.update(actor, path_of(path), decode(body, NewFlow)))


@get("/get/{path:path}", opt=answers(Flow))
async def get_by_path(
    actor: NamedDependency[Actor], flows: NamedDependency[Flows], path: FromPath[str]
) -> Response[bytes]:
    """A flow by its newest version, also when it is archived."""
    return json_of(await flows.get(actor, path_of(path)))


@get("/get/draft/{path:path}", opt=answers(Flow))
async def get_draft(
    actor: NamedDependency[Actor], flows: NamedDependency[Flows], path: FromPath[str]
) -> Response[bytes]:
    """What an editor begins with: the deployed flow, as there are no drafts."""
    return json_of(await flows.get(actor, path_of(path)))


@get("/get/v/{version:int}", opt=answers(Flow))
async def get_by_version(
    actor: NamedDependency[Actor], flows: NamedDependency[Flows], version: FromPath[int]
) -> Response[bytes]:
    """A flow by one of its versions."""
    return json_of(await flows.get_by_version(actor, version))


@get("/get/v/{version:int}/p/{path:path}", opt=answers(Flow))
async def get_by_version_of_path(
    actor: NamedDependency[Actor],
    flows: NamedDependency[Flows],
    version: FromPath[int],
    path: FromPath[str],
) -> Response[bytes]:
    """A flow by one of its versions, when it is of that path."""
    return json_of(await flows.get_by_version(actor, version, path_of(path)))


@get("/exists/{path:path}", opt=answers(bool))
async def exists(
    actor: NamedDependency[Actor], flows: NamedDependency[Flows], path: FromPath[str]
) -> Response[bytes]:
    """Whether the path is taken, archived flows included."""
    return json_of(await flows.exists(actor, path_of(path)))


@get("/list", opt=answers(list[ListedFlow]))
async def list_flows(
    actor: NamedDependency[Actor],
    flows: NamedDependency[Flows],
    *,
    page: FromQuery[int | None] = None,
    per_page: FromQuery[int | None] = None,
    path_start: FromQuery[str | None] = None,
    path_exact: FromQuery[str | None] = None,
    created_by: FromQuery[str | None] = None,
    edited_by: FromQuery[str | None] = None,
    label: FromQuery[str | None] = None,
    dedicated_worker: FromQuery[bool | None] = None,
    show_archived: FromQuery[bool] = False,
    starred_only: FromQuery[bool] = False,
    without_description: FromQuery[bool] = False,
    with_deployment_msg: FromQuery[bool] = False,
    order_desc: FromQuery[bool] = True,
) -> Response[bytes]:
    """Visible flows without their values, starred ones first; `created_by` is another name of `edited_by`."""
    filters = FlowFilters(
        path_start=path_start,
        path_exact=path_exact,
        edited_by=edited_by or created_by,
        labels=split_list(label),
        dedicated_worker=dedicated_worker,
        show_archived=show_archived,
        starred_only=starred_only,
        without_description=without_description,
        with_deployment_message=with_deployment_msg,
        newest_first=order_desc,
    )
    where = page_of(page, per_page)
    return json_of(await flows.list_flows(actor, filters, where.limit, where.offset))


@get("/list_search", opt=answers(list[SearchedFlow]))
async def list_search(actor: NamedDependency[Actor], flows: NamedDependency[Flows]) -> Response[bytes]:
    """Paths and values, for search."""
    return json_of(await flows.list_search(actor))


@get("/list_paths", opt=answers(list[str]))
async def list_paths(actor: NamedDependency[Actor], flows: NamedDependency[Flows]) -> Response[bytes]:
    """Paths of visible flows in use."""
    return json_of(await flows.list_paths(actor))


@get("/list_paths_from_workspace_runnable/{runnable_kind:str}/{path:path}", opt=answers(list[str]))
async def list_paths_from_runnable(
    actor: NamedDependency[Actor],
    flows: NamedDependency[Flows],
    runnable_kind: FromPath[Literal["script", "flow"]],
    path: FromPath[str],
    match_path_start: FromQuery[bool] = False,
) -> Response[bytes]:
    """Paths of visible flows in use that have a script or flow as a step, or one below a path."""
    return json_of(
        await flows.list_users_of_runnable(actor, runnable_kind, path_of(path), path_start=match_path_start)
    )


@get("/history/p/{path:path}", opt=answers(list[FlowVersion]))
async def get_history(
    actor: NamedDependency[Actor], flows: NamedDependency[Flows], path: FromPath[str]
) -> Response[bytes]:
    """The versions of a flow, newest first."""
    return json_of(await flows.get_history(actor, path_of(path)))


@post("/history_update/v/{version:int}", status_code=200, opt=accepts(VersionNote))
async def update_history(
    actor: NamedDependency[Actor], flows: NamedDependency[Flows], version: FromPath[int], body: RawBody
) -> Response[str]:
    """Change what a deployment says of itself."""
    await flows.update_history(actor, version, decode(body, VersionNote).deployment_msg)
    return text(f"deployment message of version {version} updated")


@post("/history_update/v/{version:int}/p/{path:path}", status_code=200, opt=accepts(VersionNote))
async def update_history_of_path(
    actor: NamedDependency[Actor],
    flows: NamedDependency[Flows],
    version: FromPath[int],
    path: FromPath[str],
    body: RawBody,
) -> Response[str]:
    """Change what a deployment says of itself, when it is of that path."""
    await flows.update_history(actor, version, decode(body, VersionNote).deployment_msg, path_of(path))
    return text(f"deployment message of version {version} updated")


@get("/get_latest_version/{path:path}", opt=answers(FlowVersion))
async def get_latest_version(
    actor: NamedDependency[Actor], flows: NamedDependency[Flows], path: FromPath[str]
) -> Response[bytes]:
    """The newest version of a flow."""
    return json_of(await flows.get_latest_version(actor, path_of(path)))


@get("/deployment_status/p/{path:path}", opt=answers(FlowDeploymentStatus))
async def get_deployment_status(
    actor: NamedDependency[Actor], flows: NamedDependency[Flows], path: FromPath[str]
) -> Response[bytes]:
    """How far the locks of the newest version are."""
    return json_of(await flows.get_deployment_status(actor, path_of(path)))


@get("/list_tokens/{path:path}", opt=answers(list[ScopedToken]))
async def list_tokens(
    actor: NamedDependency[Actor], flows: NamedDependency[Flows], path: FromPath[str]
) -> Response[bytes]:
    """Tokens made to run this flow."""
    return json_of(await flows.list_tokens(actor, path_of(path)))


@get("/get_triggers_count/{path:path}", opt=answers(TriggersCount))
async def get_triggers_count(
    actor: NamedDependency[Actor], flows: NamedDependency[Flows], path: FromPath[str]
) -> Response[bytes]:
    """How many triggers of each kind start this flow."""
    return json_of(await flows.count_triggers(actor, path_of(path)))


@post("/toggle_workspace_error_handler/{path:path}", status_code=200, opt=accepts(ErrorHandlerMute))
async def toggle_workspace_error_handler(
    actor: NamedDependency[Actor], flows: NamedDependency[Flows], path: FromPath[str], body: RawBody
) -> Response[str]:
    """Have the workspace's error handler hear of failures; passing over a flow is not supported."""
    await flows.mute_error_handler(actor, path_of(path), muted=bool(decode(body, ErrorHandlerMute).muted))
    return text("")


@post("/archive/{path:path}", status_code=200, opt=accepts(FlowArchival))
async def archive(
    actor: NamedDependency[Actor], flows: NamedDependency[Flows], path: FromPath[str], body: RawBody
) -> Response[str]:
    """Take a flow out of use, or with `archived: false` put it back."""
    archived = decode(body, FlowArchival).archived is not False
    await flows.archive(actor, path_of(path), archived=archived)
    return text(f"Flow {path_of(path)} {'archived' if archived else 'unarchived'}")


@delete("/delete/{path:path}", status_code=200)
async def delete_by_path(
    actor: NamedDependency[Actor], flows: NamedDependency[Flows], path: FromPath[str]
) -> Response[str]:
    """Delete a flow with its history; one that is gone already is no error."""
    await flows.delete(actor, path_of(path))
    return text(f"Flow {path_of(path)} deleted")


router = Router(
    "/flows",
    route_handlers=[
        create,
        update,
        get_by_path,
        get_draft,
        get_by_version,
        get_by_version_of_path,
        exists,
        list_flows,
        list_search,
        list_paths,
        list_paths_from_runnable,
        get_history,
        update_history,
        update_history_of_path,
        get_latest_version,
        get_deployment_status,
        list_tokens,
        get_triggers_count,
        toggle_workspace_error_handler,
        archive,
        delete_by_path,
    ],
    tags=["flows"],
)
