"""Variables: text values, secret or not."""

from __future__ import annotations

from .encoding import quote_path
from .errors import ApiError, NotFound
from .session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parse_variable_syntax(s: str) -> str | None:
    """The path in `var://path`; None for anything else."""
    return s.removeprefix("var://") if s.startswith("var://") else None


class Variables(Session):
    """`Windmill`'s calls on variables."""

    def get_variable(self, path: str) -> Any:
        """The value of a variable, a secret one in the clear. Raises NotFound when there is none."""
        path = parse_variable_syntax(path) or path
        if self.mocked_api is not None and path in self.mocked_api["variables"]:
            return self.mocked_api["variables"][path]
        return self.get(self.in_workspace(f"variables/get_value/{quote_path(path)}")).json()

    def set_variable(self, path: str, value: str, is_secret: bool = False) -> None:
        """Set the value of a variable, creating it when it does not exist.

        `is_secret` counts at creation only: an existing variable stays as secret as it is.
        """
        path = parse_variable_syntax(path) or path
        if self.mocked_api is not None:
            self.mocked_api["variables"][path] = value
            return
        try:
            self._update_variable(path, value)
        except NotFound:
            self._create_variable(path, value, is_secret)

    def _update_variable(self, path: str, value: str) -> None:
        endpoint = self.in_workspace(f"variables/update/{quote_path(path)}")
        self.post(endpoint, json={"value": value}, repeatable=True)

    def _create_variable(self, path: str, value: str, is_secret: bool) -> None:
        body = {"path": path, "value": value, "is_secret": is_secret, "description": ""}
        try:
            self.post(self.in_workspace("variables/create"), json=body)
        except ApiError as error:
            if "already exists" not in error.body:
                raise
            self._update_variable(path, value)  # another job created it between our two requests
