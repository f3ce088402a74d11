"""The environment a job sees: the contextual variables of compat facts, storage 3.4, and nothing of the worker's own."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from millpond.base.ids import hash_to_hex
from millpond.model.jobs import Claim
from millpond.model.state_paths import state_path_of

SAFE_PATH = "/usr/local/bin:/usr/bin:/bin"


class Addresses(NamedTuple):
    """Where jobs reach the server, and where users do."""

    internal: str
    public: str


def state_path(claim: Claim) -> str:
    """The state path of a claimed job."""
    return state_path_of(
        username=claim.created_by,
        kind=claim.kind,
        path=claim.runnable_path,
        schedule_path=claim.schedule_path,
        flow_path=claim.flow_path,
        step_id=claim.flow_step_id,
        is_test=claim.is_test,
    )


def job_environment(
    claim: Claim, token: str, addresses: Addresses, worker_group: str, timezone: str, own: Mapping[str, str]
) -> dict[str, str]:
    """All variables of a job's process. `own` are those the script sets itself; they cannot replace the others."""
    path = claim.runnable_path or ""
    flow = str(claim.parent_job) if claim.flow_step_id and claim.parent_job else ""
    root = claim.root_job or claim.parent_job
    state = state_path(claim)
    trigger = (claim.schedule_path or "manual").replace("/", "_")
    milliseconds = int(claim.scheduled_for.timestamp() * 1000)
    return {
        **own,
        "PATH": SAFE_PATH,
        "TZ": timezone,
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "BASE_INTERNAL_URL": addresses.internal,
        "WM_BASE_URL": addresses.public,
        "WM_TOKEN": token,
        "WM_WORKSPACE": claim.workspace_id,
        "WM_EMAIL": claim.email,
        "WM_USERNAME": claim.created_by,
        "WM_PERMISSIONED_AS": claim.permissioned_as,
        "WM_JOB_ID": str(claim.job_id),
        "WM_JOB_PATH": path,
        "WM_RUNNABLE_ID": "" if claim.script_hash is None else hash_to_hex(claim.script_hash),
        "WM_FLOW_JOB_ID": flow,
        "WM_ROOT_FLOW_JOB_ID": str(root) if root and claim.flow_step_id else "",
        "WM_ROOT_JOB_ID": str(root or claim.job_id),
        "WM_FLOW_PATH": claim.flow_path or "",
        "WM_FLOW_STEP_ID": claim.flow_step_id or "",
        "WM_SCHEDULE_PATH": claim.schedule_path or "",
        "WM_SCHEDULED_FOR": _seconds(claim.scheduled_for),
        "WM_STATE_PATH": state,
        "WM_STATE_PATH_NEW": state,
        "WM_OBJECT_PATH": f"{path}/{trigger}/{milliseconds}_{claim.job_id}",
        "WM_WORKER_GROUP": worker_group,
        "WM_END_USER_EMAIL": "",
    }


def _seconds(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
