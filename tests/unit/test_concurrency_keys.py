"""Concurrency keys, and who is next."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from millpond.services.concurrency_allotment import (
    BACK_OFF,
    LONGEST_WAIT,
    Contender,
    allot,
    first_free,
    look_again,
    rank_of,
)
from millpond.services.concurrency_keys import LONGEST_KEY, concurrency_key_of

NOW = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("template", "key"),
    [
        (None, "demo/script/u/henri/load"),
        ("", "demo/script/u/henri/load"),
        ("crm", "crm"),
        ("$workspace:$args[user]", "demo:henri"),
        ("$args[order]", '{"items":[1,2]}'),
        ("$args[missing]-$args[order.missing]", "null-null"),
        ("$flow_path", "f/etl/daily"),
        ("$workspaces $args", "$workspaces $args"),
        ("$args[reference]", "$res:u/henri/secret"),
        ("$args[nested]", "$workspace"),
    ],
)
def test_a_key_is_its_template_with_the_places_filled(template: str | None, key: str) -> None:
    args = '{"user": "henri", "order": {"items":[1,2]}, "reference": "$res:u/henri/secret", "nested": "$workspace"}'
    made = concurrency_key_of(template, "demo", "script", "u/henri/load", args, flow_path="f/etl/daily")
    assert made == key


def test_outside_of_flows_the_flow_path_is_the_path_of_the_run() -> None:
    assert concurrency_key_of("$flow_path", "demo", "flow", "f/etl/daily", "{}") == "f/etl/daily"
    assert concurrency_key_of(None, "demo", "flow", None, "{}") == "demo/flow/"


def test_keys_that_do_not_fit_stay_apart() -> None:
    long = [
        concurrency_key_of("$args[a]", "demo", "script", None, f'{{"a": "{"x" * 3000}{n}"}}')
        for n in range(2)
    ]
    odd = [concurrency_key_of("$args[a]", "demo", "script", None, f'{{"a": "{n}\\u0000"}}') for n in range(2)]
    assert len({*long, *odd}) == 4
    assert {len(key) for key in long} == {LONGEST_KEY}
    assert all("\x00" not in key for key in odd)


def contender(
    number: int, *, limit: int = 1, claimed: bool = True, due: int = 0, priority: int = 0
) -> Contender:
    job_id = UUID(int=number)
    return Contender(rank_of(priority, NOW + timedelta(seconds=due), job_id), job_id, limit, claimed)


def test_permits_go_by_priority_then_by_time() -> None:
    allotment = allot([contender(1, due=2), contender(2, due=1), contender(3, due=9, priority=5)], 0)
    assert allotment.started == [UUID(int=3)]
    assert allotment.refused == [UUID(int=2), UUID(int=1)]


def test_a_waiter_before_a_claim_is_woken_instead() -> None:
    allotment = allot(
        [contender(1, due=2), contender(2, due=1, claimed=False), contender(3, due=3, claimed=False)], 0
    )
    assert (allotment.started, allotment.woken, allotment.refused) == ([], [UUID(int=2)], [UUID(int=1)])


def test_each_counts_those_taken_against_its_own_limit() -> None:
    allotment = allot([contender(1, limit=1), contender(2, limit=3), contender(3, limit=3)], 1)
    assert (allotment.started, allotment.refused) == ([UUID(int=2), UUID(int=3)], [UUID(int=1)])


def test_a_permit_is_free_when_the_first_window_is_over() -> None:
    windows = [NOW + timedelta(seconds=seconds) for seconds in (30, 10, 20)]
    assert first_free(windows, 3, NOW) == windows[1]
    # The limit was lowered meanwhile: more have to go.
    assert first_free(windows, 2, NOW) == windows[2]
    assert first_free([None, windows[0]], 2, NOW) == NOW + BACK_OFF
    assert first_free([NOW - timedelta(seconds=1)], 1, NOW) == NOW + BACK_OFF
    assert first_free([], 1, NOW) == NOW + BACK_OFF


def test_a_long_line_does_not_look_again_all_at_once() -> None:
    offsets = [(look_again(NOW, place, 2, 10) - NOW).total_seconds() for place in (0, 1, 2, 5, 1000)]
    assert offsets == [0, 0, 10, 20, LONGEST_WAIT.total_seconds()]
    assert look_again(NOW, 1, 1, None) == NOW + BACK_OFF
