"""Running uv: the only place that starts it.

What uv says is turned into words fit for users: addresses, hosts, credentials and folders of this machine
removed.
"""

import asyncio
import os
import re
import signal
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import uv

from millpond.base.errors import LockFailed
from millpond.runtimes.python.dependencies.package_index import index_hosts, package_index

_LAST_LINES = 25
_LONGEST_MESSAGE = 4000
_WANTS_BUILD = re.compile(r"no usable wheels|no wheels|building (?:from )?source", re.IGNORECASE)
_BUILDS_ARE_OFF = (
    "A package without a wheel for this machine is built by running its author's code outside the sandbox of"
    " jobs, which this instance does not allow."
)
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s`'\"<>)\]]+")


class Uv:
    """uv with a cache folder of its own, looking for packages where this machine's pip looks.

    `builds` allows source distributions, whose build scripts run with the worker's rights and outside any
    sandbox.
    """

    def __init__(self, folder: Path, *, builds: bool = False) -> None:
        self._folder = folder
        # A flag, as `uv pip` does not heed the variable UV_NO_BUILD.
        self._flags = () if builds else ("--no-build",)

    async def run(self, arguments: Sequence[str], *, stdin: str, time_limit: timedelta) -> str:
        """Run `uv pip <arguments>` and return its standard output.

        Raises `LockFailed` with uv's own last lines. On cancellation and on a timeout its process group is
        killed.
        """
        index = package_index()
        environment = index.environment | self._settings()
        command = [_binary(), "pip", *arguments, *index.options, *self._flags]
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o755)
            # uv looks for settings in its working directory and above: one of ours, not the worker's.
            with TemporaryDirectory(prefix="uv-run-", dir=self._folder) as empty:
                code, stdout, stderr = await _communicate(
                    command, Path(empty), environment, stdin, time_limit
                )
        except OSError as error:
            raise LockFailed(f"uv cannot be run: {error.strerror}") from None
        if code != 0:
            words = self._scrubbed(stderr.decode(errors="replace"), environment)
            raise LockFailed(words or f"uv failed with exit code {code} and said nothing")
        return stdout.decode()

    def _settings(self) -> dict[str, str]:
        return {
            "UV_CACHE_DIR": str(self._folder / "uv"),
            "UV_PYTHON_DOWNLOADS": "never",
            "UV_NO_PROGRESS": "1",
            "NO_COLOR": "1",
        }

    def _scrubbed(self, words: str, environment: dict[str, str]) -> str:
        words = _ADDRESS.sub("<address>", words)
        for host in index_hosts(environment):
            words = words.replace(host, "<host>")
        words = words.replace(str(self._folder), "<cache>")
        lines = [line for line in words.splitlines() if line.strip()]
        if self._flags and _WANTS_BUILD.search(words):
            lines.append(_BUILDS_ARE_OFF)
        return "\n".join(lines[-_LAST_LINES:])[-_LONGEST_MESSAGE:]


def _binary() -> str:
    try:
        return os.fsdecode(uv.find_uv_bin())
    except FileNotFoundError:
        raise LockFailed("uv, which installs packages, is missing from this worker's Python") from None


# Jobs run as another user and must be able to read what is installed. By a shell: uvloop takes no `umask`.
_READABLE_BY_ALL = ("/bin/sh", "-c", 'umask 022; exec "$@"', "uv")


async def _communicate(
    command: list[str], folder: Path, environment: dict[str, str], stdin: str, time_limit: timedelta
) -> tuple[int | None, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        *_READABLE_BY_ALL,
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env=environment,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(time_limit.total_seconds()):
            stdout, stderr = await process.communicate(stdin.encode())
    except TimeoutError:
        raise LockFailed(f"uv did not finish within {time_limit.total_seconds():.0f} seconds") from None
    finally:
        await _end(process)
    return process.returncode, stdout, stderr


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill what is left of uv and of what it started, and reap it, even while being cancelled."""
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await asyncio.shield(process.wait())
