"""Short ways to write flows, to run them over HTTP, and to look at what became of them."""

from collections.abc import Mapping
from textwrap import dedent, indent
from typing import Any
from uuid import UUID

from tests.integration.live_instance import Api, eventually

Json = dict[str, Any]
Input = str | Json

NIL = str(UUID(int=0))


def js(expr: str) -> Json:
    """An input that is an expression."""
    return {"type": "javascript", "expr": expr}


def static(value: object) -> Json:
    """An input that is a value."""
    return {"type": "static", "value": value}


def transforms(inputs: Mapping[str, Input]) -> Json:
    """Inputs by name; a bare text is an expression."""
    return {name: js(given) if isinstance(given, str) else given for name, given in inputs.items()}


def raw(code: str, /, **inputs: Input) -> Json:
    """A whole Python script."""
    return {
        "type": "rawscript",
        "language": "python3",
        "lock": "",
        "content": dedent(code),
        "input_transforms": transforms(inputs),
    }


def py(body: str, /, **inputs: Input) -> Json:
    """A Python script whose `main` takes the inputs and has this body."""
    return raw(f"def main({', '.join(inputs)}):\n{indent(dedent(body).strip(), '    ')}\n", **inputs)


def step(module_id: str, value: Json, **settings: Any) -> Json:
    """A step; the settings are those beside its value."""
    return {"id": module_id, "value": value, **settings}


def identity() -> Json:
    return {"type": "identity"}


def script(path: str, **inputs: Input) -> Json:
    """A deployed script."""
    return {"type": "script", "path": path, "input_transforms": transforms(inputs)}


def sub_flow(path: str, **inputs: Input) -> Json:
    """A deployed flow."""
    return {"type": "flow", "path": path, "input_transforms": transforms(inputs)}


def loop(iterator: Input | list[Any], *steps: Json, **settings: Any) -> Json:
    """A loop over an expression, or over a list as it is."""
    source = transforms({"of": static(iterator) if isinstance(iterator, list) else iterator})["of"]
    return {"type": "forloopflow", "iterator": source, "modules": list(steps), **settings}


def while_loop(*steps: Json, **settings: Any) -> Json:
    return {"type": "whileloopflow", "modules": list(steps), **settings}


def branch(*steps: Json, **settings: Any) -> Json:
    """A branch; `expr` is its predicate where one is chosen."""
    return {"modules": list(steps), **settings}


def branch_all(*branches: Json, **settings: Any) -> Json:
    return {"type": "branchall", "branches": list(branches), **settings}


def branch_one(*branches: Json, default: list[Json]) -> Json:
    return {"type": "branchone", "branches": list(branches), "default": default}


def flow(*steps: Json, **settings: Any) -> Json:
    """A flow's value."""
    return {"modules": list(steps), **settings}


def raising(message: str = "no") -> Json:
    """A step that fails with a ValueError."""
    return py(f"raise ValueError({message!r})")


async def start_flow(api: Api, value: Json, args: object = None, /, **body: Any) -> str:
    """Start a flow that is not deployed; its id."""
    query = body.pop("query", {})
    answer = await api.post("jobs/run/preview_flow", {"value": value, "args": args or {}, **body}, **query)
    assert answer.status_code == 201, answer.text
    return answer.text


async def run_flow(api: Api, value: Json, args: object = None, /, **body: Any) -> Json:
    """Run a flow that is not deployed to its end; the completed job."""
    return await api.ended(await start_flow(api, value, args, **body))


async def result_of(api: Api, value: Json, args: object = None, /, **body: Any) -> Any:
    """The result of a flow that is not deployed and must succeed."""
    job = await run_flow(api, value, args, **body)
    assert job["success"] is True, job["result"]
    return job["result"]


async def failure_of(api: Api, value: Json, args: object = None, /, **body: Any) -> Any:
    """The result of a flow that is not deployed and must fail."""
    job = await run_flow(api, value, args, **body)
    assert (job["success"], job["canceled"]) == (False, False), job["result"]
    return job["result"]


async def deploy_flow(api: Api, path: str, value: Json, /, **envelope: Any) -> None:
    """Deploy a flow, or its next version."""
    exists = (await api.get(f"flows/exists/{path}")).json()
    call = f"flows/update/{path}" if exists else "flows/create"
    body = {"path": path, "summary": "", "description": "", "value": value, "schema": {}, **envelope}
    answer = await api.post(call, body)
    assert answer.status_code == (200 if exists else 201), answer.text


async def start_deployed(api: Api, path: str, args: object = None, /, **query: Any) -> str:
    """Start a deployed flow; its id."""
    answer = await api.post(f"jobs/run/f/{path}", args or {}, **query)
    assert answer.status_code == 201, answer.text
    return answer.text


async def run_deployed(api: Api, path: str, args: object = None, /, **query: Any) -> Json:
    """Run a deployed flow to its end; the completed job."""
    return await api.ended(await start_deployed(api, path, args, **query))


def modules_of(job: Json) -> dict[str, Json]:
    """What `flow_status` says of each step, by id."""
    return {module["id"]: module for module in job["flow_status"]["modules"]}


async def children(api: Api, job_id: str) -> list[Json]:
    """The jobs of a flow job, first made first; those made at once are in any order."""
    answer = await api.get("jobs/list", parent_job=job_id, include_args="true", per_page=1000)
    assert answer.status_code == 200, answer.text
    return sorted(answer.json(), key=lambda job: (job["created_at"], job["id"]))


async def child(api: Api, job_id: str, module_id: str) -> Json:
    """The only job of a step."""
    (found,) = [job for job in await children(api, job_id) if job["flow_step_id"] == module_id]
    return await api.job(found["id"])


async def module_comes_to(api: Api, job_id: str, module_id: str, state: str) -> Json:
    """What `flow_status` says of a step, once it is in a state."""
    seen: list[Json] = []

    async def is_there() -> bool:
        status = (await api.job(job_id)).get("flow_status") or {"modules": []}
        seen[:] = [
            module for module in status["modules"] if (module["id"], module["type"]) == (module_id, state)
        ]
        return bool(seen)

    await eventually(is_there)
    return seen[0]
