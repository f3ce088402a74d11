"""`wmill` as Millpond puts it into every Python job: the calls of Windmill's client, no dependencies.

    import wmill

    seen = wmill.get_state() or {"last_id": 0}
    ...
    wmill.set_state(seen)

It differs from the original where that one hides failures: `get_state()` is None only for a state that does
not exist, and an outage or a denied read raises a `WindmillError`. Writing a state is one request. A script
that lists `wmill` among its requirements gets the original instead.

Every job imports this package, so nothing slow is imported before it is needed: not `json` or `socket`, which
a job may never use, and neither `typing` (hence `TYPE_CHECKING = False`, which type checkers take for true)
nor `logging`.
"""

from __future__ import annotations

from . import client, unsupported
from .client import *  # noqa: F403

__all__ = client.__all__


def __getattr__(name: str) -> object:
    return unsupported.module_attribute(name)
