"""`/w/{workspace}/groups`: members that are granted things together."""

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, RawBody

from millpond.api.bodies import decode, json_of, page_of, text
from millpond.api.openapi import accepts, answers
from millpond.model.actors import Actor
from millpond.model.groups import Group, GroupChange, NewGroup
from millpond.model.members import Username
from millpond.services.groups import Groups


@get("/list", opt=answers(list[Group]))
async def list_groups(
    actor: NamedDependency[Actor],
    groups: NamedDependency[Groups],
    page: FromQuery[int | None] = None,
    per_page: FromQuery[int | None] = None,
) -> Response[bytes]:
    """Groups by name."""
    where = page_of(page, per_page)
    return json_of(await groups.list_groups(actor, where.limit, where.offset))


@get("/listnames", opt=answers(list[str]))
async def list_names(
    actor: NamedDependency[Actor], groups: NamedDependency[Groups], only_member_of: FromQuery[bool] = False
) -> Response[bytes]:
    """Names alone."""
    return json_of(await groups.list_names(actor, only_own=only_member_of))


@get("/get/{name:str}", opt=answers(Group))
async def get_group(
    actor: NamedDependency[Actor], groups: NamedDependency[Groups], name: FromPath[str]
) -> Response[bytes]:
    """One group."""
    return json_of(await groups.get(actor, name))


@post("/create", status_code=200, opt=accepts(NewGroup))
async def create(
    actor: NamedDependency[Actor], groups: NamedDependency[Groups], body: RawBody
) -> Response[str]:
    """Create a group."""
    new = decode(body, NewGroup)
    await groups.create(actor, new)
    return text(f"Created group {new.name}")


@post("/update/{name:str}", status_code=200, opt=accepts(GroupChange))
async def update(
    actor: NamedDependency[Actor], groups: NamedDependency[Groups], name: FromPath[str], body: RawBody
) -> Response[str]:
    """Change the summary."""
    await groups.update(actor, name, decode(body, GroupChange))
    return text(f"Edited group {name}")


@delete("/delete/{name:str}", status_code=200)
async def delete_group(
    actor: NamedDependency[Actor], groups: NamedDependency[Groups], name: FromPath[str]
) -> Response[str]:
    """Delete a group."""
    await groups.delete(actor, name)
    return text(f"delete group at name {name}")


@post("/adduser/{name:str}", status_code=200, opt=accepts(Username))
async def add_user(
    actor: NamedDependency[Actor], groups: NamedDependency[Groups], name: FromPath[str], body: RawBody
) -> Response[str]:
    """Put a user into the group."""
    username = decode(body, Username).username
    await groups.add_member(actor, name, username)
    return text(f"Added {username} to group {name}")


@post("/removeuser/{name:str}", status_code=200, opt=accepts(Username))
async def remove_user(
    actor: NamedDependency[Actor], groups: NamedDependency[Groups], name: FromPath[str], body: RawBody
) -> Response[str]:
    """Take a user out of the group."""
    username = decode(body, Username).username
    await groups.remove_member(actor, name, username)
    return text(f"Removed {username} from group {name}")


router = Router(
    "/groups",
    route_handlers=[list_groups, list_names, get_group, create, update, delete_group, add_user, remove_user],
    tags=["groups"],
)
