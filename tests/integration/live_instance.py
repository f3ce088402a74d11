"""An instance that runs jobs: real database, real HTTP server on a loopback port, real worker, all in this process."""

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import uvicorn

from millpond.app import Services, build_server, build_services, build_worker, open_instance
from millpond.base.sealing import MasterKey
from millpond.base.settings import Settings
from millpond.store.pool import Database
from millpond.worker.environment import Addresses
from millpond.worker.worker import Worker

SECRET = "superadmin-secret-of-the-tests"
WAIT_SECS = 30.0
PASSWORD = "a long password"


@dataclass
class Api:
    """The HTTP API as one user, inside the workspace `main`."""

    http: httpx.AsyncClient

    async def get(self, path: str, **query: Any) -> httpx.Response:
        return await self.http.get(f"/api/w/main/{path}", params=query)

    async def post(self, path: str, body: object = None, **query: Any) -> httpx.Response:
        return await self.http.post(f"/api/w/main/{path}", json=body, params=query)

    async def post_raw(
        self, path: str, content: bytes, content_type: str | None, **query: Any
    ) -> httpx.Response:
        headers = {} if content_type is None else {"content-type": content_type}
        return await self.http.post(f"/api/w/main/{path}", content=content, headers=headers, params=query)

    async def deploy(self, path: str, code: str, **more: Any) -> str:
        """Deploy a Python script that needs no packages; its hash."""
        body = {
            "path": path,
            "summary": "",
            "description": "",
            "content": dedent(code),
            "language": "python3",
            "lock": "",
            **more,
        }
        answer = await self.post("scripts/create", body)
        assert answer.status_code == 201, answer.text
        return answer.text

    async def preview(
        self, code: str, args: object = None, path: str | None = None, **query: Any
    ) -> httpx.Response:
        """Start a preview; the answer holds its id."""
        body = {
            "content": dedent(code),
            "language": "python3",
            "args": args or {},
            "path": path,
            "lock": "",
        }
        return await self.post("jobs/run/preview", body, **query)

    async def start(self, code: str, args: object = None, path: str | None = None, **query: Any) -> str:
        """Start a preview; its id."""
        answer = await self.preview(code, args, path, **query)
        assert answer.status_code == 201, answer.text
        return answer.text

    async def run(
        self, code: str, args: object = None, path: str | None = None, **query: Any
    ) -> dict[str, Any]:
        """Run a preview to its end; the completed job."""
        return await self.ended(await self.start(code, args, path, **query))

    async def ended(self, job_id: str) -> dict[str, Any]:
        """The completed job, once it is."""
        await eventually(lambda: self._is_completed(job_id))
        job: dict[str, Any] = (await self.get(f"jobs_u/completed/get/{job_id}")).json()
        return job

    async def running(self, job_id: str) -> dict[str, Any]:
        """The job, once a worker runs it."""
        await eventually(lambda: self._is_running(job_id))
        return await self.job(job_id)

    async def printed(self, job_id: str, text: str) -> None:
        """Returns once the job's log holds the text."""

        async def holds() -> bool:
            return text in (await self.get(f"jobs_u/get_logs/{job_id}")).text

        await eventually(holds)

    async def job(self, job_id: str) -> dict[str, Any]:
        answer = await self.get(f"jobs_u/get/{job_id}")
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()
        return job

    async def logs(self, job_id: str) -> str:
        return (await self.get(f"jobs_u/get_logs/{job_id}")).text

    async def cancel(self, job_id: str, reason: str = "enough") -> httpx.Response:
        return await self.post(f"jobs_u/queue/cancel/{job_id}", {"reason": reason})

    async def _is_completed(self, job_id: str) -> bool:
        answer = await self.get(f"jobs_u/getupdate/{job_id}", running="true", no_logs="true")
        assert answer.status_code == 200, answer.text
        return bool(answer.json().get("completed"))

    async def _is_running(self, job_id: str) -> bool:
        return (await self.get(f"jobs_u/getupdate/{job_id}", no_logs="true")).json().get("running") is True


async def eventually(holds: Callable[[], Awaitable[bool]], within_secs: float = WAIT_SECS) -> None:
    """Returns once the condition holds; fails when it does not in time."""
    async with asyncio.timeout(within_secs):
        while not await holds():
            await asyncio.sleep(0.01)


@dataclass
class LiveInstance:
    """An instance that serves HTTP at `url`; workers are started as a test needs them."""

    settings: Settings
    database: Database
    database_url: str
    master_key: MasterKey
    services: Services
    url: str
    opened: list[httpx.AsyncClient] = field(default_factory=list)

    @cached_property
    def api(self) -> Api:
        """The API as the superadmin."""
        return self.with_token(SECRET)

    async def member(self, username: str, role: str = "developer") -> Api:
        """The API as a new member of `main`."""
        email = f"{username}@example.com"
        made = await self.api.http.post("/api/users/create", json={"email": email, "password": PASSWORD})
        assert made.status_code == 201, made.text
        member = {
            "email": email,
            "username": username,
            "is_admin": role == "admin",
            "operator": role == "operator",
        }
        added = await self.api.post("workspaces/add_user", member)
        assert added.status_code in (200, 201), added.text
        token = await self.api.http.post("/api/auth/login", json={"email": email, "password": PASSWORD})
        return self.with_token(token.text)

    def with_token(self, token: str) -> Api:
        """The API with any token."""
        headers = {"authorization": f"Bearer {token}"}
        self.opened.append(httpx.AsyncClient(base_url=self.url, headers=headers, timeout=WAIT_SECS))
        return Api(self.opened[-1])

    async def folder(self, name: str, **perms: bool) -> None:
        """A folder whose members are given as `u_<name>=may_write`."""
        extra_perms = {f"u/{member[2:]}": writes for member, writes in perms.items()}
        answer = await self.api.post("folders/create", {"name": name, "extra_perms": extra_perms})
        assert answer.status_code in (200, 201), answer.text

    @asynccontextmanager
    async def worker(self, name: str = "worker", **settings: Any) -> AsyncIterator[Worker]:
        """A worker that drains at the end of the block."""
        worker = self.build_worker(name, **settings)
        running = asyncio.create_task(worker.run(), name=f"worker {name}")
        try:
            yield worker
        finally:
            worker.stop()
            await asyncio.wait_for(running, WAIT_SECS)

    def build_worker(self, name: str = "worker", **settings: Any) -> Worker:
        """A worker that does not run yet."""
        addresses = Addresses(internal=self.url, public=self.url)
        changed = replace(self.settings, **settings)
        return build_worker(changed, self.database, self.master_key, addresses, name=name)

    async def execute(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """Run SQL behind the instance's back."""
        async with self.database.statement() as connection:
            rows = await connection.fetch(statement, *values)
        return [dict(row) for row in rows]


@asynccontextmanager
async def live_instance(database_url: str) -> AsyncIterator[LiveInstance]:
    """An instance on a migrated, empty database, serving HTTP on a free port; no worker runs yet."""
    folder = Path(tempfile.mkdtemp(prefix="millpond-live-"))
    # Started by root, jobs are other users, who must be able to reach their folders.
    folder.chmod(0o711)
    settings = Settings(data_dir=folder, superadmin_secret=SECRET, wait_result_secs=20, slots=8, drain_secs=1)
    database = await Database.connect(database_url, connections=15)
    try:
        master_key = await open_instance(settings, database, create=True)
        services = build_services(settings, database, master_key)
        async with _served(build_server(settings, database, services)) as url:
            live = LiveInstance(settings, database, database_url, master_key, services, url)
            try:
                yield live
            finally:
                for client in live.opened:
                    await client.aclose()
    finally:
        await database.aclose()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _served(application: Any) -> AsyncIterator[str]:
    # asyncio turns Nagle's algorithm off only where the protocol is named: each answer would take 40 ms more.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.bind(("127.0.0.1", 0))
    config = uvicorn.Config(application, log_config=None, access_log=False, timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    # The tests' process keeps its own handling of signals.
    server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]
    serving = asyncio.create_task(server.serve(sockets=[bound]), name="http server")

    async def is_up() -> bool:
        return server.started

    try:
        await eventually(is_up)
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving
