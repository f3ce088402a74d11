"""Resources: JSON values with a type, which may refer to variables and to each other."""

from __future__ import annotations

from .encoding import quote_path
from .errors import NotFound
from .session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parse_resource_syntax(s: str | None) -> str | None:
    """The path in `$res:path` or `res://path`; None for anything else."""
    for prefix in ("$res:", "res://"):
        if s is not None and s.startswith(prefix):
            return s.removeprefix(prefix)
    return None


class Resources(Session):
    """`Windmill`'s calls on resources."""

    def get_resource(self, path: str, none_if_undefined: bool = False, interpolated: bool = True) -> Any:
        """The value of a resource, with its `$res:` and `$var:` references resolved if `interpolated`.

        A resource that does not exist raises NotFound, or gives None with `none_if_undefined`. Everything
        else that goes wrong raises in both cases: an outage or a denied read is not an absent resource.
        """
        path = parse_resource_syntax(path) or path
        if self.mocked_api is not None:
            if path in self.mocked_api["resources"]:
                return self.mocked_api["resources"][path]
            if none_if_undefined:
                return None
        verb = "get_value_interpolated" if interpolated else "get_value"
        try:
            return self.get(self.in_workspace(f"resources/{verb}/{quote_path(path)}")).json()
        except NotFound:
            if none_if_undefined:
                return None
            raise

    def set_resource(self, value: Any, path: str, resource_type: str) -> None:
        """Set the value of a resource, creating it when it does not exist.

        `resource_type` counts at creation only: an existing resource keeps its type.
        """
        path = parse_resource_syntax(path) or path
        if self.mocked_api is not None:
            self.mocked_api["resources"][path] = value
            return
        try:
            # Not `update_value`: Windmill answers that with 200 for a resource which does not exist.
            endpoint = self.in_workspace(f"resources/update/{quote_path(path)}")
            self.post(endpoint, json={"value": value}, repeatable=True)
        except NotFound:
            self.upsert_resource(path, value, resource_type)

    def upsert_resource(self, path: str, value: Any, resource_type: str) -> None:
        """Write value and type of a resource in one request, whether it exists or not."""
        body = {"path": path, "value": value, "resource_type": resource_type}
        endpoint = self.in_workspace("resources/create")
        self.post(endpoint, params={"update_if_exists": True}, json=body, repeatable=True)

    def list_resources(
        self,
        resource_type: str | None = None,
        page: int | None = None,
        per_page: int | None = None,
    ) -> Any:
        """The resources this token can see, as a list of objects without their values. `page` starts at 1."""
        asked = {"resource_type": resource_type, "page": page, "per_page": per_page}
        params = {name: value for name, value in asked.items() if value is not None}
        return self.get(self.in_workspace("resources/list"), params=params).json()
