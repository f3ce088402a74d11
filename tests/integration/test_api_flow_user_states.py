"""What steps of a flow tell each other: Windmill's two calls, and ours beside them."""

import asyncio
import json
from uuid import UUID, uuid4

import httpx
import pytest

from millpond.model.flow_user_states import MAX_VALUE_BYTES
from millpond.store import flow_user_states as store
from tests.conftest import ClientOf, Instance, client_with
from tests.integration.flow_trees import end, push, push_flow, token_of
from tests.refusals import refused

W = "/api/w/main/jobs/flow/user_states"


@pytest.fixture
async def flow(instance: Instance) -> UUID:
    return await push_flow(instance.database)


async def test_a_value_comes_back_as_it_was_written(client: httpx.AsyncClient, flow: UUID) -> None:
    for text in ('{"b": 1.0,  "a":[1e3, "é", null]}', "12345678901234567890123", '"x"', "false", "null"):
        answer = await client.post(f"{W}/{flow}/k", content=text)
        assert (answer.status_code, answer.text) == (200, "Flow job state updated")
        assert answer.headers["content-type"].startswith("text/plain")
        found = await client.get(f"{W}/{flow}/k")
        assert (found.status_code, found.text) == (200, text)
        assert found.headers["content-type"].startswith("application/json")


async def test_the_python_clients_none_is_null(client: httpx.AsyncClient, flow: UUID) -> None:
    assert (await client.post(f"{W}/{flow}/k", json=None)).status_code == 200
    assert (await client.get(f"{W}/{flow}")).json() == {"k": None}


async def test_reading_what_is_not_there_is_null(
    client: httpx.AsyncClient, instance: Instance, flow: UUID
) -> None:
    script = await push(instance.database)
    for job in (flow, uuid4(), script):
        answer = await client.get(f"{W}/{job}/nothing")
        assert (answer.status_code, answer.text) == (200, "null")


async def test_only_flows_have_user_states(client: httpx.AsyncClient, instance: Instance) -> None:
    for job in (uuid4(), await push(instance.database)):
        answer = await client.post(f"{W}/{job}/k", json=1)
        assert (answer.status_code, answer.text) == (404, "Not found: Flow job not found")
        refused(await client.get(f"{W}/{job}"), 404, "Flow job not found")
        refused(await client.delete(f"{W}/{job}/k"), 404, "Flow job not found")
        refused(await client.post(f"{W}/{job}/k/increment", json={"by": 1}), 404, "Flow job not found")


KEYS = ["a/b", "a//b", "a/", "ümlaut", "with space", "%", "a%2Fb", "x" * 255, "é" * 255, "-", "list"]


async def test_a_key_is_whatever_follows_the_job(client: httpx.AsyncClient, flow: UUID) -> None:
    for number, key in enumerate(KEYS):
        address = key.replace("%", "%25")
        assert (await client.post(f"{W}/{flow}/{address}", json=number)).status_code == 200, key
        assert (await client.get(f"{W}/{flow}/{address}")).json() == number
    assert (await client.get(f"{W}/{flow}")).json() == {key: number for number, key in enumerate(KEYS)}


@pytest.mark.parametrize(
    ("key", "named"),
    [("x" * 256, "1 to 255 characters, not 256"), ("a%00b", "NUL"), ("%ff", "UTF-8")],
    ids=["long", "nul", "bytes"],
)
async def test_a_key_that_cannot_be_kept_is_refused(
    client: httpx.AsyncClient, flow: UUID, key: str, named: str
) -> None:
    refused(await client.post(f"{W}/{flow}/{key}", json=1), 400, named)
    refused(await client.get(f"{W}/{flow}/{key}"), 400, named)
    refused(await client.delete(f"{W}/{flow}/{key}"), 400, named)
    refused(await client.post(f"{W}/{flow}/{key}/increment", json={"by": 1}), 400, named)


async def test_a_value_that_is_too_large_or_no_json_is_refused(client: httpx.AsyncClient, flow: UUID) -> None:
    largest = json.dumps("x" * (MAX_VALUE_BYTES - 2))
    assert (await client.post(f"{W}/{flow}/k", content=largest)).status_code == 200
    refused(await client.post(f"{W}/{flow}/k", content=largest + "1"), 400, "invalid json")
    refused(await client.post(f"{W}/{flow}/k", json="x" * MAX_VALUE_BYTES), 413, "'k'", "1048576 are allowed")
    assert (await client.get(f"{W}/{flow}/k")).text == largest


async def test_every_job_of_the_tree_means_the_outermost_flow(
    client: httpx.AsyncClient, instance: Instance, flow: UUID
) -> None:
    database = instance.database
    body = await push_flow(database, kind="flownode", parent=flow, flow_step_id="a", depth=1)
    inner = await push_flow(
        database, kind="flow", parent=body, flow_step_id="b", runnable_path="f/a/b", depth=2
    )
    step = await push(database, "flowscript", parent=inner, flow_step_id="c", depth=3)
    for number, job in enumerate((flow, body, inner, step)):
        assert (await client.post(f"{W}/{job}/k", json=number)).status_code == 200
        for other in (flow, body, inner, step):
            assert (await client.get(f"{W}/{other}/k")).json() == number
    async with database.statement() as connection:
        assert await store.list_values(connection, "main", flow) == {"k": "3"}


async def test_a_script_above_a_flow_is_not_the_flow(client: httpx.AsyncClient, instance: Instance) -> None:
    script = await push(instance.database)
    flow = await push_flow(instance.database, parent=script)
    assert (await client.post(f"{W}/{flow}/k", json=1)).status_code == 200
    assert (await client.get(f"{W}/{flow}/k")).json() == 1
    assert (await client.get(f"{W}/{script}/k")).json() is None
    # A step names the topmost job, as clients find it; the flow is still its own.
    step = await push(instance.database, parent=flow, flow_step_id="a")
    async with client_with(instance, await token_of(instance, step)) as job:
        assert (await job.get(f"{W}/{script}/k")).json() == 1


async def test_a_flow_that_ended_is_read_only(
    client: httpx.AsyncClient, instance: Instance, flow: UUID
) -> None:
    await client.post(f"{W}/{flow}/k", json=1)
    await end(instance.database, flow)
    refused(await client.post(f"{W}/{flow}/k", json=2), 404, "Flow job not found", f"{flow} has ended")
    refused(await client.post(f"{W}/{flow}/k/increment", json={"by": 1}), 404, "has ended")
    refused(await client.delete(f"{W}/{flow}/k"), 404, "has ended")
    assert (await client.get(f"{W}/{flow}/k")).json() == 1
    assert (await client.get(f"{W}/{flow}")).json() == {"k": 1}


async def test_a_key_is_deleted(client: httpx.AsyncClient, flow: UUID) -> None:
    await client.post(f"{W}/{flow}/a/b", json=1)
    await client.post(f"{W}/{flow}/c", json=2)
    for _ in range(2):  # a step that is tried again deletes again
        assert (await client.delete(f"{W}/{flow}/a/b")).status_code == 200
        assert (await client.get(f"{W}/{flow}")).json() == {"c": 2}


async def increment(client: httpx.AsyncClient, flow: UUID, by: object, key: str = "n") -> httpx.Response:
    return await client.post(f"{W}/{flow}/{key}/increment", json={"by": by})


async def test_a_counter_begins_at_zero_and_is_exact(client: httpx.AsyncClient, flow: UUID) -> None:
    for by, total in ((5, "5"), (-7, "-2"), (2**53 + 3, str(2**53 + 1)), (10**30, str(10**30 + 2**53 + 1))):
        answer = await increment(client, flow, by)
        assert (answer.status_code, answer.text) == (200, f'{{"value":{total}}}')
        assert (await client.get(f"{W}/{flow}/n")).text == total
    for more, floating in ((0.5, 0.5), (0.25, 0.75), (1, 1.75)):
        assert (await increment(client, flow, more, "f/g")).json() == {"value": floating}


async def test_what_is_no_number_is_not_incremented(client: httpx.AsyncClient, flow: UUID) -> None:
    for value in ("5", None, True, [1], {"a": 1}):
        await client.post(f"{W}/{flow}/k", json=value)
        refused(await increment(client, flow, 1, "k"), 400, "'k' holds no number", json.dumps(value)[:4])
        assert (await client.get(f"{W}/{flow}/k")).json() == value
    for by in ("1", None, True, [1]):
        refused(await increment(client, flow, by, "new"), 400, "by")
    refused(await client.post(f"{W}/{flow}/new/increment"), 400, "body")
    assert "new" not in (await client.get(f"{W}/{flow}")).json()


@pytest.mark.parametrize(("stored", "by"), [("1e308", "1e308"), ("9" * 1000, "1"), ("1" + "0" * 400, "0.5")])
async def test_a_counter_does_not_overflow(
    client: httpx.AsyncClient, flow: UUID, stored: str, by: str
) -> None:
    await client.post(f"{W}/{flow}/k", content=stored)
    answer = await client.post(f"{W}/{flow}/k/increment", content=f'{{"by": {by}}}')
    refused(answer, 400, "too large a number")
    assert (await client.get(f"{W}/{flow}/k")).text == stored


async def test_a_digit_string_of_any_length_is_refused_as_a_counter(
    client: httpx.AsyncClient, flow: UUID
) -> None:
    await client.post(f"{W}/{flow}/k", content="9" * 100_000)
    refused(await increment(client, flow, 1, "k"), 400, "'k'")
    refused(await client.post(f"{W}/{flow}/m/increment", content='{"by": ' + "9" * 100_000 + "}"), 400)


async def test_a_key_may_end_like_the_call(client: httpx.AsyncClient, flow: UUID) -> None:
    assert (await client.post(f"{W}/{flow}/a%2Fincrement", json="x")).status_code == 200
    assert (await client.get(f"{W}/{flow}/a/increment")).json() == "x"
    assert (await client.post(f"{W}/{flow}/increment", json="y")).status_code == 200
    assert (await client.get(f"{W}/{flow}")).json() == {"a/increment": "x", "increment": "y"}


async def test_of_increments_at_once_none_is_lost(client: httpx.AsyncClient, flow: UUID) -> None:
    answers = await asyncio.gather(*(increment(client, flow, 1) for _ in range(25)))
    assert sorted(answer.json()["value"] for answer in answers) == list(range(1, 26))
    assert (await client.get(f"{W}/{flow}/n")).json() == 25


async def test_of_keys_written_at_once_none_is_lost(client: httpx.AsyncClient, flow: UUID) -> None:
    await asyncio.gather(*(client.post(f"{W}/{flow}/k{n}", json=n) for n in range(25)))
    assert (await client.get(f"{W}/{flow}")).json() == {f"k{n}": n for n in range(25)}


async def test_who_has_no_access_to_the_flow_is_refused(
    client: httpx.AsyncClient, client_of: ClientOf, instance: Instance, flow: UUID
) -> None:
    await client.post(f"{W}/{flow}/k", json=1)
    stranger = await client_of("stranger")
    for answer in (
        await stranger.get(f"{W}/{flow}/k"),
        await stranger.get(f"{W}/{flow}"),
        await stranger.post(f"{W}/{flow}/k", json=2),
        await stranger.delete(f"{W}/{flow}/k"),
        await increment(stranger, flow, 1, "k"),
    ):
        refused(answer, 403, str(flow), "stranger")
    assert (await client.get(f"{W}/{flow}/k")).json() == 1
    own = await push_flow(instance.database, by="stranger")
    assert (await stranger.post(f"{W}/{own}/k", json=2)).status_code == 200
    assert (await stranger.get(f"{W}/{own}/k")).json() == 2


async def test_who_may_read_the_flow_may_not_write(
    client: httpx.AsyncClient, client_of: ClientOf, instance: Instance
) -> None:
    reader = await client_of("reader")
    folder = {"name": "shown", "extra_perms": {"u/reader": False}}
    assert (await client.post("/api/w/main/folders/create", json=folder)).status_code in (200, 201)
    flow = await push_flow(instance.database, kind="flow", runnable_path="f/shown/flow", flow_version=1)
    await client.post(f"{W}/{flow}/k", json=1)
    assert (await reader.get(f"{W}/{flow}/k")).json() == 1
    refused(await reader.post(f"{W}/{flow}/k", json=2), 403, "reader")


async def test_a_step_speaks_for_its_flow_whoever_it_runs_as(
    client: httpx.AsyncClient, client_of: ClientOf, instance: Instance, flow: UUID
) -> None:
    await client_of("helper")
    step = await push(instance.database, parent=flow, flow_step_id="a", by="helper")
    other = await push_flow(instance.database)
    async with client_with(instance, await token_of(instance, step)) as job:
        assert (await job.post(f"{W}/{flow}/k", json=1)).status_code == 200
        assert (await job.get(f"{W}/{step}/k")).json() == 1
        assert (await increment(job, step, 1, "k")).json() == {"value": 2}
        refused(await job.post(f"{W}/{other}/k", json=1), 403, "helper")


async def test_a_token_without_the_scope_is_refused(
    client: httpx.AsyncClient, instance: Instance, flow: UUID
) -> None:
    made = await client.post("/api/users/tokens/create", json={"label": "t", "scopes": ["jobs:read"]})
    async with client_with(instance, made.text) as limited:
        assert (await limited.get(f"{W}/{flow}/k")).status_code == 200
        refused(await limited.post(f"{W}/{flow}/k", json=1), 403, "jobs:write")


async def test_a_write_and_the_end_of_the_flow_exclude_each_other(instance: Instance, flow: UUID) -> None:
    database = instance.database
    async with database.transaction() as writing:
        assert await store.set_value(writing, "main", flow, "k", "1")
        ending = asyncio.create_task(end(database, flow))
        assert not (await asyncio.wait({ending}, timeout=0.2))[0], "the end waits for the write"
    await ending
    async with database.statement() as connection:
        assert not await store.set_value(connection, "main", flow, "k", "2")
        assert await store.get_value(connection, "main", flow, "k") == "1"


async def test_a_restarted_run_keeps_what_the_first_one_knew(instance: Instance, flow: UUID) -> None:
    again = await push_flow(instance.database)
    async with instance.database.transaction() as transaction:
        await store.set_value(transaction, "main", flow, "k", '{"a":  1}')
        await store.copy_values(transaction, "main", flow, again)
        assert await store.list_values(transaction, "main", again) == {"k": '{"a":  1}'}
