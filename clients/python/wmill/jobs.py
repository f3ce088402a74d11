"""Jobs that exist already: looking at them, waiting for them, cancelling them."""

# ruff: noqa: PLC0415  (imported when needed, see the package)
from __future__ import annotations

import atexit
import os
import sys
import time

from .encoding import quote
from .errors import InvalidAnswer, JobFailed, WindmillError
from .session import Session

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable
    from typing import Any, Literal

    from .response import Response

    JobStatus = Literal["RUNNING", "WAITING", "COMPLETED"]
else:
    JobStatus = str

_FIRST_POLL_SECONDS = 0.02
_SLOWEST_POLL_SECONDS = 0.5


class Jobs(Session):
    """`Windmill`'s calls on existing jobs."""

    def get_job(self, job_id: str) -> Any:
        """Everything the server knows about a job, as an object with `type` QueuedJob or CompletedJob."""
        return self.get(self.in_workspace(f"jobs_u/get/{quote(job_id)}")).json()

    def get_job_status(self, job_id: str) -> JobStatus:
        """WAITING, RUNNING or COMPLETED, the last whether it succeeded or not."""
        job = self.get_job(job_id)
        kind = job.get("type") or ""
        if not kind:
            raise WindmillError(f"{job} is not a valid job")
        if kind.lower() == "completedjob":
            return "COMPLETED"
        return "RUNNING" if job.get("running") else "WAITING"

    def get_root_job_id(self, job_id: str | None = None) -> Any:
        """The id of the outermost job above a job, by default the running one."""
        job_id = job_id or os.environ.get("WM_JOB_ID") or ""
        return self.get(self.in_workspace(f"jobs_u/get_root_job_id/{quote(job_id)}")).json()

    def get_result(self, job_id: str, assert_result_is_not_none: bool = True) -> Any:  # noqa: ARG002
        """The result of a completed job, an object with `error` if it failed; NotFound while it runs.

        `assert_result_is_not_none` has no effect, here as in the `wmill` package: a null result is None.
        """
        answer = self.get(self.in_workspace(f"jobs_u/completed/get_result/{quote(job_id)}"))
        try:
            return answer.json()
        except InvalidAnswer:
            return answer.text

    def wait_job(
        self,
        job_id: str,
        timeout: dt.timedelta | int | float | None = None,
        verbose: bool = False,
        cleanup: bool = True,
        assert_result_is_not_none: bool = False,
    ) -> Any:
        """Wait until a job is completed and return its result.

        After `timeout` (seconds, or a timedelta) the job is cancelled and TimeoutError raised. With `cleanup`
        the job is cancelled too when this process ends before it. Raises JobFailed when it did not succeed.
        """
        forget_cleanup = self._cancel_at_exit(job_id) if cleanup else _nothing
        seconds = timeout if timeout is None or isinstance(timeout, (int, float)) else timeout.total_seconds()
        deadline = time.monotonic() + seconds if seconds else None
        pause = _FIRST_POLL_SECONDS
        while True:
            state = self._poll(job_id)
            if state["completed"]:
                forget_cleanup()
                return _result_of(job_id, state, assert_result_is_not_none)
            if deadline is not None and time.monotonic() > deadline:
                self._cancel(job_id, "reached timeout")
                forget_cleanup()
                raise TimeoutError("reached timeout")
            if verbose:
                _narrate(job_id, started=bool(state["started"]), pause=pause)
            time.sleep(pause if deadline is None else min(pause, max(deadline - time.monotonic(), 0) + 0.001))
            # Short jobs are answered at once, long ones cost the server two requests a second.
            pause = min(pause * 1.5, _SLOWEST_POLL_SECONDS)

    def cancel_job(self, job_id: str, reason: str | None = None) -> str:
        """Cancel a job; returns what the server says about it."""
        return self._cancel(job_id, reason or "cancelled via cancel_job method").text

    def cancel_running(self) -> dict[str, Response]:
        """Cancel the other running jobs of this script; returns the server's answers by job id.

        Raises WindmillError when the script has no path: without one the list would hold everybody's jobs.
        """
        if not self.path:
            raise WindmillError("cancel_running needs WM_JOB_PATH: this job's script has no path")
        params = {"running": "true", "script_path_exact": self.path}
        jobs = self.get(self.in_workspace("jobs/list"), params=params).json()
        others = [job["id"] for job in jobs if job["id"] != os.environ.get("WM_JOB_ID")]
        return {job_id: self._cancel(job_id, "killed by `cancel_running` method") for job_id in others}

    def _poll(self, job_id: str) -> Any:
        return self.get(self.in_workspace(f"jobs_u/completed/get_result_maybe/{quote(job_id)}")).json()

    def _cancel(self, job_id: str, reason: str) -> Response:
        endpoint = self.in_workspace(f"jobs_u/queue/cancel/{quote(job_id)}")
        return self.post(endpoint, json={"reason": reason}, repeatable=True)

    def _cancel_at_exit(self, job_id: str) -> Callable[[], None]:
        """Cancel a job when this process ends; returns the call that takes it back."""
        process_id = os.getpid()

        def cancel() -> None:
            if os.getpid() != process_id:  # a fork that ends is not the waiting process
                return
            try:
                self._cancel(job_id, "parent script cancelled")
            except WindmillError as error:
                sys.stderr.write(f"Could not cancel job {job_id} at exit: {error}\n")

        atexit.register(cancel)
        return lambda: atexit.unregister(cancel)


def _nothing() -> None:
    pass


def _result_of(job_id: str, state: dict[str, Any], assert_result_is_not_none: bool) -> Any:
    result = state["result"]
    if not state["success"]:
        raise JobFailed(job_id, result.get("error", result) if isinstance(result, dict) else result)
    if result is None and assert_result_is_not_none:
        raise WindmillError("Result was none")
    return result


def _narrate(job_id: str, *, started: bool, pause: float) -> None:
    import logging  # 6 ms, for callers who asked to be told

    logger = logging.getLogger("windmill_client")
    if not started:
        logger.info("job %s has not started yet", job_id)
    logger.info("sleeping %.2f seconds for job %s", pause, job_id)
