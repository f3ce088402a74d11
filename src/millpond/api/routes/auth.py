"""`/auth`: logging in and out. A session is a token in a cookie that scripts of a page cannot read."""

from litestar import Response, Router, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromPath, RawBody

from millpond.api.auth import SESSION_COOKIE, AnyRequest, token_of
from millpond.api.bodies import decode, text
from millpond.api.head_requests import ACTS
from millpond.api.openapi import accepts
from millpond.model.accounts import Login
from millpond.services.accounts import SESSION_LIFETIME, Accounts

_UNCACHED = {"cache-control": "no-store", "referrer-policy": "no-referrer"}


@post("/login", status_code=200, opt=accepts(Login))
async def login(request: AnyRequest, accounts: NamedDependency[Accounts], body: RawBody) -> Response[str]:
    """Log in: the token as text, and as a cookie."""
    given = decode(body, Login)
    token = await accounts.login(given.email, given.password)
    answer = text(token)
    answer.headers.update(_UNCACHED)
    answer.cookies.append(_session_cookie(request, token))
    return answer


@post("/logout", status_code=200)
async def logout(request: AnyRequest, accounts: NamedDependency[Accounts]) -> Response[str]:
    """Log out: the session ends everywhere it was copied to; tokens that are no sessions stay."""
    token = token_of(request)
    if token is not None:
        await accounts.logout(token)
    answer = text("logged out")
    answer.cookies.append(
        Cookie(key=SESSION_COOKIE, value="", max_age=0, path="/", httponly=True, samesite="lax")
    )
    return answer


@get("/link/{secret:str}", status_code=302, opt=ACTS)
async def redeem_link(
    request: AnyRequest, accounts: NamedDependency[Accounts], secret: FromPath[str]
) -> Response[str]:
    """Log in by a link that works once, and go to the start page."""
    token = await accounts.redeem_login_link(secret)
    answer = text("", 302)
    answer.headers.update({"location": "/", **_UNCACHED})
    answer.cookies.append(_session_cookie(request, token))
    return answer


def _session_cookie(request: AnyRequest, token: str) -> Cookie:
    return Cookie(
        key=SESSION_COOKIE,
        value=token,
        max_age=int(SESSION_LIFETIME.total_seconds()),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


router = Router("/auth", route_handlers=[login, logout, redeem_link], tags=["auth"])
