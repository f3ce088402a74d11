"""Runs the embedded PostgreSQL: start, watch, stop.

Synchronous, for the supervising process. The server lives in a session of its own, so that an interrupt typed
in the terminal reaches the supervisor only, and ends with this process however that ends.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

from millpond.base.errors import StartupRefused
from millpond.store.embedded.account import Account, server_account
from millpond.store.embedded.binaries import Binaries, find_binaries
from millpond.store.embedded.cluster import DATABASE, USER, ensure_cluster
from millpond.store.embedded.layout import ADVICE, Layout
from millpond.store.embedded.leftovers import (
    POLL_SECS,
    SETTLE_SECS,
    end_orphaned_backends,
    end_previous_server,
)
from millpond.store.embedded.lock import InstanceLock
from millpond.store.embedded.processes import (
    ENVIRONMENT,
    dies_with_its_owner,
    end_guard,
    launch_command,
    start_guard,
)
from millpond.store.embedded.sockets import PORT, clear_sockets, socket_folder
from millpond.store.embedded.tuning import server_arguments

READY_TIMEOUT = timedelta(minutes=5)
LOG_LIMIT_BYTES = 10 * 1024**2

# A server that lost its postmaster lets go of its shared memory and its files one process at a time.
_PASSING_TROUBLE = ("is still in use", "lock file")


class EmbeddedPostgres:
    """A PostgreSQL server of this process, in a data directory.

    `settings` are PostgreSQL's own names and values, over the built-in tuning. The data directory is locked
    from the first `start` until `stop`, also while the server is down between a crash and the next `start`.
    """

    def __init__(self, data_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self._layout = Layout(data_dir.resolve())
        self._settings = dict(settings or {})
        self._lock = InstanceLock(self._layout.lock_file)
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id; None when it does not run."""
        return self._process.pid if self._process is not None and self.is_alive() else None

    def is_alive(self) -> bool:
        """Whether the server runs."""
        return self._process is not None and self._process.poll() is None

    def wait(self, timeout: timedelta | None = None) -> bool:
        """Wait for the server to end, however it does; False when `timeout` came first."""
        if self._process is None:
            return True
        try:
            self._process.wait(None if timeout is None else timeout.total_seconds())
        except subprocess.TimeoutExpired:
            return False
        return True

    @contextmanager
    def running(self) -> Iterator[str]:
        """Start, hand out the connection URL, stop."""
        url = self.start()
        try:
            yield url
        finally:
            self.stop()

    def start(self) -> str:
        """Start the server, with a new cluster the first time; its connection URL, once it is ready.

        The URL stays the same over restarts. Also the way to go on after the server died. Raises
        StartupRefused, whose message says what to do.
        """
        if self.is_alive():
            raise StartupRefused(f"The embedded PostgreSQL in {self._layout.data_dir} is running already.")
        was_locked = self._lock.is_held
        try:
            return self._start()
        except OSError as error:
            self._abandon(was_locked)
            raise StartupRefused(
                f"The embedded PostgreSQL in {self._layout.data_dir} cannot start: {error}. {ADVICE}"
            ) from error
        except BaseException:
            self._abandon(was_locked)
            raise

    def stop(self, grace: timedelta = timedelta(seconds=10)) -> None:
        """End the server, breaking off its sessions, and unlock the data directory.

        After `grace` the server is ended without a checkpoint, which the next start makes up for.
        """
        self._end_server(grace)
        self._lock.release()

    def _start(self) -> str:
        binaries = find_binaries()
        _make_data_dir(self._layout.data_dir)
        self._lock.acquire()
        self._drop_guard()
        account = server_account(self._layout.cluster, [binaries.postgres, self._layout.cluster])
        password = ensure_cluster(self._layout, binaries, account)
        sockets = socket_folder(self._layout, account)
        self._run_until_ready(binaries, account, sockets)
        query = urlencode({"host": str(sockets), "port": PORT}, quote_via=quote)
        return f"postgresql://{USER}:{password}@/{DATABASE}?{query}"

    def _run_until_ready(self, binaries: Binaries, account: Account, sockets: Path) -> None:
        """Spawn the server, again for a while when remains of the last one are in its way."""
        command = [str(binaries.postgres), *server_arguments(self._layout.cluster, sockets, self._settings)]
        give_up = time.monotonic() + SETTLE_SECS
        while True:
            end_previous_server(self._layout)
            clear_sockets(sockets)
            log_start = _rotated_log(self._layout.log_file)
            self._spawn(command, account)
            if self._becomes_ready():
                return
            said = _tail(self._layout.log_file, log_start)
            passing = any(trouble in said for trouble in _PASSING_TROUBLE)
            if not passing or time.monotonic() >= give_up:
                raise StartupRefused(
                    f"The embedded PostgreSQL in {self._layout.data_dir} did not start: {said}\n{ADVICE}"
                )
            self._drop_guard()
            end_orphaned_backends(self._layout.cluster)
            time.sleep(POLL_SECS * 5)

    def _spawn(self, command: list[str], account: Account) -> None:
        log = os.open(self._layout.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        try:
            self._process = subprocess.Popen(
                launch_command(command, account, signal.SIGINT),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=ENVIRONMENT,
                start_new_session=True,
            )
        finally:
            os.close(log)
        if not dies_with_its_owner():
            self._guard = start_guard(self._process.pid, self._layout.postmaster_file)

    def _becomes_ready(self) -> bool:
        """Wait until the server accepts connections; False when it ended instead."""
        give_up = time.monotonic() + READY_TIMEOUT.total_seconds()
        while self.is_alive():
            if self._is_ready():
                return True
            if time.monotonic() >= give_up:
                raise StartupRefused(
                    f"The embedded PostgreSQL in {self._layout.data_dir} is not ready after {READY_TIMEOUT}; "
                    f"its log is {self._layout.log_file}."
                )
            time.sleep(POLL_SECS)
        return False

    def _is_ready(self) -> bool:
        try:
            lines = self._layout.postmaster_file.read_bytes().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and int(lines[0]) == self.pid and lines[7].strip() == b"ready"

    def _abandon(self, keep_lock: bool) -> None:
        """Undo a start that failed. The lock stays with an instance whose server was up before."""
        self._end_server(timedelta(seconds=2))
        if not keep_lock:
            self._lock.release()

    def _end_server(self, grace: timedelta) -> None:
        orders = ((signal.SIGINT, grace), (signal.SIGQUIT, timedelta(seconds=5)), (signal.SIGKILL, None))
        for order, patience in orders:
            if self._process is None or not self.is_alive():
                break
            self._process.send_signal(order)
            self.wait(patience)
        self._drop_guard()
        self._process = None

    def _drop_guard(self) -> None:
        if self._guard is not None:
            end_guard(self._guard)
            self._guard = None


def _make_data_dir(data_dir: Path) -> None:
    """Make the folder; for root one that the server's account can pass through, but not list."""
    data_dir.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)


def _rotated_log(log_file: Path) -> int:
    """Set a log over its limit aside, replacing the one before; the size of what stays."""
    try:
        size = log_file.stat().st_size
    except FileNotFoundError:
        return 0
    if size <= LOG_LIMIT_BYTES:
        return size
    log_file.replace(log_file.with_name(f"{log_file.name}.1"))
    return 0


def _tail(log_file: Path, start: int) -> str:
    with log_file.open("rb") as file:
        file.seek(start)
        return file.read().decode("utf-8", "replace").strip()[-2000:]
