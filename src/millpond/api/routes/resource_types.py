"""`/w/{workspace}/resources/type`: resource types."""

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, RawBody

from millpond.api.bodies import created, decode, json_of, text
from millpond.api.openapi import accepts, answers
from millpond.model.actors import Actor
from millpond.model.resource_types import FileFormat, NewResourceType, ResourceType, ResourceTypeChange
from millpond.services.resource_types import ResourceTypes


@get("/type/list", opt=answers(list[ResourceType]))
async def list_resource_types(
    actor: NamedDependency[Actor], resource_types: NamedDependency[ResourceTypes]
) -> Response[bytes]:
    """All types."""
    return json_of(await resource_types.list_resource_types(actor))


@get("/type/listnames", opt=answers(list[str]))
async def list_type_names(
    actor: NamedDependency[Actor], resource_types: NamedDependency[ResourceTypes]
) -> Response[bytes]:
    """The names of all types."""
    return json_of(await resource_types.list_names(actor))


@get("/type/get/{name:str}", opt=answers(ResourceType))
async def get_resource_type(
    actor: NamedDependency[Actor], resource_types: NamedDependency[ResourceTypes], name: FromPath[str]
) -> Response[bytes]:
    """One type."""
    return json_of(await resource_types.get(actor, name))


@get("/type/exists/{name:str}", opt=answers(bool))
async def type_exists(
    actor: NamedDependency[Actor], resource_types: NamedDependency[ResourceTypes], name: FromPath[str]
) -> Response[bytes]:
    """Whether there is such a type."""
    return json_of(await resource_types.exists(actor, name))


@get("/file_resource_type_to_file_ext_map", opt=answers(dict[str, FileFormat]))
async def file_extensions(
    actor: NamedDependency[Actor], resource_types: NamedDependency[ResourceTypes]
) -> Response[bytes]:
    """The types whose values are files."""
    return json_of(await resource_types.file_formats(actor))


@post("/type/create", opt=accepts(NewResourceType))
async def create_type(
    actor: NamedDependency[Actor], resource_types: NamedDependency[ResourceTypes], body: RawBody
) -> Response[str]:
    """Create a type."""
    new = decode(body, NewResourceType)
    await resource_types.create(actor, new)
    return created(f"resource_type {new.name} created")


@post("/type/update/{name:str}", status_code=200, opt=accepts(ResourceTypeChange))
async def update_type(
    actor: NamedDependency[Actor],
    resource_types: NamedDependency[ResourceTypes],
    name: FromPath[str],
    body: RawBody,
) -> Response[str]:
    """Change what the body gives."""
    await resource_types.update(actor, name, decode(body, ResourceTypeChange))
    return text(f"resource_type {name} updated")


@delete("/type/delete/{name:str}", status_code=200)
async def delete_type(
    actor: NamedDependency[Actor], resource_types: NamedDependency[ResourceTypes], name: FromPath[str]
) -> Response[str]:
    """Delete a type."""
    await resource_types.delete(actor, name)
    return text(f"resource_type {name} deleted")


router = Router(
    "/resources",
    route_handlers=[
        list_resource_types,
        list_type_names,
        get_resource_type,
        type_exists,
        file_extensions,
        create_type,
        update_type,
        delete_type,
    ],
    tags=["resource types"],
)
