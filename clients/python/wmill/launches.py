"""Starting scripts and flows, with or without waiting for their result."""

# ruff: noqa: PLC0415  (imported when needed, see the package; parameters as in the original)
from __future__ import annotations

import os

from .encoding import quote, quote_path
from .errors import WindmillError
from .jobs import Jobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime as dt
    from typing import Any

    Timeout = dt.timedelta | int | float | None
    Args = dict[str, Any] | None


class Launches(Jobs):
    """`Windmill`'s calls that create jobs; a launch that may have arrived is never sent again."""

    def run_script_async(
        self,
        path: str | None = None,
        hash_: str | None = None,
        args: Args = None,
        scheduled_in_secs: int | None = None,
        tag: str | None = None,
    ) -> str:
        """Start a script by path or by hash, exactly one of them; returns the job id."""
        return self._launch_script(path, hash_, args, scheduled_in_secs, tag)

    def run_script_by_path_async(
        self,
        path: str,
        args: Args = None,
        scheduled_in_secs: int | None = None,
        tag: str | None = None,
        retry: dict[str, Any] | None = None,
    ) -> str:
        """Start the latest version of a script; returns the job id.

        `retry` is a policy as schedules and steps have it, for example
        `{"constant": {"attempts": 3, "seconds": 10}}`; the returned id is that of the first attempt.
        """
        return self._launch_script(path, None, args, scheduled_in_secs, tag, retry)

    def run_script_by_hash_async(
        self,
        hash_: str,
        args: Args = None,
        scheduled_in_secs: int | None = None,
        tag: str | None = None,
        retry: dict[str, Any] | None = None,
    ) -> str:
        """Start one version of a script; returns the job id. `retry` as in `run_script_by_path_async`."""
        return self._launch_script(None, hash_, args, scheduled_in_secs, tag, retry)

    def run_flow_async(
        self,
        path: str,
        args: Args = None,
        scheduled_in_secs: int | None = None,
        do_not_track_in_parent: bool = True,
        tag: str | None = None,
    ) -> str:
        """Start a flow; returns the job id.

        Set `do_not_track_in_parent` to False only to wait for it with nothing else running beside it: the
        flow then counts as part of the calling job.
        """
        if not path:
            raise WindmillError("path must be provided")
        params = _launch_params(scheduled_in_secs, tag) | ({} if do_not_track_in_parent else _parents())
        return self.post(
            self.in_workspace(f"jobs/run/f/{quote_path(path)}"), json=args or {}, params=params
        ).text

    def run_script(
        self,
        path: str | None = None,
        hash_: str | None = None,
        args: Args = None,
        timeout: Timeout = None,
        verbose: bool = False,
        cleanup: bool = True,
        assert_result_is_not_none: bool = False,
        tag: str | None = None,
    ) -> Any:
        """Run a script by path or by hash, exactly one of them, and return its result; see `wait_job`."""
        job_id = self._launch_script(path, hash_, args, None, tag)
        return self.wait_job(job_id, timeout, verbose, cleanup, assert_result_is_not_none)

    def run_script_by_path(
        self,
        path: str,
        args: Args = None,
        timeout: Timeout = None,
        verbose: bool = False,
        cleanup: bool = True,
        assert_result_is_not_none: bool = False,
        tag: str | None = None,
    ) -> Any:
        """Run the latest version of a script and return its result; see `wait_job`."""
        return self.run_script(path, None, args, timeout, verbose, cleanup, assert_result_is_not_none, tag)

    def run_script_by_hash(
        self,
        hash_: str,
        args: Args = None,
        timeout: Timeout = None,
        verbose: bool = False,
        cleanup: bool = True,
        assert_result_is_not_none: bool = False,
        tag: str | None = None,
    ) -> Any:
        """Run one version of a script and return its result; see `wait_job`."""
        return self.run_script(None, hash_, args, timeout, verbose, cleanup, assert_result_is_not_none, tag)

    def run_inline_script_preview(self, content: str, language: str, args: Args = None) -> Any:
        """Run code that is not deployed and return its result."""
        verb = "run_inline" if self.worker_has_internal_server() else "run_wait_result"
        body = {"content": content, "language": language, "args": args or {}}
        return self.post(self.in_workspace(f"jobs/{verb}/preview"), json=body).json()

    def _launch_script(
        self,
        path: str | None,
        hash_: str | None,
        args: Args,
        scheduled_in_secs: int | None,
        tag: str | None,
        retry: dict[str, Any] | None = None,
    ) -> str:
        if bool(path) == bool(hash_):
            raise WindmillError("path or hash_ must be provided, and not both")
        runnable = f"p/{quote_path(path)}" if path else f"h/{quote(hash_ or '')}"
        params = _launch_params(scheduled_in_secs, tag, retry) | _parents()
        return self.post(self.in_workspace(f"jobs/run/{runnable}"), json=args or {}, params=params).text


def _launch_params(
    scheduled_in_secs: int | None, tag: str | None, retry: dict[str, Any] | None = None
) -> dict[str, Any]:
    params: dict[str, Any] = {}
    if scheduled_in_secs:
        params["scheduled_in_secs"] = scheduled_in_secs
    if tag:
        params["tag"] = tag
    if retry:
        import json

        params["retry"] = json.dumps(retry)
    return params


def _parents() -> dict[str, str]:
    """What makes a started job a child of the running one."""
    known = {"parent_job": "WM_JOB_ID", "root_job": "WM_ROOT_FLOW_JOB_ID"}
    return {name: os.environ[variable] for name, variable in known.items() if os.environ.get(variable)}
