"""What flows that are ended by force are left as: no worker takes part, so nobody else writes where they stand."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from millpond.engine.advance import advance
from millpond.engine.events import CancelAsked
from millpond.engine.status import FlowStatus
from millpond.model.flow_modules import FlowModule, Identity
from millpond.model.flows import FlowValue
from millpond.model.jobs import Cancellation
from millpond.store import flow_endings as store
from millpond.store.pool import Transaction

_STATUS = msgspec.json.Decoder(FlowStatus)
_STEP = FlowModule(value=Identity())


async def mark_canceled(
    transaction: Transaction, workspace_id: str, flow_jobs: Sequence[UUID], why: Cancellation
) -> None:
    """Have flows stand where a cancellation leaves them; those that have not begun stay so. The caller holds them."""
    standings = await store.read_statuses(transaction, workspace_id, flow_jobs)
    # Thousands of turns of a loop stand where the others do.
    ends = {text: canceled_status(text, why) for text in set(standings.values())}
    changed = {flow_job: ends[text] for flow_job, text in standings.items() if ends[text] != text}
    if changed:
        await store.write_statuses(transaction, workspace_id, changed)


def canceled_status(text: str, why: Cancellation) -> str:
    """The status of a flow, JSON, after it was cancelled by force."""
    status = _STATUS.decode(text)
    # All a cancellation needs of the definition is the number of steps, which the status tells too. Definitions may be
    # deleted, and thousands of them are not read in a transaction that holds a tree.
    stand_in = FlowValue(modules=(_STEP,) * len(status.modules))
    status, _ = advance(stand_in, status, CancelAsked(why.by, why.reason, force=True))
    return msgspec.json.encode(status).decode()
