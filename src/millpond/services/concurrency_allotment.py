"""Who gets the free permits of a concurrency key, and when the others look again. Pure: no clock, no database."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

BACK_OFF = timedelta(seconds=5)
"""How soon to look again for a permit that only a run's end frees. That end wakes the first who waits: this is for ends
that nobody told of."""

LONGEST_WAIT = timedelta(seconds=60)
"""How much later than the first the last of a long line looks again."""


class Contender(NamedTuple):
    """A job that asks for a permit, sorted by `rank`: a claim, or a job that waits in the queue."""

    rank: tuple[int, datetime, UUID]
    job_id: UUID
    limit: int
    claimed: bool


class Allotment(NamedTuple):
    """Who gets a permit: claims start, waiters are woken. The claims without one are in `refused`, in order."""

    started: list[UUID]
    woken: list[UUID]
    refused: list[UUID]


def rank_of(priority: int, due: datetime, job_id: UUID) -> tuple[int, datetime, UUID]:
    """The order of contenders, that of claims: the highest priority, then the longest due."""
    return (-priority, due, job_id)


def allot(contenders: Iterable[Contender], taken: int) -> Allotment:
    """Give the permits beyond `taken` to the first contenders; each counts those taken against its own limit."""
    allotment = Allotment([], [], [])
    for contender in sorted(contenders):
        if taken >= contender.limit:
            if contender.claimed:
                allotment.refused.append(contender.job_id)
            continue
        taken += 1
        (allotment.started if contender.claimed else allotment.woken).append(contender.job_id)
    return allotment


def first_free(keep_until: Sequence[datetime | None], limit: int, now: datetime) -> datetime:
    """When a permit may be free at the earliest; `keep_until` holds the end of the window of each run that counts."""
    # A run within its window may have ended when that is over; of one beyond, or without, nothing is known.
    times = sorted(until if until is not None and until > now else now + BACK_OFF for until in keep_until)
    surplus = len(times) - limit
    return times[min(max(surplus, 0), len(times) - 1)] if times else now + BACK_OFF


def step_of(window_s: int | None) -> timedelta:
    """How long a permit is held at least, as far as one can know."""
    return timedelta(seconds=window_s) if window_s else BACK_OFF


def look_again(first: datetime, place: int, limit: int, window_s: int | None) -> datetime:
    """When the waiter with `place` others before it looks again: not all at once, and never much later than the first."""
    return first + min(step_of(window_s) * (place // limit), LONGEST_WAIT)
