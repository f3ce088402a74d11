"""Where a job's state lives (DESIGN 5.1): unique to who runs it, the flow, and the script or step."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.model.state_paths import state_path_of

PATH_RULE = re.compile(r"[ufg](/[\w-]+){2,}")


@pytest.mark.parametrize(
    ("facts", "path"),
    [
        ({"kind": "script", "path": "f/x/s"}, "f/x/s/henri"),
        ({"kind": "script", "path": "f/x/s", "schedule_path": "f/x/sched"}, "f/x/s/schedule-f-x-sched"),
        ({"kind": "script", "path": "f/x/s", "flow_path": "f/x/fl", "step_id": "a"}, "f/x/fl/a_henri"),
        (
            {
                "kind": "script",
                "path": "f/x/s",
                "flow_path": "f/x/fl",
                "step_id": "a",
                "schedule_path": "u/h/s",
            },
            "f/x/fl/a_schedule-u-h-s",
        ),
        ({"kind": "script", "path": None, "flow_path": "f/x/fl"}, "f/x/fl/nostep_henri"),
        ({"kind": "preview", "path": None}, "u/henri/preview/unnamed"),
        ({"kind": "preview", "path": "f/x/s"}, "u/henri/preview/f/x/s"),
        (
            {"kind": "flowpreview", "path": None, "flow_path": "f/x/fl", "step_id": "a"},
            "u/henri/preview/f/x/fl/a",
        ),
    ],
)
def test_a_job_has_its_slot(facts: dict[str, str | None], path: str) -> None:
    assert state_path_of(username="henri", **facts) == path  # type: ignore[arg-type]


segment = st.text(alphabet="abc-_1", min_size=1, max_size=120)
script_paths = st.builds("{}/{}/{}".format, st.sampled_from("ufg"), segment, segment)


@given(script_paths, segment, st.none() | script_paths, st.sampled_from(["script", "preview"]))
def test_every_slot_is_a_path_a_resource_may_have(
    path: str, username: str, schedule_path: str | None, kind: str
) -> None:
    slot = state_path_of(username=username, kind=kind, path=path, schedule_path=schedule_path)
    assert len(slot) <= 255
    assert PATH_RULE.fullmatch(slot)


@given(script_paths)
def test_a_test_never_moves_the_cursor_of_production(path: str) -> None:
    deployed = state_path_of(username="henri", kind="script", path=path)
    assert state_path_of(username="henri", kind="preview", path=path) != deployed


def test_long_slots_of_different_scripts_differ() -> None:
    long = "f/x/" + "a" * 251
    first = state_path_of(username="henri", kind="script", path=long)
    second = state_path_of(username="petra", kind="script", path=long)
    assert len(first) == len(second) == 255
    assert first != second
    exact = state_path_of(username="henri", kind="script", path="f/x/" + "a" * 245)
    assert exact == "f/x/" + "a" * 245 + "/henri"
