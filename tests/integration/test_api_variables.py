"""Variables over HTTP: statuses, texts, secrets that stay sealed, and the note of what a job has read."""

import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from millpond.base.errors import NotFound
from millpond.base.sealing import new_workspace_key, seal
from millpond.model.actors import Actor, JobIdentity
from millpond.services.interpolation import Interpolation
from millpond.services.secrets_seen import newly_seen
from millpond.services.variables import Variables
from millpond.services.workspace_keys import WorkspaceKeys
from millpond.store import job_secrets
from millpond.store.pool import Database

ClientOf = Callable[..., Awaitable[httpx.AsyncClient]]

BASE = "/api/w/main/variables"
RESOURCES = "/api/w/main/resources"
SECRET = "correct horse battery staple"


async def create(
    client: httpx.AsyncClient, path: str, value: str, *, is_secret: bool = False, **more: object
) -> None:
    body = {"path": path, "value": value, "is_secret": is_secret, **more}
    answer = await client.post(f"{BASE}/create", json=body)
    assert (answer.status_code, answer.text) == (201, f"variable {path} created")


async def get(client: httpx.AsyncClient, path: str, query: str = "") -> Any:
    answer = await client.get(f"{BASE}/get/{path}{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def stored(database: Database, path: str) -> str:
    async with database.statement() as connection:
        value = await connection.fetch_value("SELECT value FROM variable WHERE path = $1", path)
    assert isinstance(value, str)
    return value


async def test_a_variable_is_created_read_changed_and_deleted(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"{BASE}/exists/u/admin/v")).json() is False
    await create(client, "u/admin/v", "plain", description="d", labels=["x"])
    assert (await client.get(f"{BASE}/exists/u/admin/v")).json() is True
    variable = await get(client, "u/admin/v")
    edited_at = variable.pop("edited_at")
    assert edited_at.endswith("Z")
    assert variable == {
        "workspace_id": "main",
        "path": "u/admin/v",
        "value": "plain",
        "is_secret": False,
        "description": "d",
        "extra_perms": {},
        "edited_by": "admin",
        "is_linked": False,
        "labels": ["x"],
    }
    answer = await client.post(f"{BASE}/update/u/admin/v", json={"value": "other"})
    assert (answer.status_code, answer.text) == (200, 'variable u/admin/v updated (npath: "u/admin/v")')
    answer = await client.get(f"{BASE}/get_value/u/admin/v")
    assert (answer.headers["content-type"].split(";")[0], answer.json()) == ("application/json", "other")
    changed = await get(client, "u/admin/v")
    assert (changed["description"], changed["labels"]) == ("d", ["x"])
    for _ in range(2):
        answer = await client.delete(f"{BASE}/delete/u/admin/v")
        assert (answer.status_code, answer.text) == (200, "variable u/admin/v deleted")
    assert (await client.get(f"{BASE}/exists/u/admin/v")).json() is False


async def test_a_missing_variable_is_404_everywhere_but_on_delete(client: httpx.AsyncClient) -> None:
    for answer in (
        await client.get(f"{BASE}/get/u/admin/no"),
        await client.get(f"{BASE}/get_value/u/admin/no"),
        await client.post(f"{BASE}/update/u/admin/no", json={"value": "x"}),
    ):
        assert (answer.status_code, answer.text) == (404, "Not found: Variable u/admin/no not found")


async def test_a_taken_path_is_refused(client: httpx.AsyncClient) -> None:
    await create(client, "u/admin/v", "1")
    body = {"path": "u/admin/v", "value": "2", "is_secret": False, "description": ""}
    answer = await client.post(f"{BASE}/create", json=body)
    assert (answer.status_code, answer.text) == (400, "Bad request: Variable u/admin/v already exists")
    await create(client, "u/admin/w", "3")
    answer = await client.post(f"{BASE}/update/u/admin/w", json={"path": "u/admin/v"})
    assert (answer.status_code, answer.text) == (400, "Bad request: Variable u/admin/v already exists")
    assert (await get(client, "u/admin/v"))["value"] == "1"


async def test_a_secret_never_stands_in_clear_in_the_database_or_a_list(
    client: httpx.AsyncClient, database: Database
) -> None:
    await create(client, "u/admin/s", SECRET, is_secret=True)
    async with database.statement() as connection:
        row = await connection.fetch_value("SELECT v::text FROM variable v WHERE path = 'u/admin/s'")
    assert SECRET not in str(row)
    listed = (await client.get(f"{BASE}/list")).text
    assert SECRET not in listed
    assert json.loads(listed)[0]["value"] is None
    assert (await client.get(f"{BASE}/list", params={"value": "horse"})).json() == []
    assert (await client.get(f"{BASE}/list", params={"broad_filter": "horse"})).json() == []
    assert (await client.get(f"{BASE}/get_value/u/admin/s")).json() == SECRET
    assert (await get(client, "u/admin/s"))["value"] == SECRET
    assert (await get(client, "u/admin/s", "?decrypt_secret=false"))["value"] is None
    sealed = (await get(client, "u/admin/s", "?decrypt_secret=false&include_encrypted=true"))["value"]
    assert sealed == await stored(database, "u/admin/s")
    assert (
        await client.post(f"{BASE}/update/u/admin/s", json={"value": "changed-secret"})
    ).status_code == 200
    assert "changed-secret" not in await stored(database, "u/admin/s")
    assert (await get(client, "u/admin/s"))["value"] == "changed-secret"


async def test_a_ciphertext_travels_unchanged(client: httpx.AsyncClient, database: Database) -> None:
    answer = await client.post(f"{BASE}/encrypt", json=SECRET)
    assert answer.status_code == 200
    sealed = answer.text
    body = {"path": "u/admin/s", "value": sealed, "is_secret": True, "description": ""}
    assert (await client.post(f"{BASE}/create?already_encrypted=true", json=body)).status_code == 201
    assert await stored(database, "u/admin/s") == sealed
    assert (await client.get(f"{BASE}/get_value/u/admin/s")).json() == SECRET
    other = (await client.post(f"{BASE}/encrypt", json="x")).text
    answer = await client.post(f"{BASE}/update/u/admin/s?already_encrypted=true", json={"value": other})
    assert answer.status_code == 200
    assert await stored(database, "u/admin/s") == other
    answer = await client.post(
        f"{BASE}/update/u/admin/s?already_encrypted=true", json={"value": "no ciphertext"}
    )
    assert answer.status_code == 400
    # The CLI sends the flag with plain variables too.
    plain = {"path": "u/admin/p", "value": "plain", "is_secret": False, "description": ""}
    assert (await client.post(f"{BASE}/create?already_encrypted=true", json=plain)).status_code == 201
    assert (await get(client, "u/admin/p"))["value"] == "plain"


async def test_a_ciphertext_of_another_key_is_a_clear_error(client: httpx.AsyncClient) -> None:
    foreign = seal(new_workspace_key(), "x")
    body = {"path": "u/admin/s", "value": foreign, "is_secret": True, "description": ""}
    assert (await client.post(f"{BASE}/create?already_encrypted=true", json=body)).status_code == 201
    for answer in (
        await client.get(f"{BASE}/get_value/u/admin/s"),
        await client.get(f"{BASE}/get/u/admin/s"),
    ):
        assert answer.status_code == 500
        assert "Variable u/admin/s cannot be decrypted" in answer.text
        assert "master key" in answer.text
    assert (await get(client, "u/admin/s", "?decrypt_secret=false"))["value"] is None


async def test_whether_a_variable_is_secret_changes_only_with_its_value(
    client: httpx.AsyncClient, database: Database
) -> None:
    await create(client, "u/admin/v", "plain")
    answer = await client.post(f"{BASE}/update/u/admin/v", json={"is_secret": True})
    assert answer.status_code == 400
    assert answer.text == "Bad request: cannot change is_secret without updating value too"
    assert (await client.post(f"{BASE}/update/u/admin/v", json={"is_secret": False})).status_code == 200
    answer = await client.post(f"{BASE}/update/u/admin/v", json={"is_secret": True, "value": SECRET})
    assert answer.status_code == 200
    assert SECRET not in await stored(database, "u/admin/v")
    assert (await get(client, "u/admin/v"))["value"] == SECRET


async def test_lists_are_filtered_sorted_and_paged(client: httpx.AsyncClient) -> None:
    await create(client, "u/admin/b", "50% off", description="Über_alles", labels=["x", "y"])
    await create(client, "u/admin/a", "500 off", labels=["x"])
    await create(client, "f/team/c", "hidden-secret", is_secret=True)
    await create(client, "u/admin/secret_arg/z", "v")

    async def paths(**query: object) -> list[str]:
        answer = await client.get(f"{BASE}/list", params={key: str(value) for key, value in query.items()})
        assert answer.status_code == 200, answer.text
        return [variable["path"] for variable in answer.json()]

    assert await paths() == ["f/team/c", "u/admin/a", "u/admin/b"]
    assert await paths(path_start="u/admin") == ["u/admin/a", "u/admin/b"]
    assert await paths(path="u/admin/a") == ["u/admin/a"]
    assert await paths(value="50%") == ["u/admin/b"]
    assert await paths(description="_ALL") == ["u/admin/b"]
    assert await paths(broad_filter="OFF") == ["u/admin/a", "u/admin/b"]
    assert await paths(label="x,y") == ["u/admin/b"]
    assert await paths(per_page=2) == ["f/team/c", "u/admin/a"]
    assert await paths(per_page=2, page=2) == ["u/admin/b"]
    assert await paths(per_page=2, page=0) == ["f/team/c", "u/admin/a"]


async def test_an_expired_variable_is_gone_and_its_path_is_free(
    client: httpx.AsyncClient, database: Database
) -> None:
    await create(client, "u/admin/v", "old", labels=["old"], expires_at="2020-01-01T00:00:00Z")
    assert (await client.get(f"{BASE}/get_value/u/admin/v")).status_code == 404
    assert (await client.get(f"{BASE}/exists/u/admin/v")).json() is False
    assert (await client.get(f"{BASE}/list")).json() == []
    assert (await client.post(f"{BASE}/update/u/admin/v", json={"value": "x"})).status_code == 404
    await create(client, "u/admin/v", "new", expires_at="2999-01-01T00:00:00Z")
    variable = await get(client, "u/admin/v")
    assert (variable["value"], variable["expires_at"]) == ("new", "2999-01-01T00:00:00Z")
    assert "labels" not in variable
    await create(client, "u/admin/w", "old", expires_at="2020-01-01T00:00:00Z")
    assert (await client.post(f"{BASE}/update/u/admin/v", json={"path": "u/admin/w"})).status_code == 200
    assert (await get(client, "u/admin/w"))["value"] == "new"


async def test_a_hidden_variable_is_403_and_a_missing_one_404(
    client: httpx.AsyncClient, client_of: ClientOf, database: Database
) -> None:
    await create(client, "u/admin/v", SECRET, is_secret=True)
    henri = await client_of("henri")
    for answer in (
        await henri.get(f"{BASE}/get/u/admin/v"),
        await henri.get(f"{BASE}/get_value/u/admin/v"),
        await henri.post(f"{BASE}/update/u/admin/v", json={"value": "x"}),
        await henri.delete(f"{BASE}/delete/u/admin/v"),
        await henri.request("DELETE", f"{BASE}/delete_bulk", json={"paths": ["u/admin/v"]}),
        await henri.post(f"{BASE}/create", json={"path": "u/admin/n", "value": "x", "is_secret": False}),
    ):
        assert answer.status_code == 403, answer.text
        assert SECRET not in answer.text
    assert (await henri.get(f"{BASE}/get_value/u/admin/no")).status_code == 404
    assert (await henri.get(f"{BASE}/list")).json() == []
    assert (await henri.get(f"{BASE}/exists/u/admin/v")).json() is True
    async with database.statement() as connection:
        await connection.execute("""UPDATE variable SET extra_perms = '{"u/henri": false}'""")
    assert (await henri.get(f"{BASE}/get_value/u/admin/v")).json() == SECRET
    assert [variable["path"] for variable in (await henri.get(f"{BASE}/list")).json()] == ["u/admin/v"]
    assert (await henri.post(f"{BASE}/update/u/admin/v", json={"value": "x"})).status_code == 403
    async with database.statement() as connection:
        await connection.execute("""UPDATE variable SET extra_perms = '{"u/henri": true}'""")
    assert (await henri.post(f"{BASE}/update/u/admin/v", json={"value": "x"})).status_code == 200
    # Renaming asks for ownership.
    assert (await henri.post(f"{BASE}/update/u/admin/v", json={"path": "u/henri/v"})).status_code == 403


async def test_several_are_deleted_at_once(client: httpx.AsyncClient) -> None:
    await create(client, "u/admin/a", "1")
    await create(client, "u/admin/b", "2")
    body = {"paths": ["u/admin/b", "u/admin/no", "u/admin/a", "u/admin/a"]}
    answer = await client.request("DELETE", f"{BASE}/delete_bulk", json=body)
    assert (answer.status_code, answer.json()) == (200, ["u/admin/a", "u/admin/b"])
    assert (await client.get(f"{BASE}/list")).json() == []


async def test_deleting_a_variable_leaves_the_resource_of_its_path(client: httpx.AsyncClient) -> None:
    await create(client, "u/admin/v", "1")
    body = {"path": "u/admin/v", "value": {"a": "$var:u/admin/v"}, "resource_type": "any"}
    assert (await client.post(f"{RESOURCES}/create", json=body)).status_code == 201
    assert (await get(client, "u/admin/v"))["is_linked"] is True
    await client.delete(f"{BASE}/delete/u/admin/v")
    assert (await client.get(f"{RESOURCES}/exists/u/admin/v")).json() is True


async def test_renaming_a_variable_rewrites_the_resource_of_its_path(client: httpx.AsyncClient) -> None:
    await create(client, "u/admin/v", "1")
    content = b'{"path":"u/admin/v","value":{"b":1.0,"a":"$var:u/admin/v"},"resource_type":"any"}'
    assert (await client.post(f"{RESOURCES}/create", content=content)).status_code == 201
    answer = await client.post(f"{BASE}/update/u/admin/v", json={"path": "f/team/w"})
    assert answer.text == 'variable u/admin/v updated (npath: "f/team/w")'
    value = (await client.get(f"{RESOURCES}/get_value/u/admin/v")).text
    assert value == '{"b":1.0,"a":"$var:f/team/w"}'
    assert (await client.get(f"{RESOURCES}/get_value_interpolated/u/admin/v")).text == '{"b":1.0,"a":"1"}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"path": "u/admin/v"}',
        b'{"path": "u/admin/v", "value": 1, "is_secret": false}',
        b'{"path": "nowhere", "value": "x", "is_secret": false}',
        b'{"path": "u/admin/' + b"v" * 300 + b'", "value": "x", "is_secret": false}',
        b'{"path": "u/admin/v", "value": "\xff", "is_secret": false}',
        b'{"path": "u/admin/v", "value": "a\\u0000b", "is_secret": false}',
        b'{"path": "u/admin/v", "value": "' + b"x" * 65537 + b'", "is_secret": false}',
        b'{"path": "u/admin/v", "value": "' + b"x" * 65000 + b'", "is_secret": true}',
        b'{"path": "u/admin/v", "value": "x", "is_secret": false, "description": "' + b"x" * 10001 + b'"}',
    ],
)
async def test_what_cannot_be_stored_is_refused_with_400(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post(f"{BASE}/create", content=body)
    assert answer.status_code == 400, answer.text
    assert (await client.get(f"{BASE}/list")).json() == []


async def test_a_value_may_be_as_long_as_the_column_and_empty(client: httpx.AsyncClient) -> None:
    await create(client, "u/admin/long", "x" * 65536)
    await create(client, "u/admin/empty", "", is_secret=True)
    assert (await client.get(f"{BASE}/get_value/u/admin/long")).json() == "x" * 65536
    assert (await client.get(f"{BASE}/get_value/u/admin/empty")).json() == ""


async def test_the_environment_of_jobs_is_listed(client: httpx.AsyncClient) -> None:
    rows = (await client.get(f"{BASE}/list_contextual")).json()
    assert {"WM_STATE_PATH", "WM_TOKEN", "WM_WORKSPACE"} <= {row["name"] for row in rows}
    assert all(set(row) == {"name", "value", "description", "is_custom"} for row in rows)


# What jobs read.

ADMIN = Actor(workspace_id="main", email="admin@localhost", username="admin", is_admin=True)
HENRI = Actor(workspace_id="main", email="henri@localhost", username="henri")


def in_job(actor: Actor) -> Actor:
    return Actor(
        workspace_id="main",
        email=actor.email,
        username=actor.username,
        is_admin=actor.is_admin,
        job=JobIdentity(job_id=uuid4(), state_path=None),
    )


def job_of(actor: Actor) -> Any:
    assert actor.job is not None
    return actor.job.job_id


async def test_a_secret_a_job_reads_is_noted_sealed_for_its_worker(
    client: httpx.AsyncClient, database: Database, instance: Any
) -> None:
    await create(client, "u/admin/s", SECRET, is_secret=True)
    await create(client, "u/admin/plain", "not-secret")
    content = b'{"path":"u/admin/r","value":{"a":"$var:u/admin/s"},"resource_type":"any"}'
    assert (await client.post(f"{RESOURCES}/create", content=content)).status_code == 201
    keys = WorkspaceKeys(database, instance.master_key)
    variables, interpolation = Variables(database, keys), Interpolation(database, keys)
    job = in_job(ADMIN)
    assert await variables.get_value(job, "u/admin/plain") == "not-secret"
    assert await newly_seen(database, keys, "main", [job_of(job)], []) == []
    assert await variables.get_value(job, "u/admin/s") == SECRET
    await variables.get(job, "u/admin/s", decrypt_secret=True, include_encrypted=False)
    await interpolation.resource(job, "u/admin/r")
    seen = await newly_seen(database, keys, "main", [job_of(job)], [])
    assert [secret.value for secret in seen] == [SECRET]
    assert await newly_seen(database, keys, "main", [job_of(job)], [(job_of(job), seen[0].number)]) == []
    # A value changed while the job runs is a second secret.
    await client.post(f"{BASE}/update/u/admin/s", json={"value": "second"})
    await variables.get_value(job, "u/admin/s")
    later = await newly_seen(database, keys, "main", [job_of(job)], [(job_of(job), seen[0].number)])
    assert [secret.value for secret in later] == ["second"]
    async with database.transaction() as transaction:
        rows = await transaction.fetch("SELECT s::text AS row FROM job_secret s")
        assert not any(SECRET in row["row"] or "second" in row["row"] for row in rows)
        assert await transaction.execute("DELETE FROM job_secret") == 2
    # A person's reading leaves no note.
    await client.get(f"{BASE}/get_value/u/admin/s")
    async with database.statement() as connection:
        assert await connection.fetch_value("SELECT count(*) FROM job_secret") == 0


async def test_notes_of_ended_jobs_are_forgotten_after_an_hour(database: Database, instance: Any) -> None:
    job_id = uuid4()
    async with database.transaction() as transaction:
        await job_secrets.record(transaction, "main", job_id, "u/admin/s", "sealed")
        assert await job_secrets.delete_of_ended_jobs(transaction) == 0
        await transaction.execute("UPDATE job_secret SET created_at = now() - interval '2 hours'")
        assert await job_secrets.delete_of_ended_jobs(transaction) == 1


async def test_arguments_are_resolved_with_the_rights_of_the_job(
    client: httpx.AsyncClient, database: Database, instance: Any
) -> None:
    await create(client, "u/admin/s", SECRET, is_secret=True)
    content = b'{"path":"u/admin/r","value":{"b":1.0,"a":["$var:u/admin/s"]},"resource_type":"any"}'
    assert (await client.post(f"{RESOURCES}/create", content=content)).status_code == 201
    interpolation = Interpolation(database, WorkspaceKeys(database, instance.master_key))
    args = '{"n": 1e400, "db": "$res:u/admin/r", "deep": {"l": [[["$var:u/admin/s"]]]}, "w": "$WM_TOKEN"}'
    resolved = await interpolation.args(in_job(ADMIN), args.encode())
    assert resolved.args == (
        f'{{"n": 1e400, "db": {{"b":1.0,"a":["{SECRET}"]}}, '
        f'"deep": {{"l": [[["{SECRET}"]]]}}, "w": "$WM_TOKEN"}}'
    )
    assert resolved.secrets == [SECRET]
    untouched = '{"a":  1.0, "a": "Bearer $var:u/admin/s"}'
    assert (await interpolation.args(in_job(HENRI), untouched)).args == untouched
    for text, message in (
        ('{"db": "$res:u/admin/r"}', "Resource u/admin/r not found for `db`"),
        ('{"key": ["$var:u/admin/s"]}', "Variable u/admin/s not found for `key`"),
        ('{"key": "$var:u/admin/none"}', "Variable u/admin/none not found for `key`"),
        ('{"key": "$var:\\u0000 \\ud800"}', "not found for `key`"),
    ):
        with pytest.raises(NotFound, match=message):
            await interpolation.args(in_job(HENRI), text)
