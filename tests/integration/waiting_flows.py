"""Flows that wait for approvals, put into the database; no worker takes part."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import httpx

from millpond.engine.references import Place, ResultOf
from millpond.engine.status import Conditions, FlowStatus, ModuleState, ModuleStatus, Phase
from millpond.store import approvals as store
from millpond.store.approvals import StoredApproval
from tests.conftest import Instance
from tests.integration.flow_trees import push, push_flow, set_status

W = "/api/w/main"
DONE = ModuleStatus(state=ModuleState.SUCCESS, result=ResultOf(Place("a")))
ACTIVE = ModuleStatus(state=ModuleState.ACTIVE)
RUNS = FlowStatus(step=0, modules=(ACTIVE, ModuleStatus()), phase=Phase.RUNNING)
WAITS = FlowStatus(
    step=1, modules=(DONE, ModuleStatus(state=ModuleState.SUSPENDED)), phase=Phase.SUSPENDED, waits=1
)
PASSED = FlowStatus(
    step=1, modules=(ModuleStatus(state=ModuleState.SUCCESS, released=True), ACTIVE), phase=Phase.RUNNING
)


def waits_under(**conditions: Any) -> FlowStatus:
    """A flow that waits under these conditions."""
    plain = {"user_auth_required": False, "user_groups_required": (), "self_approval_disabled": False}
    given = Conditions(**{**plain, **conditions})
    return FlowStatus(step=1, modules=WAITS.modules, phase=Phase.SUSPENDED, waits=1, conditions=given)


def step(name: str, **settings: Any) -> dict[str, Any]:
    code = {"type": "rawscript", "content": "", "language": "python3", "input_transforms": {}}
    return {"id": name, "value": code, **settings}


def two_steps(**suspend: Any) -> list[dict[str, Any]]:
    return [step("a", suspend={"required_events": 1, **suspend}), step("b")]


class Waiting:
    """A flow of the steps `a`, which asks, and `b`; and the job of `a`."""

    def __init__(self, instance: Instance, flow: UUID, job: UUID) -> None:
        self.instance, self.flow, self.job = instance, flow, job

    async def told(self) -> list[Any]:
        """What the flow was told, without the tags."""
        async with self.instance.database.statement() as connection:
            rows = await connection.fetch(
                "SELECT event FROM flow_inbox WHERE flow_job = $1 ORDER BY number", self.flow
            )
        return [json.loads(row["event"])["approval"] for row in rows]

    async def answers(self) -> list[StoredApproval]:
        async with self.instance.database.statement() as connection:
            return await store.payloads_of(connection, "main", self.flow)

    async def moves(self, status: FlowStatus) -> None:
        await set_status(self.instance.database, self.flow, status)


async def waiting_flow(
    instance: Instance,
    status: FlowStatus = WAITS,
    *,
    by: str = "admin",
    suspend: Mapping[str, Any] | None = None,
) -> Waiting:
    flow = await push_flow(instance.database, two_steps(**(suspend or {})), status=status, by=by)
    job = await push(
        instance.database, parent=flow, by=by, flow_step_id="a", step_attempt=0, visible_to_owner=True
    )
    return Waiting(instance, flow, job)


async def link(client: httpx.AsyncClient, verb: str, job: UUID, number: int = 0, **query: str) -> str:
    """The address that answers with this number."""
    answer = await client.get(f"{W}/jobs/resume_urls/{job}/{number}", params=query)
    assert answer.status_code == 200, answer.text
    address: str = answer.json()[verb]
    return address.removeprefix("http://test")


async def signature(client: httpx.AsyncClient, job: UUID, number: int = 0, **query: str) -> str:
    answer = await client.get(f"{W}/jobs/job_signature/{job}/{number}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.text


def approval(
    number: int = 0, approver: str | None = None, module: str | None = "a", **more: Any
) -> dict[str, Any]:
    return {"module": module, "attempt": 0, "resume_id": number, "approver": approver, **more}
