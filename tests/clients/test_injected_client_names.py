"""The injected `wmill` has the names and parameters of the original, and refuses what it leaves out."""

# ruff: noqa: F401, F811  (fixtures are imported, and found by the names of parameters)
from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from injected_client import PROCESS_ENVIRONMENT, run_job, server, wmill
from recorded_server import RecordedServer

# --- the names of the original --------------------------------------------------------------------------

# Names, order and defaults of the parameters in wmill 1.850.0.
FUNCTIONS = """
append_to_result_stream(text)
cancel_job(job_id, reason=None)
cancel_running()
get_flow_user_state(key)
get_job(job_id)
get_job_status(job_id)
get_progress(job_id=None)
get_resource(path, none_if_undefined=False, interpolated=True)
get_result(job_id, assert_result_is_not_none=True)
get_resume_urls(approver=None, flow_level=None)
get_root_job_id(job_id=None)
get_shared_state(path='state.json')
get_shared_state_pickle(path='state.pickle')
get_state(path=None)
get_state_path()
get_variable(path)
get_version()
get_workspace()
list_resources(resource_type=None, page=None, per_page=None)
parallel(items, fn, *, concurrency=None)
parse_resource_syntax(s)
parse_variable_syntax(s)
run_flow_async(path, args=None, scheduled_in_secs=None, do_not_track_in_parent=True, tag=None)
run_inline_script_preview(content, language, args=None)
run_script(path=None, hash_=None, args=None, timeout=None, verbose=False, cleanup=True, \
assert_result_is_not_none=True, tag=None)
run_script_async(hash_or_path, args=None, scheduled_in_secs=None, tag=None)
run_script_by_hash(hash_, args=None, timeout=None, verbose=False, cleanup=True, \
assert_result_is_not_none=True, tag=None)
run_script_by_hash_async(hash_, args=None, scheduled_in_secs=None, tag=None, retry=None)
run_script_by_path(path, args=None, timeout=None, verbose=False, cleanup=True, \
assert_result_is_not_none=True, tag=None)
run_script_by_path_async(path, args=None, scheduled_in_secs=None, tag=None, retry=None)
run_script_by_path_sync(path, args=None, verbose=False, assert_result_is_not_none=True, cleanup=True, \
timeout=None, tag=None)
run_script_sync(hash, args=None, verbose=False, assert_result_is_not_none=True, cleanup=True, \
timeout=None, tag=None)
set_flow_user_state(key, value)
set_progress(value, job_id=None)
set_resource(path, value, resource_type='any')
set_shared_state(value, path='state.json')
set_shared_state_pickle(value, path='state.pickle')
set_state(value, path=None)
set_variable(path, value, is_secret=False)
sleep(seconds)
step(name, fn)
stream_result(stream)
task(_func=None, *, path=None, tag=None, timeout=None, cache_ttl=None, priority=None, \
concurrency_limit=None, concurrency_key=None, concurrency_time_window_s=None, retry=None)
username_to_email(username)
wait_for_approval(timeout=1800, form=None, self_approval=True, key=None, skin=None, description=None)
whoami()
worker_is_draining(job_id=None)
workflow(func)
"""
METHODS = """
cancel_job(self, job_id, reason=None)
cancel_running(self)
create_token(self, duration=datetime.timedelta(days=1))
get(self, endpoint, raise_for_status=True, **kwargs)
get_flow_user_state(self, key)
get_job(self, job_id)
get_job_status(self, job_id)
get_mocked_api(self)
get_progress(self, job_id=None)
get_resource(self, path, none_if_undefined=False, interpolated=True)
get_result(self, job_id, assert_result_is_not_none=True)
get_resume_urls(self, approver=None, flow_level=None)
get_root_job_id(self, job_id=None)
get_shared_state(path='state.json')
get_shared_state_pickle(path='state.pickle')
get_state(self, path=None)
get_variable(self, path)
list_resources(self, resource_type=None, page=None, per_page=None)
post(self, endpoint, raise_for_status=True, **kwargs)
run_flow_async(self, path, args=None, scheduled_in_secs=None, do_not_track_in_parent=True, tag=None)
run_inline_script_preview(self, content, language, args=None)
run_script(self, path=None, hash_=None, args=None, timeout=None, verbose=False, cleanup=True, \
assert_result_is_not_none=False, tag=None)
run_script_async(self, path=None, hash_=None, args=None, scheduled_in_secs=None, tag=None)
run_script_by_hash(self, hash_, args=None, timeout=None, verbose=False, cleanup=True, \
assert_result_is_not_none=False, tag=None)
run_script_by_hash_async(self, hash_, args=None, scheduled_in_secs=None, tag=None, retry=None)
run_script_by_path(self, path, args=None, timeout=None, verbose=False, cleanup=True, \
assert_result_is_not_none=False, tag=None)
run_script_by_path_async(self, path, args=None, scheduled_in_secs=None, tag=None, retry=None)
set_flow_user_state(self, key, value)
set_progress(self, value, job_id=None)
set_resource(self, value, path, resource_type)
set_shared_state(value, path='state.json')
set_shared_state_pickle(value, path='state.pickle')
set_state(self, value, path=None)
set_variable(self, path, value, is_secret=False)
username_to_email(self, username)
wait_job(self, job_id, timeout=None, verbose=False, cleanup=True, assert_result_is_not_none=False)
whoami(self)
worker_has_internal_server(self)
worker_is_draining(self, job_id=None)
__init__(self, base_url=None, token=None, workspace=None, verify=True)
"""
UNSUPPORTED = """
boto3_connection_settings commit_kafka_offsets datatable delete_s3_object duckdb_connection_settings ducklake
get_approval_urls get_id_token get_presigned_s3_public_url get_presigned_s3_public_urls load_s3_file
load_s3_file_reader parse_s3_object polars_connection_settings request_interactive_slack_approval
send_teams_message sign_s3_object sign_s3_objects task_flow task_script write_s3_file
"""


def shape(function: Any) -> str:
    """`name(parameters)` without annotations."""
    signature = inspect.signature(function)
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    text = str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))
    return f"{function.__name__}{text}"


@pytest.mark.parametrize("expected", FUNCTIONS.strip().splitlines())
def test_functions_have_the_parameters_of_the_original(wmill: Any, expected: str) -> None:
    name = expected.partition("(")[0]
    assert name in wmill.__all__
    assert shape(getattr(wmill, name)) == expected
    assert getattr(importlib.import_module("injected_wmill.client"), name) is getattr(wmill, name)


@pytest.mark.parametrize("expected", METHODS.strip().splitlines())
def test_methods_have_the_parameters_of_the_original(wmill: Any, expected: str) -> None:
    assert shape(getattr(wmill.Windmill, expected.partition("(")[0])) == expected


@pytest.mark.parametrize("name", UNSUPPORTED.split())
def test_what_is_left_out_is_refused_by_name(server: RecordedServer, wmill: Any, name: str) -> None:
    assert name in wmill.__all__
    function = getattr(wmill, name)
    with pytest.raises(wmill.Unsupported, match=rf"wmill\.{name} .*: (use|build|keep|post) ") as caught:
        function("anything", at="all")
    assert isinstance(caught.value, NotImplementedError)
    assert server.requests == []


def test_methods_that_are_left_out_are_refused_by_name(wmill: Any) -> None:
    client = wmill.Windmill()
    with pytest.raises(wmill.Unsupported, match=r"wmill\.Windmill\.get_boto3_connection_settings"):
        client.get_boto3_connection_settings()
    assert not hasattr(client, "no_such_method")
    assert not hasattr(wmill, "no_such_function")


def test_a_star_import_brings_everything(server: RecordedServer) -> None:
    ended = run_job(
        server,
        """
        from wmill import *
        from wmill.client import Windmill as SameClass
        from wmill.s3_types import S3Object as SameType
        assert SameClass is Windmill and SameType is S3Object
        assert S3Object(s3="a/b").s3 == "a/b" and issubclass(NotFound, WindmillError)
        print(callable(get_state), callable(write_s3_file))
        """,
    )
    assert (ended.stdout, ended.stderr) == ("True True\n", "")


def test_importing_it_imports_nothing_slow() -> None:
    code = "import sys; before = set(sys.modules); import wmill; print(*sorted(set(sys.modules) - before))"
    command = [sys.executable, "-S", "-c", code]  # -S: what site imports would hide what we import
    ended = subprocess.run(
        command, env=PROCESS_ENVIRONMENT, capture_output=True, text=True, timeout=60, check=True
    )
    imported = set(ended.stdout.split())
    slow = "asyncio ssl socket select http email urllib logging json re typing pickle pathlib inspect random"
    slow += " dataclasses collections functools enum httpx subprocess"
    assert "wmill.transport" in imported
    assert imported & set(slow.split()) == set()


# --- workflow-as-code -----------------------------------------------------------------------------------


def test_a_task_runs_in_place_inside_a_job(server: RecordedServer, wmill: Any) -> None:
    task: Callable[..., Any] = wmill.task
    remote_task: Callable[..., Any] = wmill.task(path="f/team/other", tag="gpu", retry={"attempts": 2})
    workflow: Callable[..., Any] = wmill.workflow

    @task
    def double(x: int) -> tuple[int, ...]:
        return (x, x)

    @remote_task
    async def later(x: int) -> tuple[int, ...]:
        return (x,)

    @workflow
    async def main() -> Any:
        return [
            double(1),
            await later(2),
            await wmill.step("now", lambda: (3,)),
            await wmill.parallel([4, 5], later),
        ]

    assert main._is_workflow
    assert asyncio.run(main()) == [[1, 1], [2], [3], [[4], [5]]]
    assert (double.__name__, later._task_path, server.requests) == ("double", "f/team/other", [])


def test_waiting_for_an_approval_is_refused_by_name(wmill: Any) -> None:
    with pytest.raises(wmill.Unsupported, match="suspend"):
        asyncio.run(wmill.wait_for_approval())
