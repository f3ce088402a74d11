"""Queries on the permits of concurrency keys: who holds one, who waits, and who is next.

Rows of the queue are locked before keys, and once a key is held no row is waited for: whoever gives out or frees permits
keeps to this order, so nobody waits in a circle.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple, cast
from uuid import UUID

from millpond.model.jobs import FLOW_KINDS, Claim
from millpond.store.pool import Transaction
from millpond.store.queries import load

_SQL = load("concurrency")

Key = tuple[str, str]
"""A workspace and the key within it."""


class HeldClaim(NamedTuple):
    """A claim that asks for a permit. `due`: since when it waits; `begun`: a flow that has its permit already."""

    canceled: bool
    due: datetime
    begun: bool


class TakenPermit(NamedTuple):
    """A run that counts against its key: it `runs`, or its window lasts until `keep_until`."""

    job_id: UUID
    keep_until: datetime | None
    runs: bool


class Waiter(NamedTuple):
    """A job in the queue that waits for a permit."""

    job_id: UUID
    priority: int
    waits_since: datetime
    limit: int


class Start(NamedTuple):
    """A claim that got its permit, and until when the run counts even if it ends before."""

    key: Key
    job_id: UUID
    keep_until: datetime | None


class PutBack(NamedTuple):
    """A claim that got no permit, and when to look again."""

    key: Key
    job_id: UUID
    until: datetime


class FullKey(NamedTuple):
    """A key without a free permit: what else is due under it may look again at `first`, later ones by `step_secs`."""

    key: Key
    first: datetime
    limit: int
    step_secs: float
    ahead: int


async def lock_claims(transaction: Transaction, claims: Sequence[Claim]) -> dict[tuple[str, UUID], HeldClaim]:
    """Hold claims until the transaction ends; those that are no longer current are missing."""
    rows = await transaction.fetch(
        _SQL["lock_claims"],
        [claim.workspace_id for claim in claims],
        [claim.job_id for claim in claims],
        [claim.lease_token for claim in claims],
        [claim.concurrency_key for claim in claims],
    )
    flows = [(claim.workspace_id, claim.job_id) for claim in claims if claim.kind in FLOW_KINDS]
    # Asked once they are held: who cancels a flow holds it too, and says so to the flow, not in its place in the queue.
    told = await transaction.fetch(_SQL["told_flows"], *_columns(flows, 2)) if flows else []
    canceled = {(row["workspace_id"], row["flow_job"]) for row in told}
    return {
        key: HeldClaim(row["canceled"] or key in canceled, row["due"], row["begun"])
        for row in rows
        if (key := (row["workspace_id"], row["job_id"]))
    }


async def lock_keys(transaction: Transaction, keys: Iterable[Key]) -> None:
    """Hold keys until the transaction ends."""
    # By lock and not by key: two keys may share a lock, and all must take them in one order.
    await transaction.execute(_SQL["lock_keys"], sorted({_lock_of(key) for key in keys}))


async def clock(transaction: Transaction) -> datetime:
    """The instant, also within a transaction that waited."""
    return cast("datetime", await transaction.fetch_value(_SQL["clock"]))


async def taken_permits(
    transaction: Transaction, keys: Sequence[Key], now: datetime
) -> dict[Key, list[TakenPermit]]:
    """What counts against keys at an instant."""
    taken: dict[Key, list[TakenPermit]] = {key: [] for key in keys}
    for row in await transaction.fetch(_SQL["taken_permits"], *_columns(keys, 2), now):
        permit = TakenPermit(row["job_id"], row["keep_until"], row["runs"])
        taken[row["workspace_id"], row["key"]].append(permit)
    return taken


async def lock_waiters(transaction: Transaction, most: dict[Key, int]) -> dict[Key, list[Waiter]]:
    """The first waiters of keys, up to `most` of each, held until the transaction ends."""
    waiters: dict[Key, list[Waiter]] = {key: [] for key in most}
    for row in await transaction.fetch(_SQL["lock_waiters"], *_columns(list(most), 2), list(most.values())):
        waiter = Waiter(row["job_id"], row["priority"], row["waits_since"], row["concurrent_limit"])
        waiters[row["workspace_id"], row["key"]].append(waiter)
    return waiters


async def start_runs(transaction: Transaction, starts: Sequence[Start], now: datetime) -> None:
    """Claims take their permits and start."""
    await transaction.execute(
        _SQL["start_runs"],
        [start.key[0] for start in starts],
        [start.job_id for start in starts],
        [start.key[1] for start in starts],
        [start.keep_until for start in starts],
        now,
    )


async def put_back(transaction: Transaction, claims: Sequence[PutBack]) -> None:
    """Claims return to the queue; their fencing tokens are void."""
    await transaction.execute(
        _SQL["put_back"],
        [claim.key[0] for claim in claims],
        [claim.job_id for claim in claims],
        [claim.key[1] for claim in claims],
        [claim.until for claim in claims],
    )


async def park_due(
    transaction: Transaction, keys: Sequence[FullKey], now: datetime, longest_secs: float
) -> None:
    """What is due under full keys is due later."""
    await transaction.execute(
        _SQL["park_due"],
        [full.key[0] for full in keys],
        [full.key[1] for full in keys],
        [full.first for full in keys],
        [full.limit for full in keys],
        [full.step_secs for full in keys],
        [full.ahead for full in keys],
        now,
        longest_secs,
    )


async def wake(transaction: Transaction, jobs: Sequence[tuple[str, UUID]]) -> None:
    """Waiters, by workspace and id, are due again; workers are woken at the commit."""
    await transaction.execute(_SQL["wake"], *_columns(jobs, 2))


async def release(transaction: Transaction, ended: Iterable[tuple[str, UUID, str | None]]) -> None:
    """Free the permits of jobs that left the queue in this transaction, and wake who waits for them.

    `ended` are workspace, id and concurrency key; without a key among them nothing is asked of the database. Jobs
    that never had a permit do no harm. Call it last: it holds the keys until the transaction ends.
    """
    keyed = [(workspace_id, key, job_id) for workspace_id, job_id, key in ended if key is not None]
    if not keyed:
        return
    numbers = Counter((workspace_id, key) for workspace_id, key, _ in keyed)
    await lock_keys(transaction, numbers)
    await transaction.execute(_SQL["forget_runs"], *_columns(keyed, 3))
    await transaction.execute(_SQL["wake_next"], *_columns(list(numbers), 2), list(numbers.values()))


async def release_jobs(transaction: Transaction, workspace_id: str, job_ids: Sequence[UUID]) -> None:
    """`release` for whom the keys are not at hand, as in a cancellation."""
    rows = await transaction.fetch(_SQL["keys_of"], workspace_id, list(job_ids))
    await release(transaction, [(workspace_id, row["id"], row["concurrency_key"]) for row in rows])


async def delete_past(transaction: Transaction, most: int) -> int:
    """Forget runs that count no more, for maintenance; how many, up to `most`."""
    return await transaction.execute(_SQL["delete_past"], most)


def _lock_of(key: Key) -> int:
    digest = hashlib.blake2b("/".join(key).encode(), digest_size=8, person=b"concurrency").digest()
    return int.from_bytes(digest, "big", signed=True)


def _columns(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    return [[row[column] for row in rows] for column in range(width)]
