"""Limited tokens: scopes, workspaces, running jobs; and how soon a change of rights acts."""

import time
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest

from millpond.base.errors import NotAuthenticated, NotFound, PermissionDenied
from millpond.base.sealing import MasterKey
from millpond.services.identities import Identities
from millpond.store.pool import Database
from tests.conftest import SUPERADMIN_SECRET, ClientOf, Instance, client_with
from tests.movable_clock import MovableClock

LEASE = 7


async def new_token(client: httpx.AsyncClient, **limits: object) -> str:
    answer = await client.post("/api/users/tokens/create", json=limits)
    assert answer.status_code == 201, answer.text
    return answer.text


def token_of(client: httpx.AsyncClient) -> str:
    return client.headers["authorization"].removeprefix("Bearer ")


async def start_job(
    database: Database,
    username: str,
    email: str,
    *,
    state: str = "running",
    workspace: str = "main",
    **more: str,
) -> UUID:
    """A job as the queue holds it while it runs, under a worker that lives, so that nobody rescues it."""
    job_id = uuid4()
    job = """
        INSERT INTO job (workspace_id, id, kind, runnable_path, tag, created_by, permissioned_as, email,
                         schedule_path, scheduled_for)
        VALUES ($1, $2, $3, $4, 't', $5, 'u/' || $5, $6, $7, now())"""
    worker = """
        INSERT INTO worker (id, name, host, process_id, tags, slots, version, sandbox, lease_until)
        VALUES ($1, 'w', 'h', 1, '{}', 1, '0', 'none', now() + interval '1 hour')"""
    queued = """
        INSERT INTO job_queue (workspace_id, job_id, lane, state, tag, scheduled_for, worker_id, lease_token)
        SELECT $1, $2, 'process', $3, 't', now(), lease.worker_id, lease.token
          FROM (SELECT $2::uuid AS worker_id, $4::bigint AS token) lease"""
    if state == "queued":
        queued = queued.replace("lease.worker_id, lease.token", "NULL, NULL")
    async with database.transaction() as transaction:
        path = more.get("path", "f/etl/load")
        kind = more.get("kind", "script")
        await transaction.execute(job, workspace, job_id, kind, path, username, email, more.get("schedule"))
        await transaction.execute(worker, job_id)
        await transaction.execute(queued, workspace, job_id, state, LEASE)
    return job_id


async def test_a_scoped_token_does_what_it_names_and_nothing_else(
    client: httpx.AsyncClient, client_of: ClientOf, instance: Instance
) -> None:
    henri = await client_of("henri")
    body = {"path": "u/henri/r", "value": 1, "resource_type": "any"}
    assert (await henri.post("/api/w/main/resources/create", json=body)).status_code == 201
    await henri.post("/api/w/main/resources/create", json={**body, "path": "u/henri/other"})
    async with client_with(instance, await new_token(henri, scopes=["resources:read:u/henri/r"])) as scoped:
        assert (await scoped.get("/api/w/main/resources/get/u/henri/r")).status_code == 200
        refused = [
            await scoped.get("/api/w/main/resources/get/u/henri/other"),
            await scoped.get("/api/w/main/resources/list"),
            await scoped.get("/api/w/main/resources/list_search"),
            await scoped.post("/api/w/main/resources/update_value/u/henri/r", json={"value": 2}),
            await scoped.get("/api/w/main/users/whoami"),
            await scoped.get("/api/w/main/folders/list"),
            await scoped.get("/api/w/main/groups/list"),
            await scoped.get("/api/w/main/acls/get/resource/u/henri/r"),
            await scoped.get("/api/users/whoami"),
            await scoped.get("/api/workspaces/list"),
            await scoped.post("/api/users/tokens/create", json={}),
            await scoped.post("/api/users/setpassword", json={"password": "taken over"}),
        ]
    assert [answer.status_code for answer in refused] == [403] * len(refused)


async def test_a_token_grants_no_more_than_it_holds(client_of: ClientOf, instance: Instance) -> None:
    henri = await client_of("henri")
    held = await new_token(henri, scopes=["users:write", "resources:read:f/a/*"])
    async with client_with(instance, held) as scoped:
        for scopes in (
            ["*"],
            ["resources:write:f/a/x"],
            ["resources:read"],
            ["variables:read"],
            ["jobs:run"],
        ):
            answer = await scoped.post("/api/users/tokens/create", json={"scopes": scopes})
            assert answer.status_code == 403
        narrower = await new_token(scoped, scopes=["resources:read:f/a/b"])
        same = await new_token(scoped)
        assert (await scoped.post("/api/users/setpassword", json={"password": "x"})).status_code == 403
    listed = {
        each["token_prefix"]: each["scopes"] for each in (await henri.get("/api/users/tokens/list")).json()
    }
    assert listed[narrower[:10]] == ["resources:read:f/a/b"]
    assert listed[same[:10]] == ["users:write", "resources:read:f/a/*"]
    assert (await henri.post("/api/users/tokens/create", json={"scopes": ["nonsense"]})).status_code == 400


async def test_a_superadmins_scoped_token_makes_no_accounts(
    client: httpx.AsyncClient, instance: Instance
) -> None:
    async with client_with(instance, await new_token(client, scopes=["users:write"])) as scoped:
        refused = [
            await scoped.post("/api/users/create", json={"email": "x@localhost", "super_admin": True}),
            await scoped.post("/api/users/update/admin@localhost", json={"password": "taken over"}),
            await scoped.delete("/api/users/delete/admin@localhost"),
        ]
    assert [answer.status_code for answer in refused] == [403] * 3


async def test_a_bound_token_opens_its_workspace_only(client: httpx.AsyncClient, instance: Instance) -> None:
    await client.post("/api/workspaces/create", json={"id": "second", "name": "Second"})
    async with client_with(instance, await new_token(client, workspace_id="second")) as bound:
        facts = (await bound.get("/api/w/second/users/whoami")).json()
        assert facts["is_admin"] is True
        assert (await bound.get("/api/w/main/users/whoami")).status_code == 403
        assert (await bound.get("/api/users/whoami")).json()["email"] == "admin@localhost"
        assert [each["id"] for each in (await bound.get("/api/workspaces/list")).json()] == ["second"]
        assert [each["id"] for each in (await bound.get("/api/workspaces/users")).json()["workspaces"]] == [
            "second"
        ]
        refused = [
            await bound.get("/api/users/list_as_super_admin"),
            await bound.post("/api/users/create", json={"email": "x@localhost", "super_admin": True}),
            await bound.post("/api/users/setpassword", json={"password": "taken over"}),
            await bound.post("/api/workspaces/create", json={"id": "third", "name": "Third"}),
            await bound.get("/api/workspaces/list_as_superadmin"),
            await bound.post("/api/users/tokens/create", json={"workspace_id": "main"}),
        ]
        assert [answer.status_code for answer in refused] == [403] * len(refused)
        child = await new_token(bound)
        seen = {
            each["token_prefix"]: each["workspace_id"]
            for each in (await bound.get("/api/users/tokens/list")).json()
        }
        assert seen[child[:10]] == "second"
        assert set(seen.values()) == {"second"}
        other = await new_token(client)
        assert (await bound.delete(f"/api/users/tokens/delete/{other[:10]}")).status_code == 404
    assert (await client.post("/api/users/tokens/create", json={"workspace_id": "none"})).status_code == 404


async def test_a_disabled_member_is_out_at_once_and_back_at_once(
    client: httpx.AsyncClient, client_of: ClientOf
) -> None:
    henri = await client_of("henri")
    whoami = "/api/w/main/users/whoami"
    assert (await henri.get(whoami)).status_code == 200
    await client.post("/api/w/main/users/update/henri", json={"disabled": True})
    answer = await henri.get(whoami)
    assert (answer.status_code, "disabled" in answer.text) == (403, True)
    assert (await henri.get("/api/users/whoami")).status_code == 200, "the account itself is not"
    assert (await henri.get("/api/workspaces/users")).json()["workspaces"][0]["disabled"] is True
    await client.post("/api/w/main/users/update/henri", json={"disabled": False, "operator": True})
    assert (await henri.get(whoami)).json()["role"] == "operator"


async def test_developers_administer_nothing(client_of: ClientOf) -> None:
    henri = await client_of("henri")
    refused = [
        await henri.post("/api/w/main/users/update/henri", json={"is_admin": True}),
        await henri.delete("/api/w/main/users/delete/admin"),
        await henri.post("/api/w/main/workspaces/add_user", json={"email": "admin@localhost"}),
        await henri.post("/api/w/main/acls/add/group_/all", json={"owner": "u/henri", "write": True}),
    ]
    assert [answer.status_code for answer in refused] == [403] * len(refused)


async def test_a_job_token_has_its_users_rights_while_the_job_runs(
    client_of: ClientOf, instance: Instance, database: Database
) -> None:
    await client_of("henri")
    job_id = await start_job(database, "henri", "henri@example.com")
    identities = instance.services.identities
    token = identities.issue_job_token("main", job_id, LEASE)
    assert token.startswith("mpj_")
    actor = await identities.enter(token, "main")
    assert (actor.username, actor.email, actor.is_admin) == ("henri", "henri@example.com", False)
    assert actor.job is not None
    assert (actor.job.job_id, actor.job.state_path) == (job_id, "f/etl/load/henri")
    account = await identities.authenticate(token)
    assert (account.email, account.workspace_id) == ("henri@example.com", "main")
    async with client_with(instance, token) as job:
        assert (await job.get("/api/users/whoami")).json()["email"] == "henri@example.com"
        assert (await job.get("/api/w/main/users/whoami")).json()["username"] == "henri"
        assert (await job.get("/api/w/other/users/whoami")).status_code == 403
        assert (await job.post("/api/users/tokens/create", json={"workspace_id": "other"})).status_code == 403
        async with database.statement() as connection:
            await connection.execute("DELETE FROM job_queue WHERE job_id = $1", job_id)
        identities.forget_job(job_id)
        assert (await job.get("/api/w/main/users/whoami")).status_code == 401


@pytest.mark.parametrize(
    "flaw", ["lease", "queued", "finished", "other job", "other workspace", "foreign key", "forged"]
)
async def test_a_job_token_of_no_running_lease_opens_nothing(
    client_of: ClientOf, instance: Instance, database: Database, flaw: str
) -> None:
    await client_of("henri")
    state = "queued" if flaw == "queued" else "running"
    job_id = await start_job(database, "henri", "henri@example.com", state=state)
    identities = instance.services.identities
    token = identities.issue_job_token("main", job_id, LEASE)
    match flaw:
        case "lease":
            token = identities.issue_job_token("main", job_id, LEASE - 1)
        case "finished":
            async with database.statement() as connection:
                await connection.execute("DELETE FROM job_queue WHERE job_id = $1", job_id)
        case "other job":
            token = identities.issue_job_token("main", uuid4(), LEASE)
        case "other workspace":
            token = identities.issue_job_token("second", job_id, LEASE)
        case "foreign key":
            stranger = Identities(database, MasterKey.generate(), None)
            token = stranger.issue_job_token("main", job_id, LEASE)
        case "forged":
            other = identities.issue_job_token("main", uuid4(), LEASE)
            token = token.partition(".")[0] + "." + other.partition(".")[2]
        case _:
            pass
    with pytest.raises(NotAuthenticated):
        await identities.enter(token, "main")
    with pytest.raises(NotAuthenticated):
        await identities.authenticate(token)


async def test_a_job_loses_its_rights_with_its_user(
    client: httpx.AsyncClient, client_of: ClientOf, instance: Instance, database: Database
) -> None:
    await client_of("henri")
    job_id = await start_job(database, "henri", "henri@example.com")
    identities = instance.services.identities
    token = identities.issue_job_token("main", job_id, LEASE)
    assert (await identities.enter(token, "main")).username == "henri"
    await client.post("/api/w/main/users/update/henri", json={"disabled": True})
    with pytest.raises(PermissionDenied):
        await identities.enter(token, "main")
    assert (await client.delete("/api/w/main/users/delete/henri")).status_code == 200
    again = {"email": "henri@example.com", "username": "other", "is_admin": True}
    assert (await client.post("/api/w/main/workspaces/add_user", json=again)).status_code == 201
    with pytest.raises(PermissionDenied):
        await identities.enter(token, "main")


async def test_a_superadmins_job_is_an_administrator_but_not_over_the_instance(
    client: httpx.AsyncClient, instance: Instance, database: Database
) -> None:
    await client.post("/api/users/create", json={"email": "chief@localhost", "super_admin": True})
    job_id = await start_job(database, "chief", "chief@localhost", kind="preview", path="f/etl/load")
    identities = instance.services.identities
    token = identities.issue_job_token("main", job_id, LEASE)
    actor = await identities.enter(token, "main")
    assert (actor.is_admin, actor.username) == (True, "chief")
    assert actor.job is not None
    assert actor.job.state_path == "u/chief/preview/f/etl/load"
    async with client_with(instance, token) as job:
        assert (await job.get("/api/users/whoami")).json()["super_admin"] is True
        assert (await job.get("/api/users/list_as_super_admin")).status_code == 403
    await client.post("/api/users/update/chief@localhost", json={"is_super_admin": False})
    with pytest.raises(PermissionDenied):
        await identities.enter(token, "main")


async def test_a_scheduled_job_has_the_state_slot_of_its_schedule(
    client_of: ClientOf, instance: Instance, database: Database
) -> None:
    await client_of("henri")
    job_id = await start_job(database, "henri", "henri@example.com", schedule="f/etl/nightly")
    identities = instance.services.identities
    actor = await identities.enter(identities.issue_job_token("main", job_id, LEASE), "main")
    assert actor.job is not None
    assert actor.job.state_path == "f/etl/load/schedule-f-etl-nightly"


async def test_the_secret_is_a_superadmin_even_without_an_account(
    instance: Instance, database: Database
) -> None:
    async with database.statement() as connection:
        await connection.execute("DELETE FROM account")
    identities = instance.services.identities
    actor = await identities.enter(SUPERADMIN_SECRET, "main")
    assert (actor.email, actor.username, actor.is_admin) == ("admin@localhost", "admin", True)
    with pytest.raises(NotFound):
        await identities.enter(SUPERADMIN_SECRET, "none")
    async with client_with(instance, SUPERADMIN_SECRET) as client:
        facts = (await client.get("/api/users/whoami")).json()
        assert (facts["email"], facts["super_admin"]) == ("admin@localhost", True)
        assert (await client.get("/api/w/main/users/whoami")).json()["is_admin"] is True
        created = await client.post("/api/workspaces/create", json={"id": "second", "name": "Second"})
        assert created.status_code == 201
        assert (await client.post("/api/users/tokens/create", json={})).status_code == 404
    job_id = await start_job(database, "admin", "admin@localhost")
    assert (await identities.enter(identities.issue_job_token("main", job_id, LEASE), "main")).is_admin
    without = Identities(database, instance.master_key, None)
    with pytest.raises(NotAuthenticated):
        await without.authenticate(SUPERADMIN_SECRET)
    with pytest.raises(PermissionDenied):
        await without.enter(without.issue_job_token("main", job_id, LEASE), "main")


async def test_a_change_by_another_server_acts_within_a_second(
    client: httpx.AsyncClient, client_of: ClientOf, instance: Instance
) -> None:
    henri = await client_of("henri")
    clock = MovableClock()
    elsewhere = Identities(instance.database, instance.master_key, None, clock)
    token = token_of(henri)
    assert not (await elsewhere.enter(token, "main")).is_admin
    await client.post("/api/w/main/users/update/henri", json={"is_admin": True})
    assert (await instance.services.identities.enter(token, "main")).is_admin, "at once where it was changed"
    clock.seconds += 0.9
    assert not (await elsewhere.enter(token, "main")).is_admin, "remembered"
    clock.seconds += 0.1
    assert (await elsewhere.enter(token, "main")).is_admin


async def test_a_remembered_identity_costs_no_round_trip(client_of: ClientOf, instance: Instance) -> None:
    henri = await client_of("henri")
    identities, token = instance.services.identities, token_of(henri)
    fastest = timedelta(seconds=1)
    for _ in range(200):
        began = time.perf_counter()
        await identities.enter(token, "main")
        fastest = min(fastest, timedelta(seconds=time.perf_counter() - began))
    assert fastest < timedelta(microseconds=50)
