"""Assembles the ASGI application from the services: dependencies, routes, errors, limits."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from litestar import Litestar, Request, Response, Router, get
from litestar.connection import ASGIConnection
from litestar.di import Provide
from litestar.exceptions import HTTPException, NotFoundException
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from millpond import __version__
from millpond.api import errors
from millpond.api.auth import guard_cross_site, provide_account, provide_actor
from millpond.api.bodies import json_of
from millpond.api.head_requests import HeadAnsweringApplication, guard_head
from millpond.api.launching import Waiter
from millpond.api.openapi import document
from millpond.api.routes import all_workspace_routers, instance_routers
from millpond.api.routes.instance import front_door
from millpond.base.errors import MillpondError
from millpond.base.settings import Settings
from millpond.services.cancellations import Cancellations
from millpond.services.waiting import CompletionWatch

_UNSERVED = "/internal-openapi"


@get("/openapi.json", include_in_schema=False)
async def openapi_document(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The OpenAPI document, made once."""
    state = request.app.state
    if "openapi" not in state:
        state["openapi"] = document(request.app)
    return json_of(state["openapi"])


async def _guard(request: Request[Any, Any, Any]) -> None:
    guard_head(request)
    guard_cross_site(request)


def build_application(
    services: Mapping[str, object], *, max_body_bytes: int, lifespan: list[Callable[[Litestar], Any]]
) -> Litestar:
    """The application. `services` are handed to route handlers by parameter name, and what waits for jobs as `waiter`."""
    waiter = Waiter(
        cast("Settings", services["settings"]),
        cast("CompletionWatch", services["completions"]),
        cast("Cancellations", services["cancellations"]),
    )
    workspace = Router(
        "/w/{workspace:str}",
        route_handlers=all_workspace_routers(),
        dependencies={"actor": Provide(provide_actor)},
    )
    api = Router(
        "/api",
        route_handlers=[workspace, *instance_routers(), openapi_document],
        dependencies={"account": Provide(provide_account)},
        before_request=_guard,
    )
    return HeadAnsweringApplication(
        route_handlers=[api, front_door],
        dependencies={name: _constant(service) for name, service in {**services, "waiter": waiter}.items()},
        exception_handlers={
            MillpondError: errors.answer_error,
            HTTPException: errors.answer_http_exception,
            Exception: errors.answer_bug,
        },
        openapi_config=_openapi_config(),
        request_max_body_size=max_body_bytes,
        lifespan=lifespan,
        logging_config=None,
    )


def _openapi_config() -> OpenAPIConfig:
    """Makes the framework describe the routes, and serve none of its own pages.

    It always adds a router for them, and pages that load scripts from other sites unless a renderer is named.
    """
    return OpenAPIConfig(
        title="Millpond",
        version=__version__,
        use_handler_docstrings=True,
        render_plugins=[JsonRenderPlugin()],
        openapi_router=Router(_UNSERVED, route_handlers=[], guards=[_refuse], include_in_schema=False),
    )


def _refuse(_: ASGIConnection[Any, Any, Any, Any], __: BaseRouteHandler) -> None:
    raise NotFoundException


def _constant(service: object) -> Provide:
    def provide() -> object:
        return service

    return Provide(provide, sync_to_thread=False, use_cache=True)
