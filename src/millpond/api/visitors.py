"""Who opens a signed link: an account, or nobody in particular. The link is the proof; a login only adds a name."""

from litestar.di import NamedDependency
from litestar.params import FromPath

from millpond.api.auth import SESSION_COOKIE, AnyRequest
from millpond.base.errors import NotAuthenticated, NotFound, PermissionDenied
from millpond.model.actors import Actor
from millpond.services.identities import Identities

OWN_SITE = ("same-origin", "none")


async def provide_visitor(
    request: AnyRequest, identities: NamedDependency[Identities], workspace: FromPath[str]
) -> Actor | None:
    """The actor of the request; None without credentials, or with some that open nothing here."""
    token = _token_of(request)
    if token is None:
        return None
    try:
        return await identities.enter(token, workspace)
    except (NotAuthenticated, PermissionDenied, NotFound):
        return None


def _token_of(request: AnyRequest) -> str | None:
    """The bearer token, or the session of who opened the link on purpose. `?token=` is an approval's here.

    Links answer GET, for which browsers send the session's cookie along: whoever holds a link that asks for a login
    could have the browser of another, on a page of theirs, open it.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    if request.headers.get("sec-fetch-site", "none") not in OWN_SITE:
        return None
    return request.cookies.get(SESSION_COOKIE)
