"""Tells the author of a step that looked for the flow's shared directory in vain how to get one."""

import errno
import os

_SWITCH_ON = " — hint: switch on 'Shared Directory' in the flow's settings (same_worker: true)"
_NOT_AS_ROOT = " — hint: this machine does not let jobs see their ./shared as /shared; use ./shared"
_ROOT = "/shared"
_NOT_REACHED = {errno.ENOENT, errno.EACCES}


def hint(error: BaseException, own_file: str) -> str:
    """What to add to the message of an error that ended the script `own_file`; "" when it is about something else."""
    if not isinstance(error, OSError) or error.errno not in _NOT_REACHED:
        return ""
    if not isinstance(error.filename, str | bytes | os.PathLike):
        return ""
    directory = os.path.dirname(own_file)  # noqa: PTH120
    own = f"{directory}/shared"
    path = os.path.normpath(os.path.join(directory, os.fsdecode(error.filename)))  # noqa: PTH118
    if _is_within(path, own):
        return "" if os.path.isdir(own) else _SWITCH_ON  # noqa: PTH112
    if not _is_within(path, _ROOT) or (error.errno == errno.ENOENT and os.path.isdir(_ROOT)):  # noqa: PTH112
        return ""
    return _NOT_AS_ROOT if os.path.isdir(own) else _SWITCH_ON  # noqa: PTH112


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
