"""`/w/{workspace}/scripts`: scripts and their versions; `/w/{workspace}/favorites`: what a user starred."""

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, RawBody

from millpond.api.bodies import created, decode, json_of, page_of, path_of, split_list, text
from millpond.api.openapi import accepts, answers
from millpond.model.actors import Actor
from millpond.model.resources import Paths
from millpond.model.scripts import (
    Code,
    DeploymentStatus,
    Favorite,
    ListedScript,
    NewScript,
    ScopedToken,
    Script,
    ScriptFilters,
    ScriptVersion,
    SearchedScript,
    VersionNote,
)
from millpond.services.script_deployment import parse_hash
from millpond.services.scripts import Scripts
from millpond.signatures import Signature


def without_extension(path: str) -> str:
    """`f/etl/load.py` as `f/etl/load`: a script's path never holds a dot."""
    return path_of(path).partition(".")[0]


@post("/create", opt=accepts(NewScript))
async def create(
    actor: NamedDependency[Actor],
    scripts: NamedDependency[Scripts],
    body: RawBody,
    skip_if_noop: FromQuery[bool] = False,
) -> Response[str]:
    """Deploy a version; its hash."""
    return created(await scripts.create(actor, decode(body, NewScript), skip_if_noop=skip_if_noop))


@get("/list", opt=answers(list[ListedScript]))
async def list_scripts(
    actor: NamedDependency[Actor],
    scripts: NamedDependency[Scripts],
    *,
    page: FromQuery[int | None] = None,
    per_page: FromQuery[int | None] = None,
    path_start: FromQuery[str | None] = None,
    path_exact: FromQuery[str | None] = None,
    created_by: FromQuery[str | None] = None,
    kinds: FromQuery[str | None] = None,
    languages: FromQuery[str | None] = None,
    label: FromQuery[str | None] = None,
    is_template: FromQuery[bool | None] = None,
    dedicated_worker: FromQuery[bool | None] = None,
    parent_hash: FromQuery[str | None] = None,
    first_parent_hash: FromQuery[str | None] = None,
    last_parent_hash: FromQuery[str | None] = None,
    show_archived: FromQuery[bool] = False,
    starred_only: FromQuery[bool] = False,
    include_without_main: FromQuery[bool] = False,
    without_description: FromQuery[bool] = False,
    with_deployment_msg: FromQuery[bool] = False,
    order_desc: FromQuery[bool] = True,
) -> Response[bytes]:
    """Visible scripts without their sources, starred ones first."""
    filters = ScriptFilters(
        path_start=path_start,
        path_exact=path_exact,
        created_by=created_by,
        kinds=split_list(kinds),
        languages=split_list(languages),
        labels=split_list(label),
        is_template=is_template,
        dedicated_worker=dedicated_worker,
        parent_hash=_hash_or_none(parent_hash),
        first_parent_hash=_hash_or_none(first_parent_hash),
        last_parent_hash=_hash_or_none(last_parent_hash),
        show_archived=show_archived,
        starred_only=starred_only,
        include_without_main=include_without_main,
        without_description=without_description,
        with_deployment_message=with_deployment_msg,
        newest_first=order_desc,
    )
    where = page_of(page, per_page)
    return json_of(await scripts.list_scripts(actor, filters, where.limit, where.offset))


@get("/list_paths", opt=answers(list[str]))
async def list_paths(actor: NamedDependency[Actor], scripts: NamedDependency[Scripts]) -> Response[bytes]:
    """Paths of visible live scripts."""
    return json_of(await scripts.list_paths(actor))


@get("/list_search", opt=answers(list[SearchedScript]))
async def list_search(actor: NamedDependency[Actor], scripts: NamedDependency[Scripts]) -> Response[bytes]:
    """Paths and sources, for search."""
    return json_of(await scripts.list_search(actor))


@get("/get/p/{path:path}", opt=answers(Script))
async def get_by_path(
    actor: NamedDependency[Actor], scripts: NamedDependency[Scripts], path: FromPath[str]
) -> Response[bytes]:
    """The newest version of a path, also when it is archived."""
    return json_of(await scripts.get(actor, path_of(path)))


@get("/get/h/{script_hash:str}", opt=answers(Script))
async def get_by_hash(
    actor: NamedDependency[Actor], scripts: NamedDependency[Scripts], script_hash: FromPath[str]
) -> Response[bytes]:
    """One version."""
    return json_of(await scripts.get_by_hash(actor, parse_hash(script_hash)))


@get("/exists/p/{path:path}", opt=answers(bool))
async def exists(
    actor: NamedDependency[Actor], scripts: NamedDependency[Scripts], path: FromPath[str]
) -> Response[bytes]:
    """Whether a version is live at the path."""
    return json_of(await scripts.exists(actor, path_of(path)))


@get(["/raw/p/{path:path}", "/raw_unpinned/p/{path:path}"])
async def get_raw(
    actor: NamedDependency[Actor], scripts: NamedDependency[Scripts], path: FromPath[str]
) -> Response[str]:
    """The source that is live at a path, named with its extension."""
    return text(await scripts.get_content(actor, without_extension(path)))


@get("/raw/h/{file:str}")
async def get_raw_by_hash(
    actor: NamedDependency[Actor], scripts: NamedDependency[Scripts], file: FromPath[str]
) -> Response[str]:
    """The source of one version, named with its extension."""
    return text((await scripts.get_by_hash(actor, parse_hash(without_extension(file)))).content)


@get("/history/p/{path:path}", opt=answers(list[ScriptVersion]))
async def get_history(
    actor: NamedDependency[Actor], scripts: NamedDependency[Scripts], path: FromPath[str]
) -> Response[bytes]:
    """The versions of a path, newest first."""
    return json_of(await scripts.get_history(actor, path_of(path)))


@post("/history_update/h/{script_hash:str}/p/{path:path}", status_code=200, opt=accepts(VersionNote))
async def update_history(
    actor: NamedDependency[Actor],
    scripts: NamedDependency[Scripts],
    script_hash: FromPath[str],
    path: FromPath[str],
    body: RawBody,
) -> Response[str]:
    """Change what a deployment says of itself."""
    message = decode(body, VersionNote).deployment_msg
    await scripts.update_history(actor, parse_hash(script_hash), path_of(path), message)
    return text(f"deployment message of {path_of(path)} updated")


@get("/get_latest_version/{path:path}", opt=answers(ScriptVersion))
async def get_latest_version(
    actor: NamedDependency[Actor], scripts: NamedDependency[Scripts], path: FromPath[str]
) -> Response[bytes]:
    """The newest version of a path."""
    return json_of(await scripts.get_latest_version(actor, path_of(path)))


@get("/deployment_status/h/{script_hash:str}", opt=answers(DeploymentStatus))
async def get_deployment_status(
    actor: NamedDependency[Actor], scripts: NamedDependency[Scripts], script_hash: FromPath[str]
) -> Response[bytes]:
    """How far the dependencies of a version are."""
    return json_of(await scripts.get_deployment_status(actor, parse_hash(script_hash)))


@post("/archive/p/{path:path}", status_code=200)
async def archive(
    actor: NamedDependency[Actor], scripts: NamedDependency[Scripts], path: FromPath[str]
) -> Response[str]:
    """Take a script out of use."""
    await scripts.archive(actor, path_of(path))
    return text(f"script {path_of(path)} archived")


@post("/archive/h/{script_hash:str}", status_code=200, opt=answers(Script))
async def archive_by_hash(
    actor: NamedDependency[Actor], scripts: NamedDependency[Scripts], script_hash: FromPath[str]
) -> Response[bytes]:
    """Take a version out of use."""
    return json_of(await scripts.archive_by_hash(actor, parse_hash(script_hash)))


@post("/delete/p/{path:path}", status_code=200, opt=answers(str))
async def delete_by_path(
    actor: NamedDependency[Actor], scripts: NamedDependency[Scripts], path: FromPath[str]
) -> Response[bytes]:
    """Delete every version of a path."""
    await scripts.delete(actor, path_of(path))
    return json_of(path_of(path))


@post("/delete/h/{script_hash:str}", status_code=200, opt=answers(Script))
async def delete_by_hash(
    actor: NamedDependency[Actor], scripts: NamedDependency[Scripts], script_hash: FromPath[str]
) -> Response[bytes]:
    """Blank one version and mark it deleted."""
    return json_of(await scripts.delete_by_hash(actor, parse_hash(script_hash)))


@delete("/delete_bulk", status_code=200, opt=accepts(Paths) | answers(list[str]))
async def delete_bulk(
    actor: NamedDependency[Actor], scripts: NamedDependency[Scripts], body: RawBody
) -> Response[bytes]:
    """Delete every version of several paths; those that existed."""
    return json_of(await scripts.delete_bulk(actor, decode(body, Paths).paths))


@get("/list_tokens/{path:path}", opt=answers(list[ScopedToken]))
async def list_tokens(
    actor: NamedDependency[Actor], scripts: NamedDependency[Scripts], path: FromPath[str]
) -> Response[bytes]:
    """Tokens made to run this script."""
    return json_of(await scripts.list_tokens(actor, path_of(path)))


@post("/infer_schema", status_code=200, opt=accepts(Code) | answers(Signature))
async def infer_schema(
    actor: NamedDependency[Actor], scripts: NamedDependency[Scripts], body: RawBody
) -> Response[bytes]:
    """The signature of code that need not be deployed."""
    return json_of(await scripts.infer_signature(actor, decode(body, Code)))


@post("/star", status_code=200, opt=accepts(Favorite))
async def star(
    actor: NamedDependency[Actor], scripts: NamedDependency[Scripts], body: RawBody
) -> Response[str]:
    """Make a script or flow a favorite of one's own."""
    favorite = decode(body, Favorite)
    await scripts.star(actor, favorite)
    return text(f"{favorite.favorite_kind} {favorite.path} starred")


@post("/unstar", status_code=200, opt=accepts(Favorite))
async def unstar(
    actor: NamedDependency[Actor], scripts: NamedDependency[Scripts], body: RawBody
) -> Response[str]:
    """Make it no favorite any more."""
    favorite = decode(body, Favorite)
    await scripts.unstar(actor, favorite)
    return text(f"{favorite.favorite_kind} {favorite.path} unstarred")


def _hash_or_none(given: str | None) -> int | None:
    return parse_hash(given) if given else None


router = Router(
    "/scripts",
    route_handlers=[
        create,
        list_scripts,
        list_paths,
        list_search,
        get_by_path,
        get_by_hash,
        exists,
        get_raw,
        get_raw_by_hash,
        get_history,
        update_history,
        get_latest_version,
        get_deployment_status,
        archive,
        archive_by_hash,
        delete_by_path,
        delete_by_hash,
        delete_bulk,
        list_tokens,
        infer_schema,
    ],
    tags=["scripts"],
)

favorites_router = Router("/favorites", route_handlers=[star, unstar], tags=["favorites"])
