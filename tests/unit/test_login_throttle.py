"""Guessing passwords gets slow, for the e-mail that is guessed at."""

import pytest

from millpond.base.errors import NotAuthenticated
from millpond.services.login_throttle import (
    ATTEMPTS_OVERALL,
    FORGET_AFTER_SECS,
    FREE_FAILURES,
    OVERALL_WINDOW_SECS,
    LoginThrottle,
)
from tests.movable_clock import MovableClock


def fail(throttle: LoginThrottle, times: int, email: str = "henri@localhost") -> None:
    for _ in range(times):
        throttle.check(email)


def test_after_five_failures_an_email_waits_longer_each_time() -> None:
    clock = MovableClock()
    throttle = LoginThrottle(clock)
    fail(throttle, FREE_FAILURES)
    for wait in (1, 2, 4, 8, 16, 32, 60, 60):
        with pytest.raises(NotAuthenticated, match=f"too many attempts, wait {wait} s"):
            throttle.check("henri@localhost")
        clock.seconds += wait
        throttle.check("henri@localhost")


def test_other_emails_are_not_held_up() -> None:
    throttle = LoginThrottle(MovableClock())
    fail(throttle, FREE_FAILURES)
    throttle.check("admin@localhost")


def test_a_right_password_forgets_the_failures() -> None:
    throttle = LoginThrottle(MovableClock())
    fail(throttle, FREE_FAILURES)
    throttle.succeeded("henri@localhost")
    fail(throttle, FREE_FAILURES)


def test_old_failures_are_forgotten() -> None:
    clock = MovableClock()
    throttle = LoginThrottle(clock)
    fail(throttle, FREE_FAILURES)
    clock.seconds += FORGET_AFTER_SECS + 1
    fail(throttle, FREE_FAILURES)


def test_all_logins_together_are_limited() -> None:
    clock = MovableClock()
    throttle = LoginThrottle(clock)
    for number in range(ATTEMPTS_OVERALL):
        throttle.check(f"user{number}@localhost")
    with pytest.raises(NotAuthenticated, match="wait 10 s"):
        throttle.check("henri@localhost")
    clock.seconds += OVERALL_WINDOW_SECS
    throttle.check("henri@localhost")
