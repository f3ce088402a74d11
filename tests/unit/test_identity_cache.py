"""What is remembered of credentials: briefly, boundedly, and not past a change of rights."""

from uuid import UUID, uuid4

from millpond.model.actors import Account
from millpond.services.identity_cache import MAX_ENTRIES, TTL_SECS, IdentityCache
from tests.movable_clock import MovableClock

HENRI = Account(email="henri@localhost", username="henri", is_superadmin=False)
KEY = (b"digest", None)


def keep(
    cache: IdentityCache,
    key: tuple[bytes, str | None] = KEY,
    expires: float | None = None,
    job_id: UUID | None = None,
) -> None:
    cache.keep(key, HENRI, cache.generation, expires_in_secs=expires, job_id=job_id)


def test_an_entry_lives_a_second() -> None:
    clock = MovableClock()
    cache = IdentityCache(clock)
    keep(cache)
    clock.seconds += TTL_SECS - 0.01
    assert cache.get(KEY) is HENRI
    clock.seconds += 0.01
    assert cache.get(KEY) is None


def test_an_entry_does_not_outlive_its_token() -> None:
    clock = MovableClock()
    cache = IdentityCache(clock)
    keep(cache, expires=0.25)
    assert cache.get(KEY) is HENRI
    clock.seconds += 0.25
    assert cache.get(KEY) is None


def test_the_workspace_is_part_of_the_key() -> None:
    cache = IdentityCache(MovableClock())
    keep(cache, (b"digest", "main"))
    assert cache.get((b"digest", "other")) is None
    assert cache.get(KEY) is None


def test_what_was_looked_up_before_rights_changed_is_not_kept_after() -> None:
    cache = IdentityCache(MovableClock())
    before = cache.generation
    cache.forget_all()
    cache.keep(KEY, HENRI, before, expires_in_secs=None, job_id=None)
    assert cache.get(KEY) is None


def test_forgetting_a_job_spares_the_others() -> None:
    cache = IdentityCache(MovableClock())
    ended, running = uuid4(), uuid4()
    keep(cache, (b"ended", "main"), job_id=ended)
    keep(cache, (b"ended", None), job_id=ended)
    keep(cache, (b"running", "main"), job_id=running)
    cache.forget_job(ended)
    assert cache.get((b"ended", "main")) is None
    assert cache.get((b"ended", None)) is None
    assert cache.get((b"running", "main")) is HENRI


def test_the_oldest_entries_leave_a_full_cache() -> None:
    cache = IdentityCache(MovableClock())
    for number in range(MAX_ENTRIES):
        keep(cache, (str(number).encode(), None))
    keep(cache, (b"0", None))
    keep(cache, (b"one more", None))
    assert cache.get((b"1", None)) is None
    assert cache.get((b"0", None)) is HENRI, "renewed, so no longer the oldest"
    assert cache.get((b"one more", None)) is HENRI
