"""Who is calling, and the server's version."""

from __future__ import annotations

import datetime as dt
import time

from .encoding import quote
from .session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Users(Session):
    """`Windmill`'s calls on the server and its users."""

    @property
    def version(self) -> str:
        """The version text of the server."""
        return self.get("version").text

    @property
    def user(self) -> Any:
        """The same as `whoami()`."""
        return self.whoami()

    def whoami(self) -> Any:
        """The user this token acts for."""
        return self.get("users/whoami").json()

    def username_to_email(self, username: str) -> str:
        """The address of a user of this workspace."""
        return self.get(self.in_workspace(f"users/username_to_email/{quote(username)}")).text

    def create_token(self, duration: dt.timedelta = dt.timedelta(days=1)) -> str:
        """Make a token for the calling user that ends after `duration`."""
        expiration = dt.datetime.now(dt.UTC) + duration
        body = {"label": f"refresh {time.time()}", "expiration": f"{expiration:%Y-%m-%dT%H:%M:%SZ}"}
        return self.post("users/tokens/create", json=body).text
