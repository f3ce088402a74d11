"""`/w/{workspace}/resources`: resources, and states, which are resources of type `state`."""

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, RawBody

from millpond.api.bodies import created, decode, json_bytes, json_of, page_of, path_of, split_list, text
from millpond.api.openapi import accepts, answers
from millpond.model.actors import Actor
from millpond.model.resources import (
    NamedResource,
    NewResource,
    Paths,
    Resource,
    ResourceChange,
    ResourceFilters,
    ResourceValue,
    SearchedResource,
)
from millpond.services.resources import Resources


@get("/list", opt=answers(list[Resource]))
async def list_resources(
    *,
    actor: NamedDependency[Actor],
    resources: NamedDependency[Resources],
    page: FromQuery[int | None] = None,
    per_page: FromQuery[int | None] = None,
    resource_type: FromQuery[str | None] = None,
    resource_type_exclude: FromQuery[str | None] = None,
    path_start: FromQuery[str | None] = None,
    path: FromQuery[str | None] = None,
    description: FromQuery[str | None] = None,
    value: FromQuery[str | None] = None,
    broad_filter: FromQuery[str | None] = None,
    label: FromQuery[str | None] = None,
) -> Response[bytes]:
    """Visible resources, values left out."""
    filters = ResourceFilters(
        resource_types=split_list(resource_type),
        excluded_types=split_list(resource_type_exclude),
        path_start=path_start,
        path=path,
        description=description,
        value=value,
        broad_filter=broad_filter,
        labels=split_list(label),
    )
    where = page_of(page, per_page)
    return json_of(await resources.list_resources(actor, filters, where.limit, where.offset))


@get("/list_search", opt=answers(list[SearchedResource]))
async def list_search(
    actor: NamedDependency[Actor], resources: NamedDependency[Resources]
) -> Response[bytes]:
    """Paths and values, for search."""
    return json_of(await resources.list_search(actor))


@get("/list_names/{resource_type:str}", opt=answers(list[NamedResource]))
async def list_names(
    actor: NamedDependency[Actor], resources: NamedDependency[Resources], resource_type: FromPath[str]
) -> Response[bytes]:
    """The names inside the values of one type."""
    return json_of(await resources.list_names(actor, resource_type))


@get("/get/{path:path}", opt=answers(Resource))
async def get_resource(
    actor: NamedDependency[Actor], resources: NamedDependency[Resources], path: FromPath[str]
) -> Response[bytes]:
    """One resource."""
    return json_of(await resources.get(actor, path_of(path)))


@get("/exists/{path:path}", opt=answers(bool))
async def exists(
    actor: NamedDependency[Actor], resources: NamedDependency[Resources], path: FromPath[str]
) -> Response[bytes]:
    """Whether the path is taken."""
    return json_of(await resources.exists(actor, path_of(path)))


@get("/get_value/{path:path}")
async def get_value(
    actor: NamedDependency[Actor], resources: NamedDependency[Resources], path: FromPath[str]
) -> Response[bytes]:
    """The value as stored."""
    return json_bytes(await resources.get_value(actor, path_of(path)))


@get("/get_value_interpolated/{path:path}")
async def get_value_interpolated(
    actor: NamedDependency[Actor], resources: NamedDependency[Resources], path: FromPath[str]
) -> Response[bytes]:
    """The value with its references resolved."""
    return json_bytes(await resources.get_value_interpolated(actor, path_of(path)))


@post("/create", opt=accepts(NewResource))
async def create(
    actor: NamedDependency[Actor],
    resources: NamedDependency[Resources],
    body: RawBody,
    update_if_exists: FromQuery[bool] = False,
    validate: FromQuery[bool] = True,
) -> Response[str]:
    """Create a resource; validate=false skips the check against its type's schema."""
    new = decode(body, NewResource)
    await resources.create(actor, new, update_if_exists=update_if_exists, validate=validate)
    return created(f"resource {new.path} created")


@post("/update/{path:path}", status_code=200, opt=accepts(ResourceChange))
async def update(
    actor: NamedDependency[Actor],
    resources: NamedDependency[Resources],
    path: FromPath[str],
    body: RawBody,
    validate: FromQuery[bool] = True,
) -> Response[str]:
    """Change what the body gives; validate=false skips the check against the type's schema."""
    old = path_of(path)
    new = await resources.update(actor, old, decode(body, ResourceChange), validate=validate)
    return text(f'resource {old} updated (npath: "{new}")')


@post("/update_value/{path:path}", status_code=200, opt=accepts(ResourceValue))
async def update_value(
    actor: NamedDependency[Actor],
    resources: NamedDependency[Resources],
    path: FromPath[str],
    body: RawBody,
    validate: FromQuery[bool] = True,
) -> Response[str]:
    """Replace the value; validate=false skips the check against the type's schema."""
    value = decode(body, ResourceValue).value
    await resources.update_value(actor, path_of(path), value, validate=validate)
    return text(f"value of resource {path_of(path)} updated")


@delete("/delete/{path:path}", status_code=200)
async def delete_resource(
    actor: NamedDependency[Actor], resources: NamedDependency[Resources], path: FromPath[str]
) -> Response[str]:
    """Delete one resource."""
    await resources.delete(actor, path_of(path))
    return text(f"resource {path_of(path)} deleted")


@delete("/delete_bulk", status_code=200, opt=accepts(Paths) | answers(list[str]))
async def delete_bulk(
    actor: NamedDependency[Actor], resources: NamedDependency[Resources], body: RawBody
) -> Response[bytes]:
    """Delete several; the paths that existed."""
    return json_of(await resources.delete_bulk(actor, decode(body, Paths).paths))


router = Router(
    "/resources",
    route_handlers=[
        list_resources,
        list_search,
        list_names,
        get_resource,
        exists,
        get_value,
        get_value_interpolated,
        create,
        update,
        update_value,
        delete_resource,
        delete_bulk,
    ],
    tags=["resources"],
)
