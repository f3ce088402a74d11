"""From the end of a job's process, and what it left in its result file, to an `Outcome`."""

import os
import signal

import msgspec

from millpond.runtimes.contract import Execution, Outcome
from millpond.runtimes.python import protocol
from millpond.runtimes.python.zygote import JobEnd

_NAME = "ExecutionErr"
# The description of an error may exceed a limit that was set very low for results.
_ERROR_ALLOWANCE = 1024**2


def failed(
    message: str, step_id: str | None, *, name: str = _NAME, memory_peak_bytes: int | None = None
) -> Outcome:
    """A failure the script did not describe itself."""
    error = {"name": name, "message": message} | ({"step_id": step_id} if step_id else {})
    return Outcome(
        success=False, result=msgspec.json.encode({"error": error}), memory_peak_bytes=memory_peak_bytes
    )


def timed_out(execution: Execution, end: JobEnd) -> Outcome:
    """The run was ended because its time was over."""
    seconds = execution.limits.timeout.total_seconds()
    message = f"Job timed out after {seconds:g} s, the limit for this run"
    return _failed(message, execution, end)


def not_ended(execution: Execution, waited_seconds: float) -> Outcome:
    """The run's time was over, and its process outlives being killed; nothing is known of its end."""
    seconds = execution.limits.timeout.total_seconds()
    message = (
        f"Job timed out after {seconds:g} s, the limit for this run; its process was killed and had not ended "
        f"{waited_seconds:g} s later"
    )
    return failed(message, execution.env.get("WM_FLOW_STEP_ID"))


def from_end(end: JobEnd, result_file: int, execution: Execution) -> Outcome:
    """What the run amounts to. The file is the script's to write: nothing in it is believed unchecked."""
    size = os.fstat(result_file).st_size
    limit = execution.limits.result_bytes
    if end.status is None:
        return _failed(f"The job's process could not be started: {end.reason}", execution, end)
    if end.status != 0 or size == 0:
        return _failed(_describe(end.status, execution), execution, end)
    if size > limit + _ERROR_ALLOWANCE:
        return _failed(f"The result has {size} bytes, the limit is {limit}", execution, end, "ResultTooLarge")
    os.lseek(result_file, 0, os.SEEK_SET)
    with open(result_file, "rb", closefd=False) as file:
        content = file.read(size)
    if not _is_json(content[1:]):
        return _failed("the process ended with a result that is not JSON", execution, end, "ResultInvalid")
    if content[:1] == protocol.SUCCESS:
        return Outcome(success=True, result=content[1:], memory_peak_bytes=end.memory_peak_bytes)
    result = b'{"error":' + content[1:] + b"}"
    return Outcome(success=False, result=result, memory_peak_bytes=end.memory_peak_bytes)


def _failed(message: str, execution: Execution, end: JobEnd, name: str = _NAME) -> Outcome:
    step_id = execution.env.get("WM_FLOW_STEP_ID")
    return failed(message, step_id, name=name, memory_peak_bytes=end.memory_peak_bytes)


def _is_json(content: bytes) -> bool:
    try:
        msgspec.json.decode(content, type=msgspec.Raw)
        content.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _describe(status: int, execution: Execution) -> str:
    if os.WIFEXITED(status):
        return f"the process ended with exit code {os.WEXITSTATUS(status)} without a result"
    number = os.WTERMSIG(status)
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = str(number)
    message = f"the process was killed by signal {name}"
    if number == signal.SIGKILL:
        limit = execution.limits.memory_bytes
        bound = f" (its limit: {limit} bytes)" if limit else ""
        message += f"; if nobody sent it, the machine or the container was out of memory{bound}"
    return message
