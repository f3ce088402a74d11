"""Values handed from step to step through the files of a flow's shared directory."""

# ruff: noqa: PLC0415  (imported when needed, see the package)
from __future__ import annotations

import os

from .errors import SharedDirectoryMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any


class SharedDirectory:
    """`Windmill`'s calls on the shared directory: static, they never reach the server."""

    @staticmethod
    def set_shared_state(value: Any, path: str = "state.json") -> None:
        """Write a value as JSON to a file of the shared directory."""
        import json

        _replace(_shared_directory() / path, json.dumps(value, ensure_ascii=False, indent=4).encode())

    @staticmethod
    def get_shared_state(path: str = "state.json") -> Any:
        """The value in a JSON file of the shared directory; FileNotFoundError when no step wrote it."""
        import json

        return json.loads((_shared_directory() / path).read_bytes())

    @staticmethod
    def set_shared_state_pickle(value: Any, path: str = "state.pickle") -> None:
        """Write a value with pickle to a file of the shared directory."""
        import pickle

        _replace(_shared_directory() / path, pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL))

    @staticmethod
    def get_shared_state_pickle(path: str = "state.pickle") -> Any:
        """The value in a pickle file of the shared directory; FileNotFoundError when no step wrote it.

        Unpickling runs code the file names: it is as trusted as the other steps of the flow.
        """
        import pickle

        return pickle.loads((_shared_directory() / path).read_bytes())  # noqa: S301


def _shared_directory() -> Path:
    """`shared` in the working directory, or for a script that has left it the same folder as `/shared`.

    In this order: where the sandbox cannot mount it, a `/shared` would be the machine's own.
    """
    from pathlib import Path  # needs 10 ms of `re`, `fnmatch` and `urllib`

    for folder in (Path("shared"), Path("/shared")):
        if folder.is_dir():
            return folder
    raise SharedDirectoryMissing(
        "This job has no shared directory. Switch on the flow setting 'Shared Directory' (same_worker), "
        "so that all steps of the flow see the same ./shared"
    )


def _replace(target: Path, content: bytes) -> None:
    """Write a file so that a step reading at the same time sees the old content or the new, never a part."""
    partial = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        partial.write_bytes(content)
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
