"""What the `wmill` package has and Millpond does not: present by name, refused by name when used.

Scripts that merely import such a name, or use it in a branch that is not taken, keep working.
"""

from __future__ import annotations

from .errors import Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

_PIN = "pin the original package in the script's header (`# requirements:` and `# wmill==1.850.0`)"
_S3 = f"use your storage's own client, such as boto3, with a resource that holds its keys; or {_PIN}"
_SLACK = "post the links of get_resume_urls() with the service's own client"
_WORKFLOW = "build a flow; its steps can wait for approvals, and run_script_by_path() starts scripts"

_FUNCTIONS = {
    "boto3_connection_settings": _S3,
    "duckdb_connection_settings": _S3,
    "polars_connection_settings": _S3,
    "load_s3_file": _S3,
    "load_s3_file_reader": _S3,
    "write_s3_file": _S3,
    "delete_s3_object": _S3,
    "sign_s3_object": _S3,
    "sign_s3_objects": _S3,
    "get_presigned_s3_public_url": _S3,
    "get_presigned_s3_public_urls": _S3,
    "parse_s3_object": _S3,
    "request_interactive_slack_approval": _SLACK,
    "send_teams_message": _SLACK,
    "commit_kafka_offsets": "use a Kafka client in the script",
    "get_id_token": "keep the service's credentials in a secret variable and read it with get_variable()",
    "datatable": "use a PostgreSQL resource with a driver such as psycopg",
    "ducklake": "use the duckdb package with a resource that holds the connection",
    "get_approval_urls": "use get_resume_urls() in a step of a flow",
    "task_script": _WORKFLOW,
    "task_flow": _WORKFLOW,
}
_METHODS_ONLY = {
    "get_boto3_connection_settings": _S3,
    "get_duckdb_connection_settings": _S3,
    "get_polars_connection_settings": _S3,
    "get_client": "use get(), post() or request() of this client",
}
_OTHER_NAMES = {
    "WorkflowCtx": _WORKFLOW,
    "DataTableClient": _FUNCTIONS["datatable"],
    "DucklakeClient": _FUNCTIONS["ducklake"],
    "SqlQuery": _FUNCTIONS["datatable"],
    "S3BufferedReader": _S3,
}

FUNCTIONS = frozenset(_FUNCTIONS)


def refused(name: str, instead: str) -> Unsupported:
    """The error for one use of an unsupported name."""
    return Unsupported(f"wmill.{name} is not part of Millpond: {instead}")


def module_attribute(name: str) -> object:
    """What `wmill.<name>` is for a name the modules do not define: a refusing function, or AttributeError."""
    advice = _FUNCTIONS.get(name) or _OTHER_NAMES.get(name)
    if advice is None:
        raise AttributeError(
            f"module 'wmill' has no attribute {name!r} in Millpond; if the original has it, {_PIN}"
        )
    return _refusing(name, advice)


def client_attribute(name: str) -> object:
    """The same for a method of `Windmill`."""
    advice = _FUNCTIONS.get(name) or _METHODS_ONLY.get(name)
    if advice is None:
        raise AttributeError(
            f"'Windmill' has no attribute {name!r} in Millpond; if the original has it, {_PIN}"
        )
    return _refusing(f"Windmill.{name}", advice)


def _refusing(name: str, advice: str) -> Callable[..., NoReturn]:
    def refuse(*_args: object, **_kwargs: object) -> NoReturn:
        raise refused(name, advice)

    refuse.__name__ = name.rpartition(".")[2]
    refuse.__doc__ = f"Not part of Millpond: {advice}."
    return refuse
