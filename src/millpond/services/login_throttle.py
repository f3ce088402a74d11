"""Slows down guessing of passwords: by e-mail, and over all logins of this process."""

import math
from collections import deque

from millpond.base.clock import Clock
from millpond.base.errors import NotAuthenticated

FREE_FAILURES = 5
"""Wrong passwords for one e-mail before it has to wait."""
LONGEST_WAIT_SECS = 60.0
FORGET_AFTER_SECS = 15 * 60.0
MAX_EMAILS = 10_000
ATTEMPTS_OVERALL = 60
OVERALL_WINDOW_SECS = 10.0


class LoginThrottle:
    """Counts attempts in memory: each server of an instance has its own count.

    After five failures an e-mail waits 1, 2, 4, … up to 60 seconds from its last one; others are not held
    up. All logins together are limited to 60 in 10 seconds, since each costs memory and time. Login links
    and tokens are not affected.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: dict[str, tuple[int, float]] = {}
        self._attempts: deque[float] = deque(maxlen=ATTEMPTS_OVERALL)

    def check(self, email: str) -> None:
        """Count an attempt before its password is checked. Raises NotAuthenticated saying how long to wait."""
        now = self._clock.monotonic()
        wait = max(self._wait_of(email, now), self._wait_overall(now))
        if wait > 0:
            raise NotAuthenticated(f"too many attempts, wait {math.ceil(wait)} s")
        self._attempts.append(now)
        # Counted as failed until it has succeeded: attempts made at once do not slip through together.
        self._count_failure(email, now)

    def succeeded(self, email: str) -> None:
        """The password was right: its earlier failures are forgotten."""
        self._failures.pop(email, None)

    def _wait_of(self, email: str, now: float) -> float:
        count, last = self._failures.get(email, (0, now))
        if count < FREE_FAILURES:
            return 0.0
        return last + min(2.0 ** (count - FREE_FAILURES), LONGEST_WAIT_SECS) - now

    def _wait_overall(self, now: float) -> float:
        if len(self._attempts) < ATTEMPTS_OVERALL:
            return 0.0
        return self._attempts[0] + OVERALL_WINDOW_SECS - now

    def _count_failure(self, email: str, now: float) -> None:
        count, last = self._failures.pop(email, (0, now))
        if now - last > FORGET_AFTER_SECS:
            count = 0
        if len(self._failures) >= MAX_EMAILS:
            del self._failures[next(iter(self._failures))]
        self._failures[email] = (min(count, 100) + 1, now)
