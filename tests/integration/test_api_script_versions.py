"""Dependency jobs of scripts, and which version a run uses."""

import pytest
from httpx import AsyncClient

from millpond.base.errors import InvalidInput, NotFound, PermissionDenied
from millpond.base.ids import hash_from_hex, hash_to_hex
from millpond.model.actors import Actor
from millpond.services.dependency_jobs import DependencyJobs
from millpond.services.scripts import Scripts
from millpond.store.pool import Database
from tests.integration.script_calls import ADMIN, API, CODE, create, deploy, read, record


@pytest.fixture
def scripts(instance: object, database: Database) -> Scripts:
    """The use cases with a set of languages of their own, whatever runtimes this machine has."""
    return Scripts(database, DependencyJobs(), frozenset({"python3", "bash"}))


async def test_a_deployment_without_a_lock_pushes_a_dependency_job(
    client: AsyncClient, database: Database
) -> None:
    version = await deploy(client, tag="gpu", deployment_message="first")
    assert (await read(client))["lock"] is None
    status = (await client.get(f"{API}/deployment_status/h/{version}")).json()
    assert (status["lock"], status["lock_error_logs"]) == (None, None)
    async with database.statement() as connection:
        job = await connection.fetch_row(
            "SELECT id::text, kind, runnable_path, script_hash, tag, raw_code FROM job"
        )
    assert job is not None
    assert tuple(job) == (
        status["job_id"],
        "dependencies",
        "u/admin/load",
        hash_from_hex(version),
        "gpu",
        CODE,
    )
    await record(database, version, "httpx==0.28.1\n")
    assert (await read(client))["lock"] == "httpx==0.28.1\n"


async def test_a_given_lock_and_a_refused_deployment_push_no_job(
    client: AsyncClient, database: Database
) -> None:
    await deploy(client, lock="# py: 3.11\n")
    await create(client, content="2")
    async with database.statement() as connection:
        assert await connection.fetch_value("SELECT count(*) FROM job") == 0


async def test_a_late_second_answer_does_not_replace_a_lock(client: AsyncClient, database: Database) -> None:
    version = await deploy(client)
    await record(database, version, None, "broken\x00 pipe")
    assert (await read(client))["lock_error_logs"] == "broken\ufffd pipe"
    assert (await client.get(f"{API}/list")).json()[0]["has_deploy_errors"] is True
    await record(database, version, "good")
    await record(database, version, None, "late")
    script = await read(client)
    assert (script["lock"], script["lock_error_logs"]) == ("good", None)


async def test_a_run_uses_the_newest_version_that_is_locked(
    client: AsyncClient, database: Database, scripts: Scripts
) -> None:
    first = await deploy(client)
    # At once after the first deployment: the run resolves the dependencies itself.
    resolved = await scripts.resolve_by_path(ADMIN, "u/admin/load")
    assert (hash_to_hex(resolved.hash), resolved.lock) == (first, None)
    await record(database, first, "one")
    second = await deploy(client, content="2", parent_hash=first)
    resolved = await scripts.resolve_by_path(ADMIN, "u/admin/load")
    assert (hash_to_hex(resolved.hash), resolved.content, resolved.lock) == (first, CODE, "one")
    await record(database, second, None, "no such package")
    third = await deploy(client, content="3", parent_hash=second)
    assert hash_to_hex((await scripts.resolve_by_path(ADMIN, "u/admin/load")).hash) == first
    await record(database, third, "three")
    assert hash_to_hex((await scripts.resolve_by_path(ADMIN, "u/admin/load")).hash) == third


async def test_a_renamed_script_runs_its_last_locked_version_under_its_new_path(
    client: AsyncClient, database: Database, scripts: Scripts
) -> None:
    first = await deploy(client)
    await record(database, first, "one")
    await deploy(client, "u/admin/store", content="2", parent_hash=first)
    resolved = await scripts.resolve_by_path(ADMIN, "u/admin/store")
    assert (resolved.path, resolved.lock) == ("u/admin/store", "one")
    with pytest.raises(NotFound, match="No live script at path u/admin/load"):
        await scripts.resolve_by_path(ADMIN, "u/admin/load")


async def test_an_unrelated_archived_script_never_runs_in_place_of_a_new_one(
    client: AsyncClient, database: Database, scripts: Scripts
) -> None:
    old = await deploy(client)
    await record(database, old, "one")
    await client.post(f"{API}/archive/p/u/admin/load")
    new = await deploy(client, content="2")
    assert hash_to_hex((await scripts.resolve_by_path(ADMIN, "u/admin/load")).hash) == new


async def test_a_script_whose_dependencies_never_resolved_says_why(
    client: AsyncClient, database: Database, scripts: Scripts
) -> None:
    version = await deploy(client)
    await record(database, version, None, "no such package: nothere")
    number = hash_from_hex(version)
    assert number is not None
    for attempt in (scripts.resolve_by_path(ADMIN, "u/admin/load"), scripts.resolve_by_hash(ADMIN, number)):
        with pytest.raises(InvalidInput, match="no such package: nothere"):
            await attempt


async def test_a_run_by_hash_uses_that_version_also_when_archived(
    client: AsyncClient, database: Database, scripts: Scripts
) -> None:
    first = await deploy(client, lock="one", tag="gpu", timeout=9, priority=2, envs=["A=1"])
    await deploy(client, content="2", parent_hash=first, lock="two")
    number = hash_from_hex(first)
    assert number is not None
    resolved = await scripts.resolve_by_hash(ADMIN, number)
    assert (resolved.path, resolved.content, resolved.lock) == ("u/admin/load", CODE, "one")
    assert (resolved.tag, resolved.timeout, resolved.priority, resolved.envs) == ("gpu", 9, 2, ["A=1"])
    await client.post(f"{API}/delete/h/{first}")
    with pytest.raises(NotFound, match=first):
        await scripts.resolve_by_hash(ADMIN, number)


async def test_who_may_not_read_a_script_may_not_run_it(client: AsyncClient, scripts: Scripts) -> None:
    version = hash_from_hex(await deploy(client))
    assert version is not None
    henri = Actor(workspace_id="main", email="henri@localhost", username="henri")
    scoped = Actor(
        workspace_id="main",
        email="admin@localhost",
        username="admin",
        is_admin=True,
        scopes=("jobs:run:scripts:u/admin/other",),
    )
    for actor in (henri, scoped):
        with pytest.raises(PermissionDenied):
            await scripts.resolve_by_path(actor, "u/admin/load")
        with pytest.raises(PermissionDenied):
            await scripts.resolve_by_hash(actor, version)
    elsewhere = Actor(workspace_id="other", email="admin@localhost", username="admin", is_admin=True)
    with pytest.raises(NotFound):
        await scripts.resolve_by_path(elsewhere, "u/admin/load")
