"""`/w/{workspace}/users`: the members of a workspace."""

from litestar import Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, RawBody

from millpond.api.bodies import decode, json_of, page_of, path_of, text
from millpond.api.openapi import accepts, answers
from millpond.model.actors import Actor
from millpond.model.members import Member, MemberChange, Username, Whoami
from millpond.services.members import Members


@get("/whoami", opt=answers(Whoami))
async def whoami(actor: NamedDependency[Actor], members: NamedDependency[Members]) -> Response[bytes]:
    """The actor that asks."""
    return json_of(await members.whoami(actor))


@get("/list", opt=answers(list[Member]))
async def list_members(
    actor: NamedDependency[Actor],
    members: NamedDependency[Members],
    page: FromQuery[int | None] = None,
    per_page: FromQuery[int | None] = None,
) -> Response[bytes]:
    """Members by username."""
    where = page_of(page, per_page)
    return json_of(await members.list_members(actor, where.limit, where.offset))


@get("/list_usernames", opt=answers(list[str]))
async def list_usernames(actor: NamedDependency[Actor], members: NamedDependency[Members]) -> Response[bytes]:
    """Usernames alone."""
    return json_of(await members.list_usernames(actor))


@get("/get/{username:str}", opt=answers(Member))
async def get_member(
    actor: NamedDependency[Actor], members: NamedDependency[Members], username: FromPath[str]
) -> Response[bytes]:
    """One member."""
    return json_of(await members.get(actor, username))


@post("/exists", status_code=200, opt=accepts(Username) | answers(bool))
async def exists(
    actor: NamedDependency[Actor], members: NamedDependency[Members], body: RawBody
) -> Response[bytes]:
    """Whether the username is taken."""
    return json_of(await members.exists(actor, decode(body, Username).username))


@get("/username_to_email/{username:str}")
async def username_to_email(
    actor: NamedDependency[Actor], members: NamedDependency[Members], username: FromPath[str]
) -> Response[str]:
    """The e-mail behind a username."""
    return text(await members.email_of(actor, username))


@get("/is_owner_of_path/{path:path}", opt=answers(bool))
async def is_owner_of_path(
    actor: NamedDependency[Actor], members: NamedDependency[Members], path: FromPath[str]
) -> Response[bytes]:
    """Whether the path is the actor's own."""
    return json_of(await members.owns_path(actor, path_of(path)))


@post("/update/{username:str}", status_code=200, opt=accepts(MemberChange))
async def update(
    actor: NamedDependency[Actor], members: NamedDependency[Members], username: FromPath[str], body: RawBody
) -> Response[str]:
    """Change a member's role, or whether it may enter (administrators)."""
    await members.update(actor, username, decode(body, MemberChange))
    return text(f"user {username} updated")


@delete("/delete/{username:str}", status_code=200)
async def delete_member(
    actor: NamedDependency[Actor], members: NamedDependency[Members], username: FromPath[str]
) -> Response[str]:
    """Remove a member (administrators)."""
    await members.delete(actor, username)
    return text(f"username {username} deleted")


@post("/leave", status_code=200)
async def leave(actor: NamedDependency[Actor], members: NamedDependency[Members]) -> Response[str]:
    """Remove oneself."""
    await members.leave(actor)
    return text(f"left workspace {actor.workspace_id}")


router = Router(
    "/users",
    route_handlers=[
        whoami,
        list_members,
        list_usernames,
        get_member,
        exists,
        username_to_email,
        is_owner_of_path,
        update,
        delete_member,
        leave,
    ],
    tags=["members"],
)
