"""A caller as a careful program is one: it chooses the ids of its jobs, and asks again when an answer was lost."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx

from tests.chaos.eventually import eventually
from tests.chaos.served_instance import ServedInstance

PAUSE_SECS = 0.1
PATIENCE_SECS = 90.0

ECHO_ID = 'import os\n\ndef main():\n    print(os.environ["WM_JOB_ID"])\n    return os.environ["WM_JOB_ID"]\n'


class TolerantClient:
    """Talks to an instance that may be struck at any time."""

    def __init__(self, served: ServedInstance) -> None:
        self._served = served
        self._http = served.client()
        self.acknowledged: dict[UUID, str] = {}

    async def aclose(self) -> None:
        """Hang up."""
        await self._http.aclose()

    async def get(self, path: str) -> httpx.Response:
        """The answer to a GET inside the workspace, asked again while the instance is out of reach."""

        async def ask() -> httpx.Response | None:
            try:
                answer = await self._http.get(f"/w/main/{path}")
            except httpx.TransportError:
                return None
            return None if answer.status_code == 503 else answer

        found = await eventually(ask, PATIENCE_SECS, f"an answer to GET {path}")
        assert found is not None
        return found

    async def cancel(self, job_id: UUID) -> None:
        """Ask for a job's end."""
        answer = await self._http.post(f"/w/main/jobs_u/queue/cancel/{job_id}", json={"reason": "enough"})
        assert answer.status_code == 200, answer.text

    async def runs(self, job_id: UUID) -> None:
        """Return once a job has begun to run."""

        async def look() -> bool:
            job = (await self.get(f"jobs_u/get/{job_id}")).json()
            return bool(job.get("running")) or job["type"] == "CompletedJob"

        await eventually(look, 60, f"job {job_id} runs")

    async def launch(self, kind: str, code: str = ECHO_ID) -> UUID:
        """Start a job under an id of our own; returns once it is acknowledged."""
        job_id = uuid4()
        body: dict[str, Any] = {"kind": kind}
        if kind == "code":
            body |= {"content": code, "language": "python3", "lock": ""}
        async with asyncio.timeout(PATIENCE_SECS):
            while not await self._try_launch(job_id, kind, body):
                await asyncio.sleep(PAUSE_SECS)
        return job_id

    async def _try_launch(self, job_id: UUID, kind: str, body: dict[str, Any]) -> bool:
        try:
            answer = await self._http.post(
                "/w/main/jobs/run/preview", params={"job_id": str(job_id)}, json=body
            )
        except httpx.TransportError:
            return False
        if answer.status_code == 503:
            return False
        stored_earlier = answer.status_code == 400 and "exists already" in answer.text
        assert answer.status_code == 201 or stored_earlier, f"{answer.status_code}: {answer.text}"
        self.acknowledged[job_id] = kind
        return True

    async def ended(self, job_id: UUID, timeout_secs: float = 60) -> dict[str, Any]:
        """A job once it has ended."""

        async def look() -> dict[str, Any] | None:
            answer = await self.get(f"jobs_u/get/{job_id}")
            assert answer.status_code == 200, answer.text
            job: dict[str, Any] = answer.json()
            return job if job["type"] == "CompletedJob" else None

        found = await eventually(look, timeout_secs, f"job {job_id} ended")
        assert found is not None
        return found
