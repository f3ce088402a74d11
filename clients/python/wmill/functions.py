"""The functions of the package: each calls the method of its name on one `Windmill` for the process.

That client is made from the job's environment at the first call. Documentation of each is with its method.
"""

from __future__ import annotations

from .windmill import Windmill

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime as dt
    from typing import Any

    from .jobs import JobStatus
    from .launches import Args, Timeout
    from .response import Response

_client: Windmill | None = None


def _windmill() -> Windmill:
    global _client  # noqa: PLW0603  (the one client of the process)
    if _client is None:
        _client = Windmill()
    return _client


def get_workspace() -> str:
    """The id of the job's workspace."""
    return _windmill().workspace


def get_version() -> str:
    """`Windmill.version`."""
    return _windmill().version


def whoami() -> Any:
    """`Windmill.whoami`."""
    return _windmill().whoami()


def username_to_email(username: str) -> str:
    """`Windmill.username_to_email`."""
    return _windmill().username_to_email(username)


def get_variable(path: str) -> Any:
    """`Windmill.get_variable`."""
    return _windmill().get_variable(path)


def set_variable(path: str, value: str, is_secret: bool = False) -> None:
    """`Windmill.set_variable`."""
    _windmill().set_variable(path, value, is_secret)


def get_resource(path: str, none_if_undefined: bool = False, interpolated: bool = True) -> Any:
    """`Windmill.get_resource`."""
    return _windmill().get_resource(path, none_if_undefined, interpolated)


def set_resource(path: str, value: Any, resource_type: str = "any") -> None:
    """`Windmill.set_resource`, with path and value the other way round."""
    _windmill().set_resource(value, path, resource_type)


def list_resources(
    resource_type: str | None = None, page: int | None = None, per_page: int | None = None
) -> Any:
    """`Windmill.list_resources`."""
    return _windmill().list_resources(resource_type, page, per_page)


def get_state(path: str | None = None) -> Any:
    """`Windmill.get_state`."""
    return _windmill().get_state(path)


def set_state(value: Any, path: str | None = None) -> None:
    """`Windmill.set_state`."""
    _windmill().set_state(value, path)


def get_state_path() -> str:
    """`Windmill.state_path`."""
    return _windmill().state_path


def set_shared_state(value: Any, path: str = "state.json") -> None:
    """`Windmill.set_shared_state`."""
    Windmill.set_shared_state(value, path)


def get_shared_state(path: str = "state.json") -> Any:
    """`Windmill.get_shared_state`."""
    return Windmill.get_shared_state(path)


def set_shared_state_pickle(value: Any, path: str = "state.pickle") -> None:
    """`Windmill.set_shared_state_pickle`."""
    Windmill.set_shared_state_pickle(value, path)


def get_shared_state_pickle(path: str = "state.pickle") -> Any:
    """`Windmill.get_shared_state_pickle`."""
    return Windmill.get_shared_state_pickle(path)


def get_flow_user_state(key: str) -> Any:
    """`Windmill.get_flow_user_state`."""
    return _windmill().get_flow_user_state(key)


def set_flow_user_state(key: str, value: Any) -> None:
    """`Windmill.set_flow_user_state`."""
    _windmill().set_flow_user_state(key, value)


def get_resume_urls(approver: str | None = None, flow_level: bool | None = None) -> Any:
    """`Windmill.get_resume_urls`."""
    return _windmill().get_resume_urls(approver, flow_level)


def set_progress(value: int, job_id: str | None = None) -> None:
    """`Windmill.set_progress`."""
    _windmill().set_progress(value, job_id)


def get_progress(job_id: str | None = None) -> Any:
    """`Windmill.get_progress`."""
    return _windmill().get_progress(job_id)


def worker_is_draining(job_id: str | None = None) -> Any:
    """`Windmill.worker_is_draining`."""
    return _windmill().worker_is_draining(job_id)


def get_job(job_id: str) -> Any:
    """`Windmill.get_job`."""
    return _windmill().get_job(job_id)


def get_job_status(job_id: str) -> JobStatus:
    """`Windmill.get_job_status`."""
    return _windmill().get_job_status(job_id)


def get_root_job_id(job_id: str | None = None) -> Any:
    """`Windmill.get_root_job_id`."""
    return _windmill().get_root_job_id(job_id)


def get_result(job_id: str, assert_result_is_not_none: bool = True) -> Any:
    """`Windmill.get_result`."""
    return _windmill().get_result(job_id, assert_result_is_not_none)


def cancel_job(job_id: str, reason: str | None = None) -> str:
    """`Windmill.cancel_job`."""
    return _windmill().cancel_job(job_id, reason)


def cancel_running() -> dict[str, Response]:
    """`Windmill.cancel_running`."""
    return _windmill().cancel_running()


def run_script_async(
    hash_or_path: str, args: Args = None, scheduled_in_secs: int | None = None, tag: str | None = None
) -> str:
    """`Windmill.run_script_async`; what contains a slash is a path, anything else a hash."""
    path, hash_ = (hash_or_path, None) if "/" in hash_or_path else (None, hash_or_path)
    return _windmill().run_script_async(path, hash_, args, scheduled_in_secs, tag)


def run_script_by_path_async(
    path: str,
    args: Args = None,
    scheduled_in_secs: int | None = None,
    tag: str | None = None,
    retry: dict[str, Any] | None = None,
) -> str:
    """`Windmill.run_script_by_path_async`."""
    return _windmill().run_script_by_path_async(path, args, scheduled_in_secs, tag, retry)


def run_script_by_hash_async(
    hash_: str,
    args: Args = None,
    scheduled_in_secs: int | None = None,
    tag: str | None = None,
    retry: dict[str, Any] | None = None,
) -> str:
    """`Windmill.run_script_by_hash_async`."""
    return _windmill().run_script_by_hash_async(hash_, args, scheduled_in_secs, tag, retry)


def run_flow_async(
    path: str,
    args: Args = None,
    scheduled_in_secs: int | None = None,
    do_not_track_in_parent: bool = True,
    tag: str | None = None,
) -> str:
    """`Windmill.run_flow_async`."""
    return _windmill().run_flow_async(path, args, scheduled_in_secs, do_not_track_in_parent, tag)


def run_script(
    path: str | None = None,
    hash_: str | None = None,
    args: Args = None,
    timeout: Timeout = None,
    verbose: bool = False,
    cleanup: bool = True,
    assert_result_is_not_none: bool = True,
    tag: str | None = None,
) -> Any:
    """`Windmill.run_script`; unlike the method, a None result raises unless told otherwise."""
    return _windmill().run_script(
        path, hash_, args, timeout, verbose, cleanup, assert_result_is_not_none, tag
    )


def run_script_by_path(
    path: str,
    args: Args = None,
    timeout: Timeout = None,
    verbose: bool = False,
    cleanup: bool = True,
    assert_result_is_not_none: bool = True,
    tag: str | None = None,
) -> Any:
    """`Windmill.run_script_by_path`; unlike the method, a None result raises unless told otherwise."""
    return run_script(path, None, args, timeout, verbose, cleanup, assert_result_is_not_none, tag)


def run_script_by_hash(
    hash_: str,
    args: Args = None,
    timeout: Timeout = None,
    verbose: bool = False,
    cleanup: bool = True,
    assert_result_is_not_none: bool = True,
    tag: str | None = None,
) -> Any:
    """`Windmill.run_script_by_hash`; unlike the method, a None result raises unless told otherwise."""
    return run_script(None, hash_, args, timeout, verbose, cleanup, assert_result_is_not_none, tag)


def run_script_sync(
    hash: str,
    args: Args = None,
    verbose: bool = False,
    assert_result_is_not_none: bool = True,
    cleanup: bool = True,
    timeout: dt.timedelta | None = None,
    tag: str | None = None,
) -> Any:
    """`run_script_by_hash` with its parameters in an older order."""
    return run_script(None, hash, args, timeout, verbose, cleanup, assert_result_is_not_none, tag)


def run_script_by_path_sync(
    path: str,
    args: Args = None,
    verbose: bool = False,
    assert_result_is_not_none: bool = True,
    cleanup: bool = True,
    timeout: dt.timedelta | None = None,
    tag: str | None = None,
) -> Any:
    """`run_script_by_path` with its parameters in an older order."""
    return run_script(path, None, args, timeout, verbose, cleanup, assert_result_is_not_none, tag)


def run_inline_script_preview(content: str, language: str, args: Args = None) -> Any:
    """`Windmill.run_inline_script_preview`."""
    return _windmill().run_inline_script_preview(content, language, args)
