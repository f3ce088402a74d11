"""Every documented operation, called with generated requests: answers are those the document promises, never a crash.

The library is driven directly: its pytest plugin is not loaded. Hypothesis runs in a thread and hands each request
to the loop the application lives on.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
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

SEED_PATHS = [
    "f/seed/resource",
    "f/seed/variable",
    "u/admin/script",
    "u/admin/flow",
    "f/none/such",
    "f/seed/state",
]

SEED_NAMES = ["seed", "team", "thing", "admin"]

Operation = APIOperation[Any, Any, Any, Any]
GeneratedCase = Case[Any]
Send = Callable[[GeneratedCase], httpx.Response]


@dataclass(frozen=True)
class Seeded:
    """An instance, and by parameter of paths the values under which it holds something."""

    instance: Instance
    values: Mapping[str, Sequence[str]]


@pytest.fixture
async def seeded(instance: Instance, client: httpx.AsyncClient) -> Seeded:
    """An instance that holds something of most nouns."""
    for path, body in [
        ("folders/create", {"name": "seed"}),
        ("groups/create", {"name": "team", "summary": "x"}),
        ("resources/type/create", {"name": "thing", "schema": {"type": "object"}}),
        ("resources/create", {"path": "f/seed/resource", "value": {"a": 1}, "resource_type": "thing"}),
        ("resources/create", {"path": "f/seed/state", "value": [1], "resource_type": "state"}),
        ("variables/create", {"path": "f/seed/variable", "value": "v", "is_secret": True, "description": ""}),
        ("scripts/create", _script()),
        ("flows/create", {"path": "u/admin/flow", "summary": "", "value": {"modules": []}}),
    ]:
        answer = await client.post(f"/api/w/main/{path}", json=body)
        assert answer.status_code in (200, 201), answer.text
    answer = await client.post("/api/w/main/jobs/run/preview", json=_script())
    assert answer.status_code == 201, answer.text
    version = (await client.get("/api/w/main/flows/get/u/admin/flow")).json()["version_id"]
    values = {"path": SEED_PATHS, "name": SEED_NAMES, "job_id": [answer.text], "version": [str(version)]}
    return Seeded(instance, values)


def _script() -> dict[str, object]:
    content = "def main(x: int = 1):\n    return x\n"
    described: dict[str, object] = {"summary": "", "description": "", "schema": {}}
    return {"path": "u/admin/script", "content": content, "language": "python3", **described}


async def _operations(client: httpx.AsyncClient) -> list[Operation]:
    document = (await client.get("/api/openapi.json")).json()
    schema = schemathesis.openapi.from_dict(document)
    found = []
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), f"the document is invalid: {result.err()}"
        found.append(result.ok())
    kept = [operation for operation in found if not any(part in operation.path for part in WAITS)]
    return sorted(kept, key=_ends)


def _ends(operation: Operation) -> bool:
    return any(part in operation.path for part in ENDS)


@dataclass
class Session:
    """Calls operations as one user, and counts those that succeeded."""

    seeded: Seeded
    send: Send
    mode: GenerationMode
    succeeded: set[str] = field(default_factory=set)

    def examine(self, operation: Operation) -> str | None:
        """What is wrong with an operation; None when nothing is found, or nothing invalid can be sent to it."""
        try:
            self._call_with_generated(operation)
        except Unsatisfiable:
            return None if self.mode is GenerationMode.NEGATIVE else "nothing could be generated"
        except (Exception, FailureGroup) as error:  # noqa: BLE001  # each operation is reported, not the first
            return str(error)
        return None

    def _call_with_generated(self, operation: Operation) -> None:
        names = {parameter.name for parameter in operation.path_parameters}
        known = {name: values for name, values in self.seeded.values.items() if name in names}
        if _ends(operation) or operation.path.endswith("_sse/{job_id}"):
            known = {}  # the events of a job that waits never end
        fixed = {"workspace": "main"} if "workspace" in names and not _ends(operation) else None

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(
            case=operation.as_strategy(self.mode, path_parameters=fixed),
            chosen=st.fixed_dictionaries({name: st.sampled_from([*known[name], None]) for name in known}),
        )
        def call(case: GeneratedCase, chosen: Mapping[str, str | None]) -> None:
            case.path_parameters |= {name: value for name, value in chosen.items() if value is not None}
            self._check(operation, case, self.send(case))

        call()

    def _check(self, operation: Operation, case: GeneratedCase, answer: httpx.Response) -> None:
        assert "html" not in answer.headers.get("content-type", "")
        if answer.status_code >= 400:
            assert answer.headers["content-type"].startswith("text/plain"), answer.headers
            assert answer.text.strip(), "a refusal says why"
        else:
            self.succeeded.add(operation.label)
        case.validate_response(answer, checks=CHECKS)


def _sender(loop: asyncio.AbstractEventLoop, client: httpx.AsyncClient) -> Send:
    async def send(case: GeneratedCase) -> httpx.Response:
        prepared = requests.Request(**case.as_transport_kwargs(base_url="http://test")).prepare()
        assert prepared.method is not None
        assert prepared.url is not None
        assert prepared.body is None or isinstance(prepared.body, str | bytes)
        headers = httpx.Headers(
            [
                (name, value.decode() if isinstance(value, bytes) else value)
                for name, value in prepared.headers.items()
            ]
        )
        # The library makes up credentials too, which would end every call at the door.
        headers["authorization"] = client.headers["authorization"]
        async with asyncio.timeout(ANSWER_SECS):
            return await client.request(prepared.method, prepared.url, headers=headers, content=prepared.body)

    return lambda case: asyncio.run_coroutine_threadsafe(send(case), loop).result()


async def _call_everything(seeded: Seeded, client: httpx.AsyncClient, mode: GenerationMode) -> set[str]:
    """Call every operation; those that succeeded at least once."""
    session = Session(seeded, _sender(asyncio.get_running_loop(), client), mode)
    operations = await _operations(client)
    assert len(operations) > 120, "the document holds too little to prove anything"
    wrong = {operation.label: await asyncio.to_thread(session.examine, operation) for operation in operations}
    failed = [f"{label}\n{why}" for label, why in wrong.items() if why is not None]
    assert failed == [], "\n\n".join(failed)
    assert (await client.get("/api/version")).status_code == 200
    return session.succeeded


async def test_a_superadmin_gets_only_documented_answers(seeded: Seeded) -> None:
    async with client_with(seeded.instance, SUPERADMIN_SECRET) as client:
        succeeded = await _call_everything(seeded, client, GenerationMode.POSITIVE)
    assert len(succeeded) > 80, "too few calls get beyond a refusal to prove anything"


async def test_what_breaks_the_document_is_refused_as_documented(seeded: Seeded) -> None:
    async with client_with(seeded.instance, SUPERADMIN_SECRET) as client:
        await _call_everything(seeded, client, GenerationMode.NEGATIVE)


async def test_a_developer_gets_only_documented_answers(seeded: Seeded, client_of: ClientOf) -> None:
    succeeded = await _call_everything(seeded, await client_of("henri"), GenerationMode.POSITIVE)
    assert len(succeeded) > 60, "too few calls get beyond a refusal to prove anything"
