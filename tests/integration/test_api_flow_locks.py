"""The locks of code inside deployed flows: the job that is pushed, and what its end changes."""

from typing import Any

import pytest
from httpx import AsyncClient

from millpond.base.errors import NotFound
from millpond.model.flow_documents import StepToLock
from millpond.services.flow_locks import FlowLocks
from millpond.store import flows as store
from millpond.store.pool import Database
from tests.integration.flow_documents import API, PATH, answer, deploy, read, redeploy
from tests.unit.engine_flows import flow, identity, loop, py

FAILURE = py("whatever", "import c")


def locked(step: dict[str, Any], lock: str) -> dict[str, Any]:
    return step | {"value": step["value"] | {"lock": lock}}


async def lock_jobs(client: AsyncClient) -> list[dict[str, Any]]:
    response = await client.get("/api/w/main/jobs/queue/list", params={"job_kinds": "flowdependencies"})
    assert response.status_code == 200, response.text
    jobs: list[dict[str, Any]] = response.json()
    return jobs


async def record(
    database: Database, version: int, locks: dict[str, str] | None, error: str | None = None
) -> None:
    async with database.transaction() as transaction:
        await store.record_locks(transaction, "main", version, locks, error)


async def test_one_job_locks_all_code_without_a_lock(client: AsyncClient, database: Database) -> None:
    value = flow(
        py("a", "import a"),
        loop("l", [1], locked(py("b", "import b"), "# py: 3.11\n")),
        failure_module=FAILURE,
    )
    await deploy(client, value=value)
    version = (await read(client))["version_id"]
    (job,) = await lock_jobs(client)
    assert (job["script_path"], job["tag"]) == (PATH, "dependency")
    assert await answer(client, f"deployment_status/p/{PATH}") == {
        "lock_error_logs": None,
        "job_id": job["id"],
    }
    assert await FlowLocks(database).steps_to_lock("main", version) == [
        StepToLock("a", "python3", "import a"),
        StepToLock("failure", "python3", "import c"),
    ]


async def test_recorded_locks_stand_in_the_value_and_change_nothing_else(
    client: AsyncClient, database: Database
) -> None:
    value = flow(
        py("a", "import a", {"x": "1"}), loop("l", [1.0], py("b", "import b")), failure_module=FAILURE
    )
    await deploy(client, value=value)
    version = (await read(client))["version_id"]
    await record(database, version, {"a": "lock of a", "b": "lock of b", "failure": "lock of c"})
    expected = flow(
        locked(py("a", "import a", {"x": "1"}), "lock of a"),
        loop("l", [1.0], locked(py("b", "import b"), "lock of b")),
        failure_module=locked(FAILURE, "lock of c"),
    )
    assert (await read(client))["value"] == expected
    assert await FlowLocks(database).steps_to_lock("main", version) == []
    # A late second answer changes nothing.
    await record(database, version, {"a": "another"})
    await record(database, version, None, "too late")
    assert (await read(client))["value"] == expected


async def test_no_job_when_nothing_is_to_be_locked(client: AsyncClient) -> None:
    await deploy(client, value=flow(identity("a"), locked(py("b", "1"), "# py: 3.11\n")))
    assert await lock_jobs(client) == []
    assert await answer(client, f"deployment_status/p/{PATH}") == {"lock_error_logs": None, "job_id": None}


@pytest.mark.parametrize("blank", ["", " \n"])
async def test_a_blank_lock_is_none(client: AsyncClient, database: Database, blank: str) -> None:
    await deploy(client, value=flow(locked(py("a", "1"), blank)))
    assert len(await lock_jobs(client)) == 1
    await record(database, (await read(client))["version_id"], {"a": "found"})
    assert (await read(client))["value"] == flow(locked(py("a", "1"), "found"))


async def test_why_there_is_no_lock_is_told_and_a_lock_may_still_come(
    client: AsyncClient, database: Database
) -> None:
    await deploy(client, value=flow(py("a", "import nothing")))
    version = (await read(client))["version_id"]
    await record(database, version, None, "step 'a': no such\x00 package")
    told = "step 'a': no such� package"
    assert (await read(client))["lock_error_logs"] == told
    assert (await answer(client, f"deployment_status/p/{PATH}"))["lock_error_logs"] == told
    assert [entry["has_deploy_errors"] for entry in await answer(client, "list")] == [True]
    await record(database, version, {"a": "found"})
    assert "lock_error_logs" not in await read(client)
    assert (await read(client))["value"] == flow(locked(py("a", "import nothing"), "found"))


async def test_each_version_has_locks_of_its_own(client: AsyncClient, database: Database) -> None:
    await deploy(client, value=flow(py("a", "1")))
    first = (await read(client))["version_id"]
    await redeploy(client, value=flow(py("a", "2")))
    assert len(await lock_jobs(client)) == 2
    await record(database, first, {"a": "lock of 1"})
    assert (await answer(client, f"get/v/{first}"))["value"] == flow(locked(py("a", "1"), "lock of 1"))
    assert (await read(client))["value"] == flow(py("a", "2"))


async def test_a_version_deleted_meanwhile_is_told(client: AsyncClient, database: Database) -> None:
    await deploy(client, value=flow(py("a", "1")))
    version = (await read(client))["version_id"]
    await client.delete(f"{API}/delete/{PATH}")
    with pytest.raises(NotFound, match=f"Flow version {version} was deleted"):
        await FlowLocks(database).steps_to_lock("main", version)
    await record(database, version, {"a": "for nobody"})


async def test_either_locks_or_an_error_is_recorded(database: Database) -> None:
    for locks, error in ((None, None), ({"a": ""}, "both")):
        with pytest.raises(ValueError, match="not both and not neither"):
            await record(database, 1, locks, error)
