"""The class `Windmill`: all nouns on one session."""

from __future__ import annotations

from . import unsupported
from .flows import Flows
from .launches import Launches
from .shared_directory import SharedDirectory
from .states import States
from .users import Users
from .variables import Variables


class Windmill(Variables, States, Launches, Flows, Users, SharedDirectory):
    """A client for one workspace of one server; may be shared by threads.

    Each noun is documented in its own module: `variables`, `resources`, `states`, `shared_directory`,
    `launches`, `jobs`, `flows`, `users`; `get`, `post` and `request` reach every other endpoint.
    """

    def __getattr__(self, name: str) -> object:
        return unsupported.client_attribute(name)
