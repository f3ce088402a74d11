"""From a request to the actor behind it: bearer header, session cookie or `token` query value."""

from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import FromPath

from millpond.base.errors import NotAuthenticated
from millpond.model.actors import Account, Actor
from millpond.services.identities import Identities

SESSION_COOKIE = "token"

AnyRequest = Request[Any, Any, Any]


def token_of(request: AnyRequest) -> str | None:
    """The credentials a request carries, if any: what it shows itself wins over the session's cookie."""
    return _shown_token(request) or request.cookies.get(SESSION_COOKIE)


def uses_session(request: AnyRequest) -> bool:
    """Whether the browser's cookie is what the request acts by: then a foreign page may be behind it."""
    return _shown_token(request) is None


def _shown_token(request: AnyRequest) -> str | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    return request.query_params.get("token") or None


async def provide_account(request: AnyRequest, identities: NamedDependency[Identities]) -> Account:
    """The account of the request. Raises NotAuthenticated."""
    token = token_of(request)
    if token is None:
        raise NotAuthenticated("no token: send 'Authorization: Bearer <token>', or log in")
    return await identities.authenticate(token)


async def provide_actor(
    request: AnyRequest, identities: NamedDependency[Identities], workspace: FromPath[str]
) -> Actor:
    """The account of the request inside the workspace of its path. Raises NotAuthenticated, PermissionDenied, NotFound."""
    token = token_of(request)
    if token is None:
        raise NotAuthenticated("no token: send 'Authorization: Bearer <token>', or log in")
    return await identities.enter(token, workspace)


def guard_cross_site(request: AnyRequest) -> None:
    """Refuse a change that a foreign page makes with the visitor's cookie. Raises NotAuthenticated.

    The cookie is SameSite=Lax; this also covers browsers that do not honour it. Bearer tokens need no guard.
    """
    if not uses_session(request) or request.method in ("GET", "HEAD", "OPTIONS"):
        return
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise NotAuthenticated("a page of another site may not use your session")


__all__ = ["AnyRequest", "guard_cross_site", "provide_account", "provide_actor", "token_of", "uses_session"]
