"""What tests do with waits: links, signatures, answers."""

import base64
import json
from urllib.parse import urlsplit

import httpx

from tests.integration.flows.building import Json, module_comes_to, modules_of
from tests.integration.live_instance import Api, LiveInstance, eventually


async def waiting_for(api: Api, flow_job: str, module_id: str) -> str:
    """The job whose approval a flow waits for before a step, once it does."""
    module = await module_comes_to(api, flow_job, module_id, "WaitingForEvents")
    return str(module["job"])


async def signature(api: Api, job_id: str, resume_id: int = 0, **query: str) -> str:
    """What proves the right to answer."""
    answer = await api.get(f"jobs/job_signature/{job_id}/{resume_id}", **query)
    assert answer.status_code == 200, answer.text
    assert len(bytes.fromhex(answer.text)) == 32
    return answer.text


async def resume_urls(api: Api, job_id: str, resume_id: int = 0, **query: str) -> Json:
    """The links to answer with."""
    answer = await api.get(f"jobs/resume_urls/{job_id}/{resume_id}", **query)
    assert answer.status_code == 200, answer.text
    urls: Json = answer.json()
    assert set(urls) == {"approvalPage", "resume", "cancel"}
    return urls


class Stranger:
    """Somebody who is not logged in, and has a link."""

    def __init__(self, live: LiveInstance) -> None:
        self._http = httpx.AsyncClient(base_url=live.url, timeout=30)
        live.opened.append(self._http)

    async def follow(self, url: str, body: object = None) -> httpx.Response:
        """Answer a link with a payload; the host in the link is that of users, which may be another."""
        parts = urlsplit(url)
        return await self._http.post(f"{parts.path}?{parts.query}", json=body)

    async def get(self, url: str, payload: object = None) -> httpx.Response:
        """Open a link, with a payload in its address."""
        parts = urlsplit(url)
        query = parts.query
        if payload is not None:
            encoded = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode()
            query = f"{query}&payload={encoded}"
        return await self._http.get(f"{parts.path}?{query}")

    async def answer(
        self, verb: str, job_id: str, proof: str, body: object = None, resume_id: int = 0, **query: str
    ) -> httpx.Response:
        """Resume or cancel by a signature."""
        path = f"/api/w/main/jobs_u/{verb}/{job_id}/{resume_id}/{proof}"
        return await self._http.post(path, json=body, params=query)


async def approve(live: LiveInstance, flow_job: str, module_id: str, body: object = None) -> httpx.Response:
    """Answer, as a stranger with a link, what a flow waits for before a step."""
    job_id = await waiting_for(live.api, flow_job, module_id)
    return await Stranger(live).follow((await resume_urls(live.api, job_id))["resume"], body)


async def misses(api: Api, flow_job: str, count: int) -> None:
    """Returns once as many answers are missing; a worker counts them after they were given."""

    async def are_missing() -> bool:
        return (await api.job(flow_job)).get("suspend") == count

    await eventually(are_missing)


def approvers_of(job: Json, module_id: str) -> list[tuple[int, str]]:
    """Who approved a step's wait, by number."""
    return [(each["resume_id"], each["approver"]) for each in modules_of(job)[module_id]["approvers"]]
