"""HEAD requests: answered as GET is, without the body. Where a GET acts (starts a job, spends a link) they are refused."""

from typing import Any, cast

from litestar import Litestar, Request
from litestar.exceptions import MethodNotAllowedException
from litestar.types import Message, Scope, Send

ACTS = {"acts": True}
"""The `opt` of a GET that changes something; one that a POST to the same address may replace needs none."""

_MARK = "millpond_head"


class HeadAnsweringApplication(Litestar):
    """An application that also knows HEAD, which the framework serves only where a route of its own is written for it."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await super().__call__(scope, receive, send)
            return
        # A copy: the server must go on knowing that this is a HEAD request.
        as_get = cast("Scope", {**scope, "method": "GET", _MARK: True})
        await super().__call__(as_get, receive, _without_body(send))


def _without_body(send: Send) -> Send:
    async def send_start(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            # At once: the body of an event stream would keep the caller waiting.
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    return send_start


def guard_head(request: Request[Any, Any, Any]) -> None:
    """Refuse a HEAD request to what would act. Raises MethodNotAllowedException."""
    handler = request.route_handler
    if _MARK in request.scope and (handler.http_methods != {"GET"} or handler.opt.get("acts")):
        raise MethodNotAllowedException
