"""A running instance for tests of clients: `millpond serve` itself, with its own database and worker.

Beside it the HTTP API as one user, for what a test prepares and checks without the client it is about.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

SUPERADMIN_SECRET = "superadmin-secret-of-the-tests"
WORKSPACE = "main"
HENRI = "henri"
HENRIS_EMAIL = "henri@example.com"
HENRIS_PASSWORD = "a long password"
START_SECS = 60
ANSWER_SECS = 60


def unique(name: str) -> str:
    """A path below henri's own that no other test uses."""
    return f"u/{HENRI}/{name}_{uuid.uuid4().hex[:8]}"


@dataclass
class ServedInstance:
    """`millpond serve` on a folder of its own; it may be stopped and started again."""

    folder: Path
    url: str = ""
    _process: subprocess.Popen[str] | None = None
    _lines: queue.Queue[str | None] = field(default_factory=queue.Queue)

    @property
    def data_dir(self) -> Path:
        """Where the instance keeps everything."""
        return self.folder / "data"

    def start(self) -> None:
        """Start it, and return once it says that it is up."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("WM_", "MILLPOND_"))
        }
        command = [
            sys.executable,
            "-m",
            "millpond",
            "serve",
            "--port",
            "0",
            "--data-dir",
            str(self.data_dir),
        ]
        with (self.folder / "log").open("a") as log:
            self._process = subprocess.Popen(
                command,
                env={**inherited, "MILLPOND_SUPERADMIN_SECRET": SUPERADMIN_SECRET},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._lines = queue.Queue()
        threading.Thread(target=self._read, args=(self._process, self._lines), daemon=True).start()
        self.url = self._announced()

    @staticmethod
    def _read(process: subprocess.Popen[str], lines: queue.Queue[str | None]) -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            for line in stream:
                lines.put(line)
        lines.put(None)

    def _announced(self) -> str:
        while (line := self._lines.get(timeout=START_SECS)) is not None:
            if line.startswith("Millpond is up at "):
                return line.removeprefix("Millpond is up at ").strip()
        raise AssertionError(f"The instance ended before it was up:\n{self.log()}")

    def stop(self) -> None:
        """Ask it to stop, and wait until it and all its parts have ended."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(START_SECS) == 0, self.log()
        self._process = None

    def kill(self) -> None:
        """End it at once if it still runs; its parts die with it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def log(self) -> str:
        """What it logged, the last of it."""
        return (self.folder / "log").read_text()[-4000:]


@contextmanager
def served_instance() -> Iterator[ServedInstance]:
    """A running instance that knows nobody but its superadmin."""
    folder = Path(tempfile.mkdtemp(prefix="millpond-clients-"))
    # Started by root, the database and the jobs are other users, who must be able to reach their folders.
    folder.chmod(0o711)
    served = ServedInstance(folder)
    try:
        served.start()
        yield served
        served.stop()
    finally:
        served.kill()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Api:
    """The HTTP API as one user, for what tests prepare and check beside the client under test."""

    http: httpx.Client
    token: str

    @classmethod
    def of(cls, served: ServedInstance, token: str) -> Self:
        headers = {"authorization": f"Bearer {token}"}
        return cls(httpx.Client(base_url=f"{served.url}/api", headers=headers, timeout=ANSWER_SECS), token)

    def get(self, path: str, **query: Any) -> Any:
        """The JSON of a GET inside the workspace."""
        answer = self.http.get(f"/w/{WORKSPACE}/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, **query: Any) -> str:
        """The text of a POST inside the workspace."""
        answer = self.http.post(f"/w/{WORKSPACE}/{path}", json=body, params=query)
        assert answer.status_code in (200, 201), answer.text
        return answer.text

    def deploy(self, path: str, code: str, *, parent_hash: str | None = None) -> str:
        """Deploy a version of a Python script and wait for its dependencies; its hash."""
        script = {
            "path": path,
            "summary": "",
            "content": textwrap.dedent(code),
            "language": "python3",
            "parent_hash": parent_hash,
        }
        script_hash = self.post("scripts/create", script)
        status = self.get(f"scripts/deployment_status/h/{script_hash}")
        if status["lock"] is None:
            job = self.finished(status["job_id"])
            assert job["success"], job["logs"]
        return script_hash

    def run(self, path: str, **args: Any) -> dict[str, Any]:
        """Run a deployed script; its ended job."""
        return self.finished(self.post(f"jobs/run/p/{path}", args))

    def preview(self, code: str, args: dict[str, Any], path: str | None = None) -> dict[str, Any]:
        """Run a script that is not deployed; its ended job."""
        body = {"content": textwrap.dedent(code), "language": "python3", "args": args, "path": path}
        return self.finished(self.post("jobs/run/preview", body))

    def finished(self, job_id: str) -> dict[str, Any]:
        """A job once it has ended."""
        self._stream(job_id, lambda update: update.get("completed") is True)
        job: dict[str, Any] = self.get(f"jobs_u/get/{job_id}")
        return job

    def await_running(self, job_id: str) -> None:
        """Return once a job runs."""
        self._stream(job_id, lambda update: update.get("running") is True)

    def _stream(self, job_id: str, is_enough: Callable[[dict[str, Any]], bool]) -> None:
        """Read the job's event stream until an update is enough."""
        with self.http.stream("GET", f"/w/{WORKSPACE}/jobs_u/getupdate_sse/{job_id}") as events:
            for line in events.iter_lines():
                if line.startswith("data: ") and is_enough(json.loads(line.removeprefix("data: "))):
                    return
        raise AssertionError(f"Job {job_id} did not come so far: {self.get(f'jobs_u/get/{job_id}')}")

    def close(self) -> None:
        self.http.close()


def admit_henri(admin: Api) -> str:
    """Make henri a member of the workspace; his token."""
    account = {"email": HENRIS_EMAIL, "password": HENRIS_PASSWORD, "super_admin": False}
    member = {"email": HENRIS_EMAIL, "username": HENRI, "is_admin": False, "operator": False}
    login = {"email": HENRIS_EMAIL, "password": HENRIS_PASSWORD}
    for path, body in (("/users/create", account), (f"/w/{WORKSPACE}/workspaces/add_user", member)):
        answer = admin.http.post(path, json=body)
        assert answer.status_code == 201, answer.text
    answer = admin.http.post("/auth/login", json=login)
    assert answer.status_code == 200, answer.text
    return answer.text
