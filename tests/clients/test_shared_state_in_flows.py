"""`set_shared_state` and its kin through the real clients and ours, in steps of a flow that share a directory."""

from __future__ import annotations

from typing import Any

import pytest
from real_wmill import NEW, OLD, with_client
from served_instance import Api

from millpond.runtimes.sandbox.policy import detect

pytestmark = pytest.mark.needs_registry

WRITES = """
    import wmill

    def main():
        wmill.set_shared_state({"a": [1]})
        wmill.set_shared_state([2], "other.json")
        wmill.set_shared_state_pickle({3}, "set.pickle")
    """
READS = """
    import os, wmill

    def main():
        state = [wmill.get_shared_state(), wmill.get_shared_state("other.json")]
        return [*state, *wmill.get_shared_state_pickle("set.pickle"), sorted(os.listdir("shared"))]
    """

Json = dict[str, Any]
VERSIONS = [OLD, NEW, None]


def run(api: Api, writes: str, reads: str, *, same_worker: bool = True) -> Json:
    """Run a flow of two steps."""
    modules = [
        {
            "id": name,
            "value": {"type": "rawscript", "language": "python3", "content": code, "input_transforms": {}},
        }
        for name, code in (("a", writes), ("b", reads))
    ]
    value = {"modules": modules, "same_worker": same_worker}
    job: Json = api.finished(api.post("jobs/run/preview_flow", {"value": value, "args": {}}))
    return job


def shown_as_root_folder(version: str | None) -> bool:
    """Whether a client finds the directory here: the real ones know `/shared` only, ours `./shared` too."""
    return version is None or detect().own_root


@pytest.mark.parametrize("writer", VERSIONS, ids=[OLD, NEW, "injected"])
@pytest.mark.parametrize("reader", VERSIONS, ids=[OLD, NEW, "injected"])
def test_each_client_reads_what_another_wrote(writer: str | None, reader: str | None, henri: Api) -> None:
    if not (shown_as_root_folder(writer) and shown_as_root_folder(reader)):
        pytest.skip("this machine does not permit mount namespaces")
    job = run(henri, with_client(WRITES, writer), with_client(READS, reader))
    assert job["success"], job["result"]
    assert job["result"] == [{"a": [1]}, [2], 3, ["other.json", "set.pickle", "state.json"]]


def test_a_step_that_leaves_its_working_directory_still_finds_it(henri: Api) -> None:
    if not shown_as_root_folder(NEW):
        pytest.skip("this machine does not permit mount namespaces")
    leaves = WRITES.replace("import wmill", "import os, wmill").replace(
        "def main():", "def main():\n        os.chdir('/usr')"
    )
    job = run(henri, with_client(leaves, None), with_client(READS, None))
    assert job["success"], job["result"]


@pytest.mark.parametrize("version", VERSIONS, ids=[OLD, NEW, "injected"])
def test_without_the_setting_the_error_names_it(version: str | None, henri: Api) -> None:
    job = run(henri, with_client(WRITES, version), with_client(READS, version), same_worker=False)
    assert not job["success"]
    assert "'Shared Directory'" in job["result"]["error"]["message"]
    assert "same_worker" in job["result"]["error"]["message"]
