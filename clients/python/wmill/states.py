"""States: what a script remembers from one run to the next.

Reading takes one request and never interpolates: a state that contains text like `$var:…` comes back as it
was written. Writing takes one request and replaces the whole value.
"""

from __future__ import annotations

import os

from .errors import WindmillError
from .resources import Resources, parse_resource_syntax

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class States(Resources):
    """`Windmill`'s calls on states."""

    @property
    def state_path(self) -> str:
        """Where the state of the running script or step is kept. Raises WindmillError outside a job."""
        path = os.environ.get("WM_STATE_PATH_NEW") or os.environ.get("WM_STATE_PATH")
        if not path:
            raise WindmillError("State path not found: neither WM_STATE_PATH_NEW nor WM_STATE_PATH is set")
        return path

    @property
    def state(self) -> Any:
        """The state at `state_path`; assigning writes it."""
        return self.get_state()

    @state.setter
    def state(self, value: Any) -> None:
        self.set_state(value)

    def get_state(self, path: str | None = None) -> Any:
        """The state at `path`, by default the script's own; None when it does not exist.

        Raises PermissionDenied, ConnectionFailed or another WindmillError when it could not be read: going on
        with None then would start over from nothing and overwrite what is there.
        """
        return self.get_resource(path or self.state_path, none_if_undefined=True, interpolated=False)

    def set_state(self, value: Any, path: str | None = None) -> None:
        """Write the state at `path`, by default the script's own; None is a value like any other.

        Raises TypeError for what JSON cannot hold; nothing is written then.
        """
        path = path or self.state_path
        path = parse_resource_syntax(path) or path
        if self.mocked_api is not None:
            self.mocked_api["resources"][path] = value
            return
        try:
            self.upsert_resource(path, value, "state")
        except (TypeError, RecursionError) as error:
            raise TypeError(f"The new value of state '{path}' cannot be written as JSON: {error}") from error
