"""A command group that imports a command only when it is asked for: the supervisor must not carry the server's modules."""

from collections.abc import Mapping
from importlib import import_module
from typing import cast

import click


class LazyGroup(click.Group):
    """Commands by name, each `module:attribute`."""

    def __init__(self, *, commands_by_name: Mapping[str, str], **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self._places = dict(commands_by_name)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names, in the order they are declared."""
        return [*self._places, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module; None for an unknown name."""
        place = self._places.get(cmd_name)
        if place is None:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = place.partition(":")
        return cast("click.Command", getattr(import_module(module), attribute))
