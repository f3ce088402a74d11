"""`wmill.client`: the public names, where scripts written for the original package also look for them."""

from __future__ import annotations

from . import unsupported
from .errors import (
    ApiError,
    Conflict,
    ConnectionFailed,
    InvalidAnswer,
    JobFailed,
    NotFound,
    PermissionDenied,
    SharedDirectoryMissing,
    StateConflict,
    Unsupported,
    WindmillError,
)
from .functions import (
    cancel_job,
    cancel_running,
    get_flow_user_state,
    get_job,
    get_job_status,
    get_progress,
    get_resource,
    get_result,
    get_resume_urls,
    get_root_job_id,
    get_shared_state,
    get_shared_state_pickle,
    get_state,
    get_state_path,
    get_variable,
    get_version,
    get_workspace,
    list_resources,
    run_flow_async,
    run_inline_script_preview,
    run_script,
    run_script_async,
    run_script_by_hash,
    run_script_by_hash_async,
    run_script_by_path,
    run_script_by_path_async,
    run_script_by_path_sync,
    run_script_sync,
    set_flow_user_state,
    set_progress,
    set_resource,
    set_shared_state,
    set_shared_state_pickle,
    set_state,
    set_variable,
    username_to_email,
    whoami,
    worker_is_draining,
)
from .jobs import JobStatus
from .resources import parse_resource_syntax
from .response import Response
from .result_stream import append_to_result_stream, stream_result
from .s3_types import (
    Boto3ConnectionSettings,
    DuckDbConnectionSettings,
    PolarsConnectionSettings,
    S3FsArgs,
    S3FsClientKwargs,
    S3Object,
    StorageOptions,
)
from .variables import parse_variable_syntax
from .windmill import Windmill
from .workflow_as_code import TaskError, parallel, sleep, step, task, wait_for_approval, workflow

__all__ = [  # noqa: PLE0604  (grouped as users look for them)
    "Windmill",
    "Response",
    # who and where
    "get_version",
    "get_workspace",
    "username_to_email",
    "whoami",
    # variables and resources
    "get_resource",
    "get_variable",
    "list_resources",
    "parse_resource_syntax",
    "parse_variable_syntax",
    "set_resource",
    "set_variable",
    # states and the shared directory
    "get_shared_state",
    "get_shared_state_pickle",
    "get_state",
    "get_state_path",
    "set_shared_state",
    "set_shared_state_pickle",
    "set_state",
    # flows
    "get_flow_user_state",
    "get_resume_urls",
    "set_flow_user_state",
    # jobs
    "JobStatus",
    "append_to_result_stream",
    "cancel_job",
    "cancel_running",
    "get_job",
    "get_job_status",
    "get_progress",
    "get_result",
    "get_root_job_id",
    "run_flow_async",
    "run_inline_script_preview",
    "run_script",
    "run_script_async",
    "run_script_by_hash",
    "run_script_by_hash_async",
    "run_script_by_path",
    "run_script_by_path_async",
    "run_script_by_path_sync",
    "run_script_sync",
    "set_progress",
    "stream_result",
    "worker_is_draining",
    # workflow-as-code
    "TaskError",
    "parallel",
    "sleep",
    "step",
    "task",
    "wait_for_approval",
    "workflow",
    # types of the S3 functions
    "Boto3ConnectionSettings",
    "DuckDbConnectionSettings",
    "PolarsConnectionSettings",
    "S3FsArgs",
    "S3FsClientKwargs",
    "S3Object",
    "StorageOptions",
    # errors
    "ApiError",
    "Conflict",
    "ConnectionFailed",
    "InvalidAnswer",
    "JobFailed",
    "NotFound",
    "PermissionDenied",
    "SharedDirectoryMissing",
    "StateConflict",
    "Unsupported",
    "WindmillError",
    # present by name, refused when called
    *sorted(unsupported.FUNCTIONS),
]


def __getattr__(name: str) -> object:
    return unsupported.module_attribute(name)
