"""Saying to a flow what happened outside of its workers' turns: only turns advance flows, anybody may say something."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from millpond.engine.events import Event
from millpond.store import flow_runs as store
from millpond.store.pool import Transaction

_EVENT = msgspec.json.Decoder(Event)


async def tell(transaction: Transaction, workspace_id: str, flow_job: UUID, event: Event) -> bool:
    """Have the next turn of a flow hear an event; False when it is no flow, or has ended.

    Holds the flow until the transaction ends; whoever also holds jobs in the queue must have asked for this first.
    """
    return await tell_all(transaction, workspace_id, flow_job, [event])


async def tell_all(
    transaction: Transaction, workspace_id: str, flow_job: UUID, events: Sequence[Event]
) -> bool:
    """The same for several events, heard in this order."""
    texts = [msgspec.json.encode(event).decode() for event in events]
    return await store.post_messages(transaction, workspace_id, flow_job, texts)


def read_event(text: str) -> Event:
    """An event as it was said."""
    event: Event = _EVENT.decode(text)
    return event
