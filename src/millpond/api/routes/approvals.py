"""Approving the waits of flows: links and their signatures below `jobs`, answering by them below `jobs_u`."""

import base64
import binascii
from typing import Any
from urllib.parse import quote
from uuid import UUID

import msgspec
from litestar import Request, Response, Router, get, post, route
from litestar.di import NamedDependency, Provide
from litestar.enums import HttpMethod
from litestar.params import FromPath, FromQuery, RawBody

from millpond.api.bodies import created, decode, json_of, text
from millpond.api.openapi import accepts, answers
from millpond.api.visitors import provide_visitor
from millpond.base.errors import InvalidInput
from millpond.base.settings import Settings
from millpond.model.actors import Actor
from millpond.model.approvals import (
    NO_PAYLOAD,
    Answer,
    ApprovalInfo,
    ResumeLink,
    ResumeSuspended,
    ResumeUrls,
    SuspendedFlow,
)
from millpond.services.approval_pages import ApprovalPages
from millpond.services.approvals import Approvals

AnyRequest = Request[Any, Any, Any]
BOTH = [HttpMethod.GET, HttpMethod.POST]


def _link(job_id: UUID, resume_id: int, approver: str | None) -> ResumeLink:
    # The Python client sends an empty name when it was given none.
    return ResumeLink(job_id=job_id, resume_id=resume_id, approver=approver or None)


def _payload(body: bytes, query: str | None) -> str:
    """The JSON of the body, or else of `?payload=`, in base64 of either alphabet. Raises InvalidInput."""
    if not body.strip():
        if not query:
            return NO_PAYLOAD
        body = _unpacked(query)
    return bytes(decode(body, msgspec.Raw)).decode()


def _unpacked(query: str) -> bytes:
    # A plus sign that was not encoded has become a space.
    packed = query.replace(" ", "+").replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidInput("The query parameter 'payload' must be JSON in base64") from None


def _urls(base: str, workspace: str, link: ResumeLink, signature: str) -> ResumeUrls:
    place = f"{link.job_id}/{link.resume_id}/{signature}"
    if link.approver:
        place += f"?approver={quote(link.approver, safe='')}"
    return ResumeUrls(
        approval_page=f"{base}/approve/{workspace}/{place}",
        resume=f"{base}/api/w/{workspace}/jobs_u/resume/{place}",
        cancel=f"{base}/api/w/{workspace}/jobs_u/cancel/{place}",
    )


@get("/job_signature/{job_id:uuid}/{resume_id:int}")
async def job_signature(
    actor: NamedDependency[Actor],
    approvals: NamedDependency[Approvals],
    job_id: FromPath[UUID],
    resume_id: FromPath[int],
    approver: FromQuery[str | None] = None,
) -> Response[str]:
    """The signature of a link that answers the wait after a step, or of the flow itself."""
    _, signature = await approvals.signed_link(actor, _link(job_id, resume_id, approver))
    return text(signature)


@get("/resume_urls/{job_id:uuid}/{resume_id:int}", opt=answers(ResumeUrls))
async def resume_urls(
    request: AnyRequest,
    actor: NamedDependency[Actor],
    approvals: NamedDependency[Approvals],
    settings: NamedDependency[Settings],
    job_id: FromPath[UUID],
    resume_id: FromPath[int],
    approver: FromQuery[str | None] = None,
    flow_level: FromQuery[bool] = False,
) -> Response[bytes]:
    """The addresses at which the wait after a step is approved or not; with `flow_level` any wait of its flow."""
    wished = _link(job_id, resume_id, approver)
    link, signature = await approvals.signed_link(actor, wished, flow_level=flow_level)
    base = (settings.base_url or str(request.base_url)).rstrip("/")
    return json_of(_urls(base, actor.workspace_id, link, signature))


@post("/flow/resume/{flow_id:uuid}", opt=accepts(object))
async def resume_as_owner(
    actor: NamedDependency[Actor],
    approvals: NamedDependency[Approvals],
    flow_id: FromPath[UUID],
    body: RawBody,
    payload: FromQuery[str | None] = None,
) -> Response[str]:
    """Approve the wait in force, as the owner of the flow; the body is the payload."""
    answer = Answer(approved=True, payload=_payload(body, payload))
    await approvals.answer_as_owner(actor, flow_id, answer)
    return created("Flow resumed")


async def _answer_by_link(
    request: AnyRequest, visitor: Actor | None, approvals: Approvals, link: ResumeLink, *, approved: bool
) -> None:
    body = await request.body() if request.method == "POST" else b""
    answer = Answer(approved=approved, payload=_payload(body, request.query_params.get("payload")))
    place = request.path_params
    await approvals.answer_by_link(place["workspace"], visitor, link, place["signature"], answer)


@route(
    "/resume/{job_id:uuid}/{resume_id:int}/{signature:str}",
    http_method=BOTH,
    opt=accepts(object),
    status_code=201,
)
async def resume(
    request: AnyRequest,
    visitor: NamedDependency[Actor | None],
    approvals: NamedDependency[Approvals],
    job_id: FromPath[UUID],
    resume_id: FromPath[int],
    approver: FromQuery[str | None] = None,
) -> Response[str]:
    """Approve by a link; the body, or `?payload=` in base64, is the payload."""
    link = _link(job_id, resume_id, approver)
    await _answer_by_link(request, visitor, approvals, link, approved=True)
    return created("Flow resumed")


@route(
    "/cancel/{job_id:uuid}/{resume_id:int}/{signature:str}",
    http_method=BOTH,
    opt=accepts(object),
    status_code=201,
)
async def cancel(
    request: AnyRequest,
    visitor: NamedDependency[Actor | None],
    approvals: NamedDependency[Approvals],
    job_id: FromPath[UUID],
    resume_id: FromPath[int],
    approver: FromQuery[str | None] = None,
) -> Response[str]:
    """Disapprove by a link; the body, or `?payload=` in base64, is the payload."""
    link = _link(job_id, resume_id, approver)
    await _answer_by_link(request, visitor, approvals, link, approved=False)
    return created("Flow canceled")


@get("/get_flow/{job_id:uuid}/{resume_id:int}/{signature:str}", opt=answers(SuspendedFlow))
async def get_flow(
    workspace: FromPath[str],
    visitor: NamedDependency[Actor | None],
    approval_pages: NamedDependency[ApprovalPages],
    job_id: FromPath[UUID],
    resume_id: FromPath[int],
    signature: FromPath[str],
    approver: FromQuery[str | None] = None,
) -> Response[bytes]:
    """The flow a link answers to, and who approved."""
    link = _link(job_id, resume_id, approver)
    return json_of(await approval_pages.flow_by_link(workspace, visitor, link, signature))


@post("/flow/resume_suspended/{job_id:uuid}", opt=accepts(ResumeSuspended))
async def resume_suspended(
    workspace: FromPath[str],
    visitor: NamedDependency[Actor | None],
    approvals: NamedDependency[Approvals],
    job_id: FromPath[UUID],
    body: RawBody,
) -> Response[str]:
    """Answer the wait of a flow, by a token or as its owner."""
    given = decode(body, ResumeSuspended) if body.strip() else ResumeSuspended()
    answer = Answer(approved=given.approved, payload=bytes(given.payload).decode())
    await approvals.answer_suspended(workspace, visitor, job_id, given.approval_token, answer)
    return created("Flow resumed" if given.approved else "Flow canceled")


@get("/flow/approval_info/{job_id:uuid}", opt=answers(ApprovalInfo))
async def approval_info(
    workspace: FromPath[str],
    visitor: NamedDependency[Actor | None],
    approval_pages: NamedDependency[ApprovalPages],
    request: AnyRequest,
    job_id: FromPath[UUID],
) -> Response[bytes]:
    """What a flow waits for; `?token=` is the signature of resume id 0."""
    token = request.query_params.get("token") or None
    return json_of(await approval_pages.info(workspace, visitor, job_id, token))


router = Router("/jobs", route_handlers=[job_signature, resume_urls, resume_as_owner], tags=["approvals"])
public_router = Router(
    "/jobs_u",
    route_handlers=[resume, cancel, get_flow, resume_suspended, approval_info],
    dependencies={"visitor": Provide(provide_visitor)},
    tags=["approvals"],
)
