"""The variable `error`, and the messages between a worker and its children."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.expressions import wire
from millpond.expressions.failures import error_of

_NOTHING = {"name": "UnknownError", "message": "No error found"}


@pytest.mark.parametrize(
    ("previous_result", "error"),
    [
        ({"error": {"name": "E", "message": "m"}}, {"name": "E", "message": "m"}),
        ({"error": "text"}, "text"),
        ([1, {"error": {"message": "m"}}], {"message": "m"}),
        (
            [
                {"error": {"message": "m", "step_id": "a"}},
                {"ok": 1},
                {"error": {"message": "n", "step_id": "b"}},
            ],
            {
                "name": "MultipleErrors",
                "message": "[a] m; [b] n",
                "errors": [{"message": "m", "step_id": "a"}, {"message": "n", "step_id": "b"}],
            },
        ),
        (
            [{"error": {"message": {"deep": 1}}}, {"error": 5}],
            {"name": "MultipleErrors", "message": '{"deep":1}; ', "errors": [{"message": {"deep": 1}}, 5]},
        ),
        ([1, {"error": None}], _NOTHING),
        ([], _NOTHING),
        (None, _NOTHING),
        (
            {"a": 1},
            {"name": "UnknownError", "message": "Could not parse the error", "error": {"a": 1}},
        ),
        (5, {"name": "UnknownError", "message": "Could not parse the error", "error": 5}),
    ],
)
def test_the_error_in_a_result(previous_result: object, error: object) -> None:
    text = json.dumps(previous_result, separators=(",", ":")).encode()
    assert json.loads(error_of(text)) == error


def test_an_error_keeps_its_bytes() -> None:
    assert error_of(b'{"error": {"z": 12345678901234567890, "a": 1.0}}') == (
        b'{"z": 12345678901234567890, "a": 1.0}'
    )


@given(st.lists(st.lists(st.binary(max_size=20), max_size=4), max_size=4), st.integers(1, 9))
def test_messages_arrive_whole_however_they_are_cut(messages: list[list[bytes]], size: int) -> None:
    sent = b"".join(wire.frame(*message) for message in messages)
    frames = wire.Frames()
    taken = []
    for at in range(0, len(sent), size):
        frames.feed(sent[at : at + size])
        while (message := frames.take()) is not None:
            taken.append(message)
    assert taken == messages


@given(st.binary(max_size=40))
def test_nonsense_is_malformed_or_a_message(received: bytes) -> None:
    frames = wire.Frames(limit_bytes=1000)
    try:
        frames.feed(received)
        while (message := frames.take()) is not None:
            assert all(isinstance(part, bytes) for part in message)
    except wire.MalformedError:
        pass


def test_a_message_beyond_the_limit_is_refused_when_it_begins() -> None:
    with pytest.raises(wire.MalformedError):
        wire.Frames(limit_bytes=100).feed((101).to_bytes(4, "little"))
