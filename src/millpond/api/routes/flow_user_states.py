"""`/w/{workspace}/jobs/flow/user_states`: what steps of a flow tell each other.

Clients put a key into the address as it is, slashes included. One that ends in `/increment` is told from the call of
that name by writing its slash as `%2F`.
"""

from typing import Any, cast
from urllib.parse import quote, unquote
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, RawBody

from millpond.api.bodies import decode, json_bytes, json_of, path_of, text
from millpond.api.openapi import accepts, answers
from millpond.base.errors import InvalidInput
from millpond.model.actors import Actor
from millpond.model.flow_user_states import Counter, Increment
from millpond.services.flow_user_states import FlowUserStates

AnyRequest = Request[Any, Any, Any]

INCREMENT = "/increment"


def _tail(request: AnyRequest, key: str) -> str:
    """What the address has after the job, still encoded: the decoded `key` has lost empty parts and last slashes."""
    # Servers may leave it out.
    address: bytes = request.scope.get("raw_path") or b""
    if not address:
        return quote(path_of(key))
    return address.decode("latin-1").partition("/flow/user_states/")[2].partition("/")[2]


def _key(encoded: str) -> str:
    try:
        return unquote(encoded, errors="strict")
    except UnicodeDecodeError:
        raise InvalidInput("The key of a flow user state is not UTF-8") from None


@get("/{job_id:uuid}", opt=answers(dict[str, object]))
async def list_values(
    actor: NamedDependency[Actor],
    flow_user_states: NamedDependency[FlowUserStates],
    job_id: FromPath[UUID],
) -> Response[bytes]:
    """All keys of a flow, with their values."""
    return json_of(await flow_user_states.list_values(actor, job_id))


@get("/{job_id:uuid}/{key:path}")
async def get_value(
    request: AnyRequest,
    actor: NamedDependency[Actor],
    flow_user_states: NamedDependency[FlowUserStates],
    job_id: FromPath[UUID],
    key: FromPath[str],
) -> Response[bytes]:
    """The value of a key; null when there is none."""
    return json_bytes(await flow_user_states.get(actor, job_id, _key(_tail(request, key))))


@post("/{job_id:uuid}/{key:path}", opt=accepts(object), status_code=200)
async def change_value(
    request: AnyRequest,
    actor: NamedDependency[Actor],
    flow_user_states: NamedDependency[FlowUserStates],
    job_id: FromPath[UUID],
    key: FromPath[str],
    body: RawBody,
) -> Response[str]:
    """Keep the body, any JSON, under a key.

    With `/increment` after the key: raise the counter there by the body, `{"by": 1}`, and answer `{"value": 7}`.
    """
    tail = _tail(request, key)
    if tail.endswith(INCREMENT):
        by = decode(body, Increment).by
        counted = await flow_user_states.increment(actor, job_id, _key(tail.removesuffix(INCREMENT)), by)
        # The type tells the document what the call is made for: text.
        return cast("Response[str]", json_of(Counter(value=counted)))
    # The Python client sends no body at all for None.
    value = bytes(decode(body, msgspec.Raw)).decode() if body.strip() else "null"
    await flow_user_states.set_value(actor, job_id, _key(tail), value)
    return text("Flow job state updated")


@delete("/{job_id:uuid}/{key:path}", status_code=200)
async def delete_value(
    request: AnyRequest,
    actor: NamedDependency[Actor],
    flow_user_states: NamedDependency[FlowUserStates],
    job_id: FromPath[UUID],
    key: FromPath[str],
) -> Response[str]:
    """Forget a key."""
    await flow_user_states.delete(actor, job_id, _key(_tail(request, key)))
    return text("Flow job state deleted")


router = Router(
    "/jobs/flow/user_states",
    route_handlers=[list_values, get_value, change_value, delete_value],
    tags=["flow user states"],
)
