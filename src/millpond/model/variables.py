"""Variables, secret or not: their shapes on the wire (compat facts, storage 3)."""

from datetime import datetime

import msgspec


class Variable(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A variable as the API answers it; a secret's `value` is null unless it is asked for.

    What is unset is left out: the `wmill` CLI takes a null or false there for an edit, at every pull.
    """

    workspace_id: str
    path: str
    value: str | None
    is_secret: bool
    description: str
    extra_perms: dict[str, bool]
    edited_at: datetime
    edited_by: str
    is_linked: bool
    labels: list[str] | None = None
    account: int | None = None
    is_oauth: bool = False
    expires_at: datetime | None = None


class NewVariable(msgspec.Struct, frozen=True, kw_only=True):
    """The body that creates a variable."""

    path: str
    value: str
    is_secret: bool
    description: str = ""
    labels: list[str] | None = None
    account: int | None = None
    is_oauth: bool | None = None
    expires_at: datetime | None = None


class VariableChange(msgspec.Struct, frozen=True, kw_only=True):
    """The body that changes a variable;

    What is left out, or null, stays as it is (`expires_at` null removes it).
    """

    path: str | None = None
    value: str | None = None
    is_secret: bool | None = None
    description: str | None = None
    labels: list[str] | msgspec.UnsetType | None = msgspec.UNSET
    expires_at: datetime | msgspec.UnsetType | None = msgspec.UNSET


class VariableFilters(msgspec.Struct, frozen=True, kw_only=True):
    """What `list` may be narrowed by; secret values are never matched."""

    path_start: str | None = None
    path: str | None = None
    description: str | None = None
    value: str | None = None
    broad_filter: str | None = None
    labels: list[str] | None = None


class ContextualVariable(msgspec.Struct, frozen=True, kw_only=True):
    """An environment variable every job finds, with an example of its value."""

    name: str
    value: str
    description: str
    is_custom: bool = False


def contextual_variables(workspace_id: str, username: str, email: str) -> list[ContextualVariable]:
    """The environment variables of jobs, for someone who writes a script."""
    job_id = "017e0ad5-f499-73b6-5488-92a61c5196dd"
    flow_path = f"u/{username}/my_flow"
    rows = [
        ("WM_WORKSPACE", workspace_id, "Workspace of the job"),
        ("WM_TOKEN", "<token>", "Token with the permissions of the job, valid while it runs"),
        ("WM_EMAIL", email, "E-mail of the account the job runs as"),
        ("WM_USERNAME", username, "Username of whoever started the job"),
        ("WM_BASE_URL", "http://localhost:8000", "Public address of this instance"),
        ("BASE_INTERNAL_URL", "http://localhost:8000", "Address at which jobs reach this instance"),
        ("WM_JOB_ID", job_id, "Id of the job"),
        ("WM_SCHEDULED_FOR", "2026-01-31T12:00:00Z", "Time the job was scheduled for"),
        ("WM_JOB_PATH", f"u/{username}/my_script", "Path of the script or flow"),
        ("WM_FLOW_JOB_ID", job_id, "Id of the flow's job, if the job is a step"),
        ("WM_ROOT_FLOW_JOB_ID", job_id, "Id of the enclosing flow's job, if the job is a step"),
        ("WM_ROOT_JOB_ID", job_id, "Id of the outermost job"),
        ("WM_FLOW_PATH", flow_path, "Path of the flow, if the job is a step"),
        ("WM_SCHEDULE_PATH", f"u/{username}/my_schedule", "Path of the schedule, if one started the job"),
        ("WM_PERMISSIONED_AS", f"u/{username}", "Principal whose permissions the job has"),
        ("WM_STATE_PATH", f"{flow_path}/a_{username}", "Path of the job's own state"),
        ("WM_STATE_PATH_NEW", f"{flow_path}/a_{username}", "The same, under its other name"),
        ("WM_FLOW_STEP_ID", "a", "Id of the step, if the job is one"),
        (
            "WM_OBJECT_PATH",
            f"u_{username}_my_flow/manual/a/1769860800000_{job_id}",
            "Unique path for objects of this run",
        ),
        ("WM_WORKER_GROUP", "default", "Group of the worker"),
        ("WM_RUNNABLE_ID", "1a2b3c4d5e6f7081", "Hash of the script"),
    ]
    return [ContextualVariable(name=name, value=value, description=text) for name, value, text in rows]
