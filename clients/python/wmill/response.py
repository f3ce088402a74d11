"""What the server answered, in the shape users of the original know: `.json()`, `.text`, `.status_code`."""

# ruff: noqa: PLC0415  (imported when needed, see the package)
from __future__ import annotations

from .errors import InvalidAnswer, api_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Headers(dict[str, str]):
    """Header fields by lower-case name; looking one up ignores case."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


class Response:
    """One complete answer; the connection it came over is already free again."""

    __slots__ = ("content", "headers", "status_code", "url")

    def __init__(self, status_code: int, headers: Headers, content: bytes, url: str = "") -> None:
        self.status_code = status_code
        self.headers = headers
        self.content = content
        self.url = url

    def __repr__(self) -> str:
        return f"<Response [{self.status_code}]>"

    @property
    def text(self) -> str:
        """The body as UTF-8; bytes that are not are replaced."""
        return self.content.decode(errors="replace")

    @property
    def is_success(self) -> bool:
        return 200 <= self.status_code < 300

    def json(self) -> Any:
        """The body as JSON; raises InvalidAnswer when it is not."""
        import json  # see encoding.encode_json

        try:
            return json.loads(self.content)
        except ValueError as error:
            raise InvalidAnswer(f"{self.url}: not JSON but {self.text[:200]!r}") from error

    def raise_for_status(self) -> Response:
        """Raise the ApiError for this status unless it is a success."""
        if not self.is_success:
            raise api_error(self.status_code, self.text, self.url)
        return self
