"""The supervisor: starts the parts of an instance, starts again what dies, and ends them in order.

It holds the listening socket and hands it to the server, so that a server that is started anew keeps its address and
callers wait instead of being refused. The parts die with the supervisor, however it ends.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path

from millpond.base.errors import StartupRefused
from millpond.base.log import get_logger
from millpond.base.settings import Settings, setting_facts
from millpond.cli.listening import internal_address, listening_socket
from millpond.cli.processes import LISTEN_FD, REFUSED, SUPERVISOR
from millpond.store.embedded import EmbeddedPostgres

log = get_logger()

LOOK_EVERY_SECS = 0.1
SHORTEST_PAUSE_SECS = 0.2
LONGEST_PAUSE_SECS = 10.0
STEADY_SECS = 30.0
# Beyond the drain a worker gives up what a database that is away cannot record, and unregisters.
WORKER_STOP_SECS = 15.0
SERVER_STOP_SECS = 12.0


@dataclass
class Part:
    """A process that must be up, and when to start it again."""

    name: str
    arguments: list[str]
    pass_fds: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    pause_secs: float = field(default=SHORTEST_PAUSE_SECS)


class Supervisor:
    """Runs an instance in the foreground."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._postgres = None if settings.database_url else EmbeddedPostgres(settings.data_dir)

    def run(self) -> None:
        """Start everything and keep it up until SIGTERM or SIGINT. Raises StartupRefused."""
        for asked in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # Under nohup a terminal that goes away is ignored, and stays so.
            if signal.getsignal(asked) is not signal.SIG_IGN:
                signal.signal(asked, lambda *_: self._stopping.set())
        bound = listening_socket(self._settings)
        url = self._settings.database_url
        if self._postgres is not None:
            url = self._postgres.start()
        assert url is not None
        environment = self._environment(url, bound.getsockname()[1], bound.fileno())
        parts = [
            Part("server", ["server", "--prepare"], pass_fds=(bound.fileno(),)),
            *(
                Part(f"worker-{number}", ["worker", "--name", f"worker-{number}"])
                for number in range(1, self._settings.workers + 1)
            ),
        ]
        try:
            while not self._stopping.is_set():
                self._keep_database()
                for part in parts:
                    self._keep(part, environment)
                self._stopping.wait(LOOK_EVERY_SECS)
        finally:
            self._stop(parts)
            bound.close()

    def _keep_database(self) -> None:
        if self._postgres is None or self._postgres.is_alive():
            return
        log.error("database_died")
        while not self._stopping.is_set():
            try:
                self._postgres.start()
            except StartupRefused as error:
                log.error("database_not_started", error=error.message)
                self._stopping.wait(SHORTEST_PAUSE_SECS * 5)
            else:
                log.info("database_restarted")
                return

    def _keep(self, part: Part, environment: dict[str, str]) -> None:
        now = time.monotonic()
        if part.process is not None:
            if part.process.poll() is None:
                return
            self._note_end(part, now)
        if now < part.start_at:
            return
        part.started_at = now
        try:
            part.process = subprocess.Popen(
                [sys.executable, "-m", "millpond", *part.arguments],
                env=environment,
                pass_fds=part.pass_fds,
                stdin=subprocess.DEVNULL,
                # An interrupt typed in the terminal reaches the supervisor only, which ends the parts in their order.
                start_new_session=True,
            )
        except OSError as error:  # the machine has no memory or no process left just now
            part.start_at = now + LONGEST_PAUSE_SECS
            log.error("process_not_started", part=part.name, error=str(error))

    def _note_end(self, part: Part, now: float) -> None:
        assert part.process is not None
        lived = now - part.started_at
        # One that refuses to start would refuse again: it said why, and the instance must not pretend to be up.
        if part.process.returncode == REFUSED:
            self._stopping.set()
            raise StartupRefused(f"The {part.name} did not start; it said why above")
        part.pause_secs = (
            SHORTEST_PAUSE_SECS if lived > STEADY_SECS else min(part.pause_secs * 2, LONGEST_PAUSE_SECS)
        )
        part.start_at = now + part.pause_secs
        log.error(
            "process_died", part=part.name, exit_code=part.process.returncode, restart_in_secs=part.pause_secs
        )
        part.process = None

    def _stop(self, parts: list[Part]) -> None:
        workers = [part for part in parts if part.name != "server"]
        servers = [part for part in parts if part.name == "server"]
        # Jobs call the server until they end: it goes after the workers, the database last.
        for group, patience in (
            (workers, self._settings.drain_secs + WORKER_STOP_SECS),
            (servers, SERVER_STOP_SECS),
        ):
            for part in group:
                if part.process is not None:
                    part.process.terminate()
            deadline = time.monotonic() + patience
            for part in group:
                _await_end(part, deadline)
        if self._postgres is not None:
            self._postgres.stop(timedelta(seconds=10))

    def _environment(self, url: str, port: int, listen_fd: int) -> dict[str, str]:
        chosen: dict[str, str] = {}
        facts = {fact.name: fact for fact in setting_facts()}
        for entry in fields(self._settings):
            value = getattr(self._settings, entry.name)
            if value is not None and value != "":
                chosen[facts[entry.name].env] = str(value)
        own = {
            "DATABASE_URL": url,
            "MILLPOND_PORT": str(port),
            "MILLPOND_DATA_DIR": str(Path(self._settings.data_dir).resolve()),
            "MILLPOND_INTERNAL_URL": internal_address(self._settings, port),
            SUPERVISOR: str(os.getpid()),
            LISTEN_FD: str(listen_fd),
        }
        return {**os.environ, **chosen, **own}


def _await_end(part: Part, deadline: float) -> None:
    if part.process is None:
        return
    try:
        part.process.wait(max(deadline - time.monotonic(), 0.1))
    except subprocess.TimeoutExpired:
        log.error("process_killed", part=part.name)
        part.process.kill()
        part.process.wait()
