"""`/w/{workspace}/acls`: permissions of single items."""

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, RawBody

from millpond.api.bodies import decode, json_of, path_of, text
from millpond.api.openapi import accepts, answers
from millpond.model.acls import Grant, Revocation
from millpond.model.actors import Actor
from millpond.services.acls import Acls


@get("/get/{kind:str}/{path:path}", opt=answers(dict[str, bool]))
async def get_acl(
    actor: NamedDependency[Actor], acls: NamedDependency[Acls], kind: FromPath[str], path: FromPath[str]
) -> Response[bytes]:
    """What an item grants."""
    return json_of(await acls.get(actor, kind, path_of(path)))


@post("/add/{kind:str}/{path:path}", status_code=200, opt=accepts(Grant))
async def add(
    actor: NamedDependency[Actor],
    acls: NamedDependency[Acls],
    kind: FromPath[str],
    path: FromPath[str],
    body: RawBody,
) -> Response[str]:
    """Let a principal read, or write too."""
    await acls.add(actor, kind, path_of(path), decode(body, Grant))
    return text("Successfully modified granular acl")


@post("/remove/{kind:str}/{path:path}", status_code=200, opt=accepts(Revocation))
async def remove(
    actor: NamedDependency[Actor],
    acls: NamedDependency[Acls],
    kind: FromPath[str],
    path: FromPath[str],
    body: RawBody,
) -> Response[str]:
    """Take a principal's grant away."""
    await acls.remove(actor, kind, path_of(path), decode(body, Revocation))
    return text("Successfully removed granular acl")


router = Router("/acls", route_handlers=[get_acl, add, remove], tags=["acls"])
