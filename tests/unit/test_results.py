"""Results and errors as clients read them."""

import json

import pytest

from millpond.model.results import canceled_result, error_result, labels_of


def test_an_error_names_itself() -> None:
    assert (
        error_result("ExecutionErr", "it broke") == '{"error":{"name":"ExecutionErr","message":"it broke"}}'
    )
    assert json.loads(error_result("X", "é\n", step_id="a"))["error"] == {
        "name": "X",
        "message": "é\n",
        "step_id": "a",
    }


def test_a_cancellation_says_by_whom_and_why() -> None:
    assert json.loads(canceled_result("henri", "enough")) == {
        "error": {
            "name": "Canceled",
            "message": "Job canceled: enough by henri",
            "reason": "enough",
            "canceler": "henri",
        }
    }


@pytest.mark.parametrize(
    ("result", "labels"),
    [
        (b'{"wm_labels":["b","a","b"]}', ["a", "b"]),
        (b'{"wm_labels":[]}', None),
        (b'{"wm_labels":"a"}', None),
        (b'{"wm_labels":[1]}', None),
        (b'{"wm_labels":["", "\\u0000", "a\\u001fb", "ok"]}', ["ok"]),
        (b'{"deep":{"wm_labels":["a"]}}', None),
        (b'[{"wm_labels":["a"]}]', None),
        (b"null", None),
        (b'{"wm_labels":["a"],"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", None),
    ],
)
def test_labels_are_read_from_the_top_of_a_result(result: bytes, labels: list[str] | None) -> None:
    assert labels_of(result) == labels
