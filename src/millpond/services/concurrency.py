"""Limits on how many runs of one key happen at once, or start within a window (compat facts, flows 3.8).

A worker asks after each claim; who ends a job says so with `store.concurrency.release`. Keys are made by
`concurrency_keys`, who is next decides `concurrency_allotment`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from millpond.base.log import get_logger
from millpond.model.jobs import Claim
from millpond.services.concurrency_allotment import (
    LONGEST_WAIT,
    Allotment,
    Contender,
    allot,
    first_free,
    look_again,
    rank_of,
    step_of,
)
from millpond.store import concurrency as store
from millpond.store.concurrency import FullKey, HeldClaim, Key, PutBack, Start, TakenPermit, Waiter
from millpond.store.pool import Database, Transaction

log = get_logger()


class Admission(NamedTuple):
    """Which claims may run. Those put back are the worker's no more: they wait in the queue, or were lost meanwhile."""

    admitted: list[Claim]
    put_back: list[Claim]


class Concurrency:
    """Gives out the permits of concurrency keys. Not an endpoint: workers call it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def admit(self, claims: Sequence[Claim]) -> Admission:
        """Decide which of the claims just made may run, in one transaction; without limits among them, without any.

        A flow gets its permit at its first turn and keeps it until it ends. A claim whose cancellation was asked for is
        let through, to be ended by its worker.
        """
        limited = [claim for claim in claims if claim.concurrency_key is not None and claim.concurrent_limit]
        if not limited:
            return Admission(list(claims), [])
        async with self._database.transaction() as transaction:
            started = await _admit(transaction, limited)
        refused = {claim.lease_token for claim in limited if claim.job_id not in started}
        if refused:
            log.info("claims_put_back", jobs=len(refused), admitted=len(claims) - len(refused))
        return Admission(
            [claim for claim in claims if claim.lease_token not in refused],
            [claim for claim in claims if claim.lease_token in refused],
        )


async def _admit(transaction: Transaction, claims: Sequence[Claim]) -> set[UUID]:
    held = await store.lock_claims(transaction, claims)
    # Those of which nothing is known any more are not started either.
    known = [claim for claim in claims if (claim.workspace_id, claim.job_id) in held]
    asking: dict[Key, list[Claim]] = {}
    admitted = set()
    for claim in known:
        facts = held[claim.workspace_id, claim.job_id]
        if facts.canceled or facts.begun:
            admitted.add(claim.job_id)
        else:
            asking.setdefault((claim.workspace_id, claim.concurrency_key or ""), []).append(claim)
    if asking:
        admitted |= await _give_permits(transaction, asking, held)
    return admitted


async def _give_permits(
    transaction: Transaction, asking: dict[Key, list[Claim]], held: dict[tuple[str, UUID], HeldClaim]
) -> set[UUID]:
    await store.lock_keys(transaction, asking)
    now = await store.clock(transaction)
    taken = await store.taken_permits(transaction, list(asking), now)
    free = {key: _limit(claims) - len(_others(taken[key], claims)) for key, claims in asking.items()}
    waiting = {key: permits for key, permits in free.items() if permits > 0}
    waiters = await store.lock_waiters(transaction, waiting) if waiting else {}
    decisions = [
        _KeyDecision(key, claims, taken[key], waiters.get(key, []), held, now)
        for key, claims in asking.items()
    ]
    await _record(transaction, decisions, now)
    return {job_id for decision in decisions for job_id in decision.result.started}


async def _record(transaction: Transaction, decisions: Sequence["_KeyDecision"], now: datetime) -> None:
    starts = [start for decision in decisions for start in decision.starts()]
    if starts:
        await store.start_runs(transaction, starts, now)
    full = [decision for decision in decisions if decision.result.refused]
    if full:
        await store.put_back(transaction, [claim for decision in full for claim in decision.put_back()])
        rest = [decision.full() for decision in full]
        await store.park_due(transaction, rest, now, LONGEST_WAIT.total_seconds())
    woken = [(decision.key[0], job_id) for decision in decisions for job_id in decision.result.woken]
    if woken:
        await store.wake(transaction, woken)


class _KeyDecision:
    """What is decided for one key."""

    def __init__(
        self,
        key: Key,
        claims: list[Claim],
        taken: list[TakenPermit],
        waiters: list[Waiter],
        held: dict[tuple[str, UUID], HeldClaim],
        now: datetime,
    ) -> None:
        self.key = key
        self._claims = {claim.job_id: claim for claim in claims}
        self._others = _others(taken, claims)
        self._now = now
        contenders = [
            Contender(
                rank_of(claim.priority, held[claim.workspace_id, claim.job_id].due, claim.job_id),
                claim.job_id,
                claim.concurrent_limit or 1,
                True,
            )
            for claim in claims
        ] + [
            Contender(
                rank_of(waiter.priority, waiter.waits_since, waiter.job_id),
                waiter.job_id,
                waiter.limit,
                False,
            )
            for waiter in waiters
        ]
        self.result: Allotment = allot(contenders, len(self._others))

    def starts(self) -> list[Start]:
        return [Start(self.key, job_id, self._keep_until(job_id)) for job_id in self.result.started]

    def put_back(self) -> list[PutBack]:
        first, limit, window_s = self._prospect()
        return [
            PutBack(self.key, job_id, look_again(first, place, limit, window_s))
            for place, job_id in enumerate(self.result.refused)
        ]

    def full(self) -> FullKey:
        first, limit, window_s = self._prospect()
        ahead = len(self.result.refused)
        return FullKey(self.key, first, limit, step_of(window_s).total_seconds(), ahead)

    def _prospect(self) -> tuple[datetime, int, int | None]:
        """When a permit may be free, of how many, and for how long it is held at least."""
        one = self._claims[self.result.refused[0]]
        limit = one.concurrent_limit or 1
        # Waiters that were woken start now, as far as anyone can tell.
        until = self._now + step_of(one.concurrency_window_s) if one.concurrency_window_s else None
        holding = [permit.keep_until for permit in self._others]
        holding += [self._keep_until(job_id) for job_id in self.result.started]
        holding += [until for _ in self.result.woken]
        return first_free(holding, limit, self._now), limit, one.concurrency_window_s

    def _keep_until(self, job_id: UUID) -> datetime | None:
        window_s = self._claims[job_id].concurrency_window_s
        return self._now + timedelta(seconds=window_s) if window_s else None


def _limit(claims: Sequence[Claim]) -> int:
    return max(claim.concurrent_limit or 1 for claim in claims)


def _others(taken: Sequence[TakenPermit], claims: Sequence[Claim]) -> list[TakenPermit]:
    """What counts besides these claims themselves: one that runs again after a rescue takes its own place."""
    own = {claim.job_id for claim in claims}
    return [permit for permit in taken if permit.job_id not in own]
