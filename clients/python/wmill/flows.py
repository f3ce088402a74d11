"""What a step asks of its flow and its worker: user states, approval links, progress."""

from __future__ import annotations

import os
import sys

from .encoding import encode_json, quote
from .errors import NotFound
from .jobs import Jobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Flows(Jobs):
    """`Windmill`'s calls on the flow around the running job."""

    def set_flow_user_state(self, key: str, value: Any) -> None:
        """Keep a value under a key of the outermost flow, for its other steps.

        Outside a flow nothing is kept and a line on stderr says so, as in the `wmill` package; everything
        else that goes wrong raises.
        """
        flow_id = self._root_job_id()
        try:
            self.post(self._user_state(flow_id, key), content=encode_json(value), repeatable=True)
        except NotFound:
            _say_not_a_flow(flow_id)

    def get_flow_user_state(self, key: str) -> Any:
        """The value under a key of the outermost flow; None without a value, or a flow (said on stderr)."""
        flow_id = self._root_job_id()
        try:
            return self.get(self._user_state(flow_id, key)).json()
        except NotFound:
            _say_not_a_flow(flow_id)
            return None

    def get_resume_urls(self, approver: str | None = None, flow_level: bool | None = None) -> Any:
        """The links `approvalPage`, `resume` and `cancel` for the suspension after this step.

        `approver` is written into the approval. With `flow_level` they fit any later suspension of the flow.
        """
        asked = {"approver": approver, "flow_level": flow_level}
        params = {name: value for name, value in asked.items() if value is not None}
        nonce = int.from_bytes(os.urandom(8), "big") % 1_000_000_000
        job_id = os.environ.get("WM_JOB_ID") or "NO_ID"
        return self.get(self.in_workspace(f"jobs/resume_urls/{quote(job_id)}/{nonce}"), params=params).json()

    def set_progress(self, value: int, job_id: str | None = None) -> None:
        """Show how much of a job, by default the running one, is done: 0 to 99 percent."""
        if job_id is None or job_id == os.environ.get("WM_JOB_ID"):
            flow_id = os.environ.get("WM_FLOW_JOB_ID")
        else:
            flow_id = self.get_job(job_id).get("parent_job")
        body = {"percent": value, "flow_job_id": flow_id or None}
        self.post(self._progress("set_progress", job_id), json=body, repeatable=True)

    def get_progress(self, job_id: str | None = None) -> Any:
        """The percentage shown for a job, by default the running one; None when none was set."""
        return self.get(self._progress("get_progress", job_id)).json()

    def worker_is_draining(self, job_id: str | None = None) -> Any:
        """Whether the worker of a job, by default the running one, was told to stop.

        It waits for its jobs: a long one can look here and end early.
        """
        job_id = job_id or os.environ.get("WM_JOB_ID") or ""
        return self.get(self.in_workspace(f"jobs/worker_is_draining/{quote(job_id)}")).json()

    def _root_job_id(self) -> str:
        # The worker knows it and exports it, which saves a request per call.
        return os.environ.get("WM_ROOT_JOB_ID") or str(self.get_root_job_id())

    def _user_state(self, flow_id: str, key: str) -> str:
        return self.in_workspace(f"jobs/flow/user_states/{quote(flow_id)}/{quote(key)}")

    def _progress(self, verb: str, job_id: str | None) -> str:
        return self.in_workspace(f"job_metrics/{verb}/{quote(job_id or os.environ.get('WM_JOB_ID') or '')}")


def _say_not_a_flow(job_id: str) -> None:
    sys.stderr.write(f"Job {job_id} does not exist or is not a flow\n")
