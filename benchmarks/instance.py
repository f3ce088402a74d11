"""A real instance for the benchmarks: `millpond serve` on a folder, driven over HTTP with one kept-alive connection."""

import contextlib
import http.client
import json
import os
import secrets
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit


class Instance:
    """Runs while the `with` block does."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._token = secrets.token_urlsafe(16)

    def __enter__(self) -> "Instance":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "millpond", "serve", "--port", "0", "--data-dir", str(self._data_dir)],
            env={**os.environ, "MILLPOND_SUPERADMIN_SECRET": self._token, "MILLPOND_LOG_LEVEL": "warning"},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("Millpond is up at "):
                address = urlsplit(line.removeprefix("Millpond is up at ").strip())
                self._connection = http.client.HTTPConnection(
                    address.hostname or "", address.port, timeout=120
                )
                return self
        raise SystemExit("the instance did not start")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()
        self._process.terminate()
        self._process.wait()

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        return self._process.pid

    def call(self, method: str, path: str, body: object = None) -> str:
        """One call; the answer's text. Raises RuntimeError when it is refused."""
        headers = {"authorization": f"Bearer {self._token}", "content-type": "application/json"}
        self._connection.request(method, f"/api{path}", None if body is None else json.dumps(body), headers)
        answer = self._connection.getresponse()
        text = answer.read().decode()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text}")
        return text

    def deploy(self, path: str, content: str) -> None:
        """Deploy a script without dependencies."""
        body = {"path": path, "content": content, "language": "python3", "summary": "", "auto_parent": True}
        self.call("POST", "/w/main/scripts/create?skip_if_noop=true", body)

    def run_wait(self, path: str, args: object) -> str:
        """Run a deployed script; its result."""
        return self.call("POST", f"/w/main/jobs/run_wait_result/p/{path}", args)

    def preview(self, content: str) -> str:
        """Run code; its result."""
        return self.call(
            "POST", "/w/main/jobs/run_wait_result/preview", {"content": content, "language": "python3"}
        )

    def batch(self, kind: str, count: int, path: str | None = None) -> list[str]:
        """Push many jobs at once; their ids."""
        ids: list[str] = json.loads(
            self.call("POST", f"/w/main/jobs/add_batch_jobs/{count}", {"kind": kind, "path": path})
        )
        return ids

    def seconds_of(self, ids: list[str]) -> float:
        """From the first start to the last completion of jobs, by the engine's own record; waits for them to end."""
        last = ids[-1]
        while json.loads(self.call("GET", "/w/main/jobs/queue/count"))["database_length"] > 0:
            time.sleep(0.05)
        while not json.loads(self.call("GET", f"/w/main/jobs_u/completed/get_result_maybe/{last}"))[
            "completed"
        ]:
            time.sleep(0.05)
        time.sleep(0.5)
        looked_at = (*ids[:3], *ids[-50:])
        jobs = [
            json.loads(self.call("GET", f"/w/main/jobs_u/get/{job_id}?no_logs=true")) for job_id in looked_at
        ]
        started = min(datetime.fromisoformat(job["started_at"]) for job in jobs)
        ended = max(datetime.fromisoformat(job["completed_at"]) for job in jobs)
        return (ended - started).total_seconds()


def resident_bytes(pid: int) -> int:
    """Proportional set size of a process and all below it."""
    total = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            total += int(line.split()[1]) * 1024
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                total += resident_bytes(int(child))
    return total
