"""From an exception to the error object a failed run ends with (the shape Windmill's Python runs have)."""

import os
import traceback
from types import TracebackType

from millpond.runtimes.python.wrapper import results
from millpond.runtimes.python.wrapper.shared_directory import hint


def describe(error: BaseException, *, own_file: str, step_id: str | None) -> bytes:
    """The error as JSON: message, name, stack, and what the exception carries beside them.

    The stack begins at the first frame of `own_file`, the script; the frames that led there are the
    wrapper's. Files of the job are named as seen from its directory, which differs from run to run.
    """
    described: dict[str, object] = {
        "message": _text(error) + hint(error, own_file),
        "name": type(error).__name__,
    }
    described["stack"] = _stack(error, own_file)
    extra = {name: value for name, value in vars(error).items() if not name.startswith("_pydantic")}
    if extra:
        described["extra"] = extra
    if step_id:
        described["step_id"] = step_id
    try:
        return results.encode(described, fallback=str)
    except Exception:  # noqa: BLE001 - attributes that contain themselves, or whose __str__ fails
        described.pop("extra", None)
        return results.encode(described, fallback=repr)


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as unprintable:  # noqa: BLE001 - user code
        return f"<{type(error).__name__} whose text raises {type(unprintable).__name__}>"


def _stack(error: BaseException, own_file: str) -> str:
    if isinstance(error, SyntaxError) and error.filename == own_file:
        stack = "".join(traceback.format_exception_only(error)).rstrip("\n")
    else:
        first = _first_frame_in(error.__traceback__, own_file)
        stack = "\n".join(line.rstrip("\n") for line in traceback.format_tb(first))
    return stack.replace(f'File "{os.path.dirname(own_file)}/', 'File "')  # noqa: PTH120


def _first_frame_in(frames: TracebackType | None, own_file: str) -> TracebackType | None:
    while frames is not None and frames.tb_frame.f_code.co_filename != own_file:
        frames = frames.tb_next
    return frames
