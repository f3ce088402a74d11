"""Answers to the waits of flows: links, limits, and shapes on the wire (compat facts, flows 2.7)."""

from uuid import UUID

import msgspec

from millpond.base.errors import InvalidInput, PayloadTooLarge
from millpond.model.carried import null_json
from millpond.model.flow_status import ApprovalConditions, Approver
from millpond.model.jobs import Job

LARGEST_RESUME_ID = 2**32 - 1
LONGEST_APPROVER = 255
MAX_PAYLOAD_BYTES = 1024**2
NO_PAYLOAD = "null"


class ResumeLink(msgspec.Struct, frozen=True, kw_only=True):
    """What a link stands for: one answer to the wait after the step that job ran, or to any wait of the flow it is.

    `approver` is the name the link was made for. Raises InvalidInput for one that cannot be signed.
    """

    job_id: UUID
    resume_id: int
    approver: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.resume_id <= LARGEST_RESUME_ID:
            raise InvalidInput(f"A resume id is a number from 0 to {LARGEST_RESUME_ID}, not {self.resume_id}")
        name = self.approver or ""
        if len(name) > LONGEST_APPROVER or "\x00" in name:
            raise InvalidInput(f"An approver's name has up to {LONGEST_APPROVER} characters: {name[:60]!r}")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an approver says. `payload` is JSON text. Raises PayloadTooLarge over 1 MiB."""

    approved: bool
    payload: str = NO_PAYLOAD

    def __post_init__(self) -> None:
        size = len(self.payload.encode())
        if size > MAX_PAYLOAD_BYTES:
            raise PayloadTooLarge(
                f"The payload of an approval has {size} bytes; {MAX_PAYLOAD_BYTES} are allowed"
            )


class ResumeUrls(msgspec.Struct, frozen=True, kw_only=True):
    """The addresses of one link."""

    approval_page: str = msgspec.field(name="approvalPage")
    resume: str
    cancel: str


class ResumeSuspended(msgspec.Struct, frozen=True, kw_only=True):
    """The body that answers the wait in force; the token is the signature of resume id 0, without an approver."""

    payload: msgspec.Raw = msgspec.field(default_factory=null_json)
    approval_token: str | None = None
    approved: bool = True


class SuspendedFlow(msgspec.Struct, frozen=True, kw_only=True):
    """The flow a link belongs to, and who approved so far."""

    job: Job
    approvers: list[Approver]


class ApprovalInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a page needs to ask for an approval."""

    flow_id: UUID
    can_approve: bool
    user_auth_required: bool
    skin: str
    approvers: list[Approver]
    form_schema: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    description: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    approval_conditions: ApprovalConditions | msgspec.UnsetType = msgspec.UNSET
    hide_cancel: bool | msgspec.UnsetType = msgspec.UNSET
