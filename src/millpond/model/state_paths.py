"""Where a job's state lives: unique to who runs it, the flow if any, and the script or step (DESIGN 5.1)."""

import hashlib

from millpond.base.paths import MAX_PATH

_DIGEST_HEX = 32
_PREVIEW_KINDS = frozenset({"preview", "flowpreview"})


def schedule_username(schedule_path: str) -> str:
    """The name a schedule runs under: `f/x/s` is `schedule-f-x-s`."""
    return "schedule-" + schedule_path.replace("/", "-")


def state_path_of(
    *,
    username: str,
    kind: str,
    path: str | None,
    schedule_path: str | None = None,
    flow_path: str | None = None,
    step_id: str | None = None,
    is_test: bool = False,
) -> str:
    """The path of the state resource of a job.

    `username` is who executes; a schedule has slots of its own. `flow_path` is the deployed flow the step belongs to, the
    same for every iteration and branch. Tests from an editor (`kind` preview, or
    a step of a test) have a slot below `u/<who>/preview/`, so
    that they never move production's cursor. Paths over 255 characters end in a hash of the whole.
    """
    who = schedule_username(schedule_path) if schedule_path else username
    if flow_path is not None:
        full = f"{flow_path}/{step_id or 'nostep'}_{who}"
    elif path is not None:
        full = f"{path}/{who}"
    else:
        full = f"u/{username}/preview/unnamed"
    if (is_test or kind in _PREVIEW_KINDS) and (flow_path or path):
        full = f"u/{username}/preview/" + (f"{flow_path}/{step_id or 'nostep'}" if flow_path else f"{path}")
    return _fitting(full)


def _fitting(path: str) -> str:
    if len(path) <= MAX_PATH:
        return path
    digest = hashlib.sha256(path.encode()).hexdigest()[:_DIGEST_HEX]
    return f"{path[: MAX_PATH - _DIGEST_HEX - 1].rstrip('/')}-{digest}"
