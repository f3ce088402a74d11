"""What every route that starts something shares: how a query asks for it, who may start by a link, and waiting."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response

from millpond.api.auth import uses_session
from millpond.api.disconnects import while_connected
from millpond.api.outcomes import answer_of
from millpond.base.errors import InvalidInput, NotAuthenticated
from millpond.base.settings import Settings
from millpond.model.actors import Actor
from millpond.services.cancellations import Cancellations
from millpond.services.launch_options import LaunchOptions
from millpond.services.waiting import CompletionWatch

WAITED = {422: "The job failed; its error, as JSON.", 504: "It did not end in time; it goes on."}

UNSUPPORTED = ("retry", "suspended_mode", "memory_id")


def options_of(query: Mapping[str, str], *, preprocess: bool = False) -> LaunchOptions:
    """The launch options of a query string. Raises InvalidInput naming the value that does not fit."""
    for name in UNSUPPORTED:
        if query.get(name):
            raise InvalidInput(f"Query parameter {name!r} is not supported for this run")
    known = {name: value for name, value in query.items() if value != ""}
    try:
        scheduled_for = msgspec.convert(known.get("scheduled_for"), datetime | None, strict=False)
        options = LaunchOptions(
            job_id=msgspec.convert(known.get("job_id"), UUID | None),
            scheduled_for=scheduled_for and _with_zone(scheduled_for),
            scheduled_in_secs=msgspec.convert(known.get("scheduled_in_secs"), int | None, strict=False),
            parent_job=msgspec.convert(known.get("parent_job"), UUID | None),
            root_job=msgspec.convert(known.get("root_job"), UUID | None),
            tag=known.get("tag"),
            timeout_s=msgspec.convert(known.get("timeout"), int | None, strict=False),
            cache_ttl_s=msgspec.convert(known.get("cache_ttl"), int | None, strict=False),
            queue_limit=msgspec.convert(known.get("queue_limit"), int | None, strict=False),
            invisible_to_owner=known.get("invisible_to_owner", "").lower() == "true",
            trigger_kind="webhook" if preprocess else None,
            preprocess=preprocess,
        )
    except msgspec.ValidationError as error:
        raise InvalidInput(f"A query parameter of the run does not fit: {error}") from None
    return options


def _with_zone(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def guard_started_by_link(request: Request[Any, Any, Any]) -> None:
    """Refuse a run that a foreign page starts with the visitor's session, by a link say. Raises NotAuthenticated.

    Some run endpoints answer GET, so that they can be called from where only an address can be given: with a token.
    """
    if uses_session(request) and request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise NotAuthenticated("a page of another site may not start runs with your session")


class Waiter:
    """Answers with the results of jobs that were just started."""

    def __init__(
        self, settings: Settings, completions: CompletionWatch, cancellations: Cancellations
    ) -> None:
        self._settings = settings
        self._completions = completions
        self._cancellations = cancellations

    async def wait(
        self, request: Request[Any, Any, Any], actor: Actor, job_id: UUID, launched: str
    ) -> Response[bytes]:
        """The job's result as an answer; the job is cancelled when the caller goes away. Raises WaitTimedOut."""
        stored = await while_connected(
            request, self._completions.wait(actor, job_id, launched, self._settings.wait_result_secs)
        )
        if stored is None:
            await self._cancellations.abandon(actor, job_id, launched)
            return Response(b"", status_code=499)
        return answer_of(stored)
