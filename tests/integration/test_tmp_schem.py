"""Every documented operation, called with generated requests: answers are those the document promises, never a crash.

The library is driven directly: its pytest plugin is not loaded. Hypothesis runs in a thread and hands each request
to the loop the application lives on.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.conftest import SUPERADMIN_SECRET, ClientOf, Instance, client_with

EXAMPLES = 8
ANSWER_SECS = 20.0
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

WAITS = ("/run_wait_result/", "/run_inline/", "/run_and_stream/")
"""Parts of operations that wait for a worker, which is not there: what they refuse is tested by hand."""

ENDS = ("/archive", "/leave", "/logout", "/delete/{username}", "/tokens/delete/", "/workspaces/delete/")
"""Operations after which others would find nothing: they come last, and without the workspace of the others."""

SEED_PATHS = ["f/seed/resource", "f/seed/variable", "u/admin/script", "f/none/such", "f/seed/state"]

Operation = APIOperation[Any, Any, Any, Any]


@pytest.fixture
async def seeded(instance: Instance, client: httpx.AsyncClient) -> Instance:
    """An instance that holds something of most nouns."""
    for path, body in [
        ("folders/create", {"name": "seed"}),
        ("groups/create", {"name": "team", "summary": "x"}),
        ("resources/type/create", {"name": "thing", "schema": {"type": "object"}}),
        ("resources/create", {"path": "f/seed/resource", "value": {"a": 1}, "resource_type": "thing"}),
        ("resources/create", {"path": "f/seed/state", "value": [1], "resource_type": "state"}),
        ("variables/create", {"path": "f/seed/variable", "value": "v", "is_secret": True, "description": ""}),
        ("scripts/create", _script()),
    ]:
        answer = await client.post(f"/api/w/main/{path}", json=body)
        assert answer.status_code in (200, 201), answer.text
    return instance


def _script() -> dict[str, object]:
    content = "def main(x: int = 1):\n    return x\n"
    described: dict[str, object] = {"summary": "", "description": "", "schema": {}}
    return {"path": "u/admin/script", "content": content, "language": "python3", **described}


async def _operations(client: httpx.AsyncClient) -> list[Operation]:
    document = (await client.get("/api/openapi.json")).json()
    schema = schemathesis.openapi.from_dict(document)
    found = [result.ok() for result in schema.get_all_operations()]
    kept = [operation for operation in found if not any(part in operation.path for part in WAITS)]
    return sorted(kept, key=_ends)


def _ends(operation: Operation) -> bool:
    return any(part in operation.path for part in ENDS)


def _examine(operation: Operation, send: Callable[[Case], httpx.Response], mode: GenerationMode) -> None:
    """Call one operation with generated requests; raises what the checks find wrong."""
    fixed = None if _ends(operation) else {"workspace": "main"}
    names = {parameter.name for parameter in operation.path_parameters}
    cases = operation.as_strategy(mode, path_parameters=fixed if "workspace" in names else None)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, path=st.sampled_from([*SEED_PATHS, None]))
    def call(case: Case, path: str | None) -> None:
        if path is not None and "path" in names:
            case.path_parameters["path"] = path
        answer = send(case); open("/tmp/stats.txt","a").write(f"{answer.status_code} {case.method} {answer.request.url.path} | {answer.text[:150]!r}\n")
        assert "html" not in answer.headers.get("content-type", "")
        if answer.status_code >= 400:
            assert answer.headers["content-type"].startswith("text/plain"), answer.headers
            assert answer.text.strip(), "a refusal says why"
        case.validate_response(answer, checks=CHECKS)

    call()


def _sender(loop: asyncio.AbstractEventLoop, client: httpx.AsyncClient) -> Callable[[Case], httpx.Response]:
    async def send(case: Case) -> httpx.Response:
        prepared = requests.Request(**case.as_transport_kwargs(base_url="http://test")).prepare()
        assert prepared.method is not None
        assert prepared.url is not None
        headers = dict(prepared.headers) | {"authorization": client.headers["authorization"]}
        async with asyncio.timeout(ANSWER_SECS):
            return await client.request(prepared.method, prepared.url, headers=headers, content=prepared.body)

    return lambda case: asyncio.run_coroutine_threadsafe(send(case), loop).result()


async def _call_everything(client: httpx.AsyncClient, mode: GenerationMode) -> None:
    send = _sender(asyncio.get_running_loop(), client)
    failed: dict[str, str] = {}
    operations = await _operations(client)
    assert len(operations) > 120, "the document holds too little to prove anything"
    for operation in operations:
        try:
            await asyncio.to_thread(_examine, operation, send, mode)
        except Exception as error:  # noqa: BLE001  # each operation is reported, not the first that fails
            failed[operation.label] = str(error)
    assert failed == {}, "\n\n".join(f"{label}\n{why}" for label, why in failed.items())
    assert (await client.get("/api/version")).status_code == 200


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
async def test_a_superadmin_gets_only_documented_answers(seeded: Instance, mode: GenerationMode) -> None:
    async with client_with(seeded, SUPERADMIN_SECRET) as client:
        await _call_everything(client, mode)


async def test_a_developer_gets_only_documented_answers(seeded: Instance, client_of: ClientOf) -> None:
    del seeded
    await _call_everything(await client_of("henri"), GenerationMode.POSITIVE)
