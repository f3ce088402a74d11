"""`/scripts_u`: sources for import resolvers, which carry the token in the address instead of a header."""

from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from millpond.api.bodies import text
from millpond.api.routes.scripts import without_extension
from millpond.services.identities import Identities
from millpond.services.scripts import Scripts


@get("/tokened_raw/{workspace:str}/{token:str}/{path:path}")
async def get_tokened_raw(
    identities: NamedDependency[Identities],
    scripts: NamedDependency[Scripts],
    workspace: FromPath[str],
    token: FromPath[str],
    path: FromPath[str],
) -> Response[str]:
    """The source that is live at a path, for the owner of the token."""
    actor = await identities.enter(token, workspace)
    return text(await scripts.get_content(actor, without_extension(path)))


@get("/empty_ts/{path:path}")
async def get_empty(path: FromPath[str]) -> Response[str]:
    """An empty module, whatever the path: what resolvers put in place of imports they leave out."""
    del path
    return text("")


router = Router("/scripts_u", route_handlers=[get_tokened_raw, get_empty], tags=["scripts"])
