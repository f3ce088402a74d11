"""Command lines and the environment of the processes that an embedded PostgreSQL consists of."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from millpond.store.embedded.account import Account

# The C locale keeps messages in English, where this package reads them. Nothing is inherited: PG* variables
# of the user's shell are meant for another server.
ENVIRONMENT = {"LC_ALL": "C", "PATH": os.defpath}


def dies_with_its_owner() -> bool:
    """Whether the kernel will signal a process started now when this one dies.

    Linux sends the signal at the end of the starting thread, so only the main thread's children can rely on
    it.
    """
    return sys.platform == "linux" and threading.current_thread() is threading.main_thread()


def launch_command(argv: Sequence[str | Path], account: Account, death: signal.Signals) -> list[str]:
    """The command that runs `argv` as `account`, with `death` sent to it when the owner dies (see above)."""
    orders = {
        "parent": os.getpid(),
        "uid": account.uid,
        "gid": account.gid,
        "read_search": account.read_search,
        "parent_death_signal": int(death) if dies_with_its_owner() else 0,
    }
    return [*_script("launch.py"), json.dumps(orders), *map(str, argv)]


def start_guard(pid: int, postmaster_file: Path) -> subprocess.Popen[bytes]:
    """Start the process that stops the server `pid` after the end of this one."""
    return subprocess.Popen(
        [*_script("guard.py"), str(pid), str(postmaster_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
        start_new_session=True,
    )


def end_guard(guard: subprocess.Popen[bytes]) -> None:
    """End a guard whose server is gone, before its pid can belong to another process."""
    guard.kill()
    guard.wait()
    if guard.stdin is not None:
        guard.stdin.close()


def _script(name: str) -> list[str]:
    return [sys.executable, "-I", "-S", str(Path(__file__).with_name(name))]
