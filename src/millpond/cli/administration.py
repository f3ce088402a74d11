"""What administration commands share: acting as the operator, on the instance of this machine, whether it runs or not."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from millpond.app import Services
from millpond.base.errors import NotFound, PermissionDenied, StartupRefused
from millpond.base.settings import Settings
from millpond.cli.database import run_with_services
from millpond.model.actors import Actor
from millpond.services.instance import OPERATOR
from millpond.store.embedded.layout import Layout

ADMINISTRATION_SETTINGS = ("data_dir", "database_url", "log_level", "log_format")
"""The settings every administration command takes as options."""

PAGE = 1000

T = TypeVar("T")


def operate(settings: Settings, work: Callable[[Services], Awaitable[T]]) -> T:
    """Run one use case; `work` passes OPERATOR, or the actor of `actor_in`, as the one who asks.

    Raises StartupRefused where no instance was prepared, without creating any of its files, and PermissionDenied
    for users of this machine other than the one who runs the instance.
    """
    try:
        if settings.database_url is None and not Layout(settings.data_dir).cluster.exists():
            raise StartupRefused(
                f"There is no instance in {settings.data_dir}: name its folder with --data-dir, "
                "or prepare a new one with 'millpond serve' or 'millpond migrate'"
            )
        return run_with_services(settings, work)
    except PermissionError as error:
        raise PermissionDenied(
            f"Only the user who runs the instance administers it: {error.filename or settings.data_dir} cannot be read"
        ) from None


async def actor_in(services: Services, workspace_id: str) -> Actor:
    """The operator inside a workspace, archived ones included. Raises NotFound."""
    if not await services.workspaces.exists(OPERATOR, workspace_id):
        raise NotFound(f"No workspace {workspace_id}")
    return Actor(
        workspace_id=workspace_id,
        email=OPERATOR.email,
        username=OPERATOR.username,
        is_superadmin=True,
        is_admin=True,
    )


async def every(page: Callable[[int, int], Awaitable[list[T]]]) -> list[T]:
    """All items of a list that is answered in pages; `page` takes limit and offset."""
    items: list[T] = []
    while True:
        more = await page(PAGE, len(items))
        items += more
        if len(more) < PAGE:
            return items
