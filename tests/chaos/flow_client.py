"""A tolerant caller of flows: starts them under ids of its own, gets links, and approves until it hears that it counted."""

import asyncio
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx

from tests.chaos.eventually import eventually
from tests.chaos.tolerant_client import PATIENCE_SECS, TolerantClient

WAIT_SECS = 60.0
REFUSALS = ("already", "not in a suspended state")


class FlowClient(TolerantClient):
    """Talks to an instance that may be struck at any time."""

    async def start(self, value: dict[str, Any], args: dict[str, Any]) -> UUID:
        """Start a flow; returns once it is acknowledged."""
        job_id = uuid4()
        body = {"value": value, "args": args}
        answer = await self._post("/w/main/jobs/run/preview_flow", body, job_id=str(job_id))
        stored_earlier = answer.status_code == 400 and "exists already" in answer.text
        assert answer.status_code == 201 or stored_earlier, f"{answer.status_code}: {answer.text}"
        self.acknowledged[job_id] = "flow"
        return job_id

    async def resume_link(self, job_id: UUID | str, resume_id: int = 0) -> str:
        """The path of the link that approves a step's wait, or by the id of a flow any wait of it."""
        answer = await self.get(f"jobs/resume_urls/{job_id}/{resume_id}")
        assert answer.status_code == 200, answer.text
        address: str = answer.json()["resume"]
        return urlsplit(address).path.removeprefix("/api")

    async def approve(self, link: str, payload: object) -> bool:
        """Approve by a link; False when that counted before, its answer lost, or the flow has ended."""
        answer = await self._post(link, payload)
        if answer.status_code == 201:
            return True
        assert any(text in answer.text for text in REFUSALS), f"{answer.status_code}: {answer.text}"
        return False

    async def waits(self, flow_job: UUID) -> None:
        """Returns once a flow waits for approvals."""

        async def look() -> bool:
            job = (await self.get(f"jobs_u/get/{flow_job}")).json()
            modules = (job.get("flow_status") or {"modules": []})["modules"]
            return any(module["type"] == "WaitingForEvents" for module in modules)

        await eventually(look, WAIT_SECS, f"flow {flow_job} waits")

    async def _post(self, path: str, body: object, **query: str) -> httpx.Response:
        async def ask() -> httpx.Response | None:
            try:
                answer = await self._http.post(path, json=body, params=query)
            except httpx.TransportError:
                return None
            return None if answer.status_code == 503 else answer

        found = await eventually(ask, PATIENCE_SECS, f"an answer to POST {path}")
        assert found is not None
        return found


async def ends(client: FlowClient, jobs: list[UUID]) -> list[dict[str, Any]]:
    """Flows in order, once they have all ended."""
    return await asyncio.gather(*(client.ended(job_id, PATIENCE_SECS) for job_id in jobs))
