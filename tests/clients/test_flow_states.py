"""Flow user states through the real clients and ours, in steps of a flow."""

from __future__ import annotations

from typing import Any

import pytest
from real_wmill import NEW, OLD, with_client
from served_instance import HENRI, Api, unique

pytestmark = pytest.mark.needs_registry

WRITES = """
    import wmill

    def main():
        wmill.set_flow_user_state("foobar", 43)
        return "wrote"
    """
READS = """
    import wmill

    def main():
        return wmill.get_flow_user_state("foobar")
    """
BOTH = """
    import wmill

    def main(key: str, value):
        before = wmill.get_flow_user_state(key)
        wmill.set_flow_user_state(key, value)
        return [before, wmill.get_flow_user_state(key)]
    """
COUNTS = """
    import wmill

    def main():
        count = (wmill.get_state() or 0) + 1
        wmill.set_state(count)
        return [count, wmill.get_state_path()]
    """

Json = dict[str, Any]
VERSIONS = [OLD, NEW, None]


@pytest.fixture(params=VERSIONS, ids=[OLD, NEW, "injected"])
def version(request: pytest.FixtureRequest) -> str | None:
    """The client that the steps use; None is the one that every job finds."""
    found: str | None = request.param
    return found


def step(module_id: str, code: str, version: str | None, **inputs: str) -> Json:
    """A step in Python with a client of its own."""
    transforms = {name: {"type": "javascript", "expr": expr} for name, expr in inputs.items()}
    value = {
        "type": "rawscript",
        "language": "python3",
        "content": with_client(code, version),
        "input_transforms": transforms,
    }
    return {"id": module_id, "value": value}


def run(api: Api, *steps: Json, **args: Any) -> Json:
    """Run a flow that is not deployed; its ended job."""
    job = api.finished(api.post("jobs/run/preview_flow", {"value": {"modules": steps}, "args": args}))
    assert job["success"], job["result"]
    return job


def test_a_step_reads_what_an_earlier_one_wrote(version: str | None, henri: Api) -> None:
    job = run(henri, step("a", WRITES, version), step("b", READS, version))
    assert job["result"] == 43
    assert job["flow_status"]["user_states"] == {"foobar": 43}
    assert henri.get(f"jobs/flow/user_states/{job['id']}/foobar") == 43


def test_each_client_reads_what_another_wrote(henri: Api) -> None:
    for writer in VERSIONS:
        for reader in VERSIONS:
            assert run(henri, step("a", WRITES, writer), step("b", READS, reader))["result"] == 43


def test_a_step_in_a_loop_reads_and_writes_the_outermost_flows_state(version: str | None, henri: Api) -> None:
    body = step("b", BOTH, version, key="`key ${flow_input.iter.value}`", value="[flow_input.iter.value]")
    items = {"type": "static", "value": [1, 2, 3]}
    loop = {"type": "forloopflow", "iterator": items, "modules": [body], "parallel": True}
    job = run(henri, {"id": "l", "value": loop})
    assert job["result"] == [[None, [n]] for n in (1, 2, 3)]
    assert job["flow_status"]["user_states"] == {f"key {n}": [n] for n in (1, 2, 3)}


def test_outside_of_a_flow_there_is_nothing_to_write_to(version: str | None, henri: Api) -> None:
    job = henri.preview(with_client(BOTH, version), {"key": "k", "value": 1})
    assert (job["success"], job["result"]) == (True, [None, None])


def test_a_step_of_a_deployed_flow_keeps_its_state_from_run_to_run(version: str | None, henri: Api) -> None:
    path = unique("counting_flow")
    body = {
        "path": path,
        "summary": "",
        "schema": {},
        "value": {"modules": [step("a", COUNTS, version), step("b", COUNTS, version)]},
    }
    henri.post("flows/create", body)
    for count in (1, 2):
        job = henri.finished(henri.post(f"jobs/run/f/{path}", {}))
        assert job["success"], job["result"]
        assert job["result"] == [count, f"{path}/b_{HENRI}"]
    assert henri.get(f"resources/get_value/{path}/a_{HENRI}") == 2
