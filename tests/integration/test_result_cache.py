"""Results used again: for equal runs of the same user, for as long as was asked, and never for failures."""

from typing import Any
from uuid import uuid4

import pytest

from millpond.base.ids import new_job_id
from millpond.model.jobs import Claim
from millpond.services.result_cache import find_result, flow_key, keep_result
from millpond.store import result_cache as store
from tests.integration.live_instance import Api, LiveInstance

RANDOM = "import uuid\ndef main(a=1, b=2, c=''):\n    print('it ran')\n    return str(uuid.uuid4())"
LOCK = "# py: 3.11\n"


def fresh() -> str:
    """A path of the test's own."""
    return f"u/admin/cached_{uuid4().hex[:8]}"


async def deploy(api: Api, code: str = RANDOM, path: str | None = None, **more: Any) -> str:
    path = path or fresh()
    await api.deploy(path, code, **{"lock": LOCK, "cache_ttl": 600} | more)
    return path


async def run(api: Api, path: str, args: object = None, **query: Any) -> dict[str, Any]:
    answer = await api.post(f"jobs/run/p/{path}", args or {}, **query)
    assert answer.status_code == 201, answer.text
    return await api.ended(answer.text)


async def test_an_equal_run_answers_at_once_and_its_log_names_the_first(api: Api) -> None:
    path = await deploy(api)
    first = await run(api, path, {"a": 1, "b": {"x": 2}})
    second = await run(api, path, {"b": {"x": 2}, "a": 1})
    assert (second["success"], second["result"]) == (True, first["result"])
    log = await api.logs(second["id"])
    assert "it ran" not in log
    assert f"cached result of run {first['id']}" in log
    assert "it ran" in await api.logs(first["id"])


@pytest.mark.parametrize("args", [{"a": 2}, {"a": 1, "b": 3}, {"a": "1"}])
async def test_other_arguments_are_another_call(api: Api, args: dict[str, object]) -> None:
    path = await deploy(api)
    first = await run(api, path, {"a": 1})
    assert (await run(api, path, args))["result"] != first["result"]


async def test_without_a_ttl_every_run_runs(api: Api) -> None:
    path = await deploy(api, cache_ttl=None)
    assert (await run(api, path))["result"] != (await run(api, path))["result"]


async def test_a_new_version_starts_anew(api: Api) -> None:
    path = await deploy(api)
    first = await run(api, path)
    await deploy(api, RANDOM + "\n", path=path, parent_hash=first["script_hash"])
    assert (await run(api, path))["result"] != first["result"]


async def test_a_result_that_is_too_old_is_not_used(api: Api, live: LiveInstance) -> None:
    path = await deploy(api)
    first = await run(api, path)
    rows = await live.execute(
        "UPDATE result_cache SET expires_at = now() WHERE path = $1 RETURNING job_id", path
    )
    assert [str(row["job_id"]) for row in rows] == [first["id"]]
    second = await run(api, path)
    assert second["result"] != first["result"]
    assert (await run(api, path))["result"] == second["result"]


async def test_one_user_is_not_given_the_result_of_another(api: Api, live: LiveInstance) -> None:
    henri = await live.member("henri")
    await live.folder("shared", u_henri=False)
    path = await deploy(api, path="f/shared/cached")
    first = await run(api, path)
    other = await run(henri, path)
    assert other["result"] != first["result"]
    assert (await run(henri, path))["result"] == other["result"]


async def test_what_a_reference_stands_for_counts_and_is_not_stored(api: Api, live: LiveInstance) -> None:
    variable = {"path": "u/admin/cached_secret", "value": "hush-12345", "is_secret": True, "description": ""}
    assert (await api.post("variables/create", variable)).status_code == 201
    path = await deploy(api)
    first = await run(api, path, {"c": "$var:u/admin/cached_secret"})
    assert (await run(api, path, {"c": "$var:u/admin/cached_secret"}))["result"] == first["result"]
    changed = await api.post("variables/update/u/admin/cached_secret", {"value": "hush-67890"})
    assert changed.status_code == 200, changed.text
    assert (await run(api, path, {"c": "$var:u/admin/cached_secret"}))["result"] != first["result"]
    rows = await live.execute("SELECT to_json(c)::text AS stored FROM result_cache c WHERE path = $1", path)
    assert len(rows) == 2
    assert all("hush" not in row["stored"] for row in rows)


async def test_failures_are_not_kept(api: Api, live: LiveInstance) -> None:
    path = await deploy(api, "def main():\n    raise ValueError('no')")
    assert (await run(api, path))["success"] is False
    assert await live.execute("SELECT FROM result_cache WHERE path = $1", path) == []


async def test_a_large_result_is_not_kept_and_the_log_says_so(api: Api, live: LiveInstance) -> None:
    path = await deploy(api, "def main():\n    return 'x' * 1024 * 1024")
    job = await run(api, path)
    assert job["success"] is True
    assert "over 1048576 bytes, so it is not cached" in await api.logs(job["id"])
    assert await live.execute("SELECT FROM result_cache WHERE path = $1", path) == []


async def test_a_result_to_be_deleted_leaves_no_copy(api: Api, live: LiveInstance) -> None:
    path = await deploy(api, delete_after_use=True)
    job = await run(api, path)
    assert "not cached" in await api.logs(job["id"])
    assert await live.execute("SELECT FROM result_cache WHERE path = $1", path) == []


async def test_a_run_may_ask_for_caching_or_against_it(api: Api) -> None:
    plain, cached = await deploy(api, cache_ttl=None), await deploy(api)
    first = await run(api, plain, cache_ttl=60)
    assert (await run(api, plain, cache_ttl=60))["result"] == first["result"]
    assert (await run(api, cached, cache_ttl=0))["result"] != (await run(api, cached, cache_ttl=0))["result"]
    preview = await api.run(RANDOM, {"a": 5}, cache_ttl=60)
    assert (await api.run(RANDOM, {"a": 5}, cache_ttl=60))["result"] == preview["result"]
    assert (await api.run(RANDOM + "\n", {"a": 5}, cache_ttl=60))["result"] != preview["result"]
    refused = await api.post(f"jobs/run/p/{plain}", {}, cache_ttl=-1)
    assert (refused.status_code, "cache_ttl" in refused.text) == (400, True)


async def test_what_the_preprocessor_made_is_the_call(api: Api) -> None:
    code = RANDOM + "\ndef preprocessor(event):\n    return {'a': event['body']['n'] % 10}"
    path = await deploy(api, code)
    first = await run(api, path, {"n": 3})
    assert (await run(api, path, {"n": 13}))["result"] == first["result"]
    assert (await run(api, path, {"n": 4}))["result"] != first["result"]


async def test_labels_of_a_result_come_with_it(api: Api) -> None:
    path = await deploy(api, "def main():\n    return {'wm_labels': ['blue']}")
    await run(api, path)
    assert (await run(api, path))["labels"] == ["blue"]


async def test_the_settings_are_answered_as_they_were_deployed(api: Api) -> None:
    settings: dict[str, Any] = {
        "cache_ttl": 60,
        "concurrent_limit": 2,
        "concurrency_time_window_s": 10,
        "concurrency_key": "k-$args[a]",
        "delete_after_secs": 0,
        "delete_after_use": True,
        "visible_to_runner_only": True,
    }
    path = await deploy(api, **settings)
    stored = (await api.get(f"scripts/get/p/{path}")).json()
    assert {name: stored.get(name) for name in settings} == settings
    plain = (await api.get(f"scripts/get/p/{await deploy(api, cache_ttl=0)}")).json()
    assert set(plain) & set(settings) == set()


async def test_runs_of_a_script_for_its_runner_only_are_hidden_from_its_owner(
    api: Api, live: LiveInstance
) -> None:
    path = await deploy(api, visible_to_runner_only=True)
    assert (await run(api, path))["visible_to_owner"] is False


def flow_claim(**changes: Any) -> Claim:
    facts: dict[str, Any] = dict.fromkeys(Claim.__struct_fields__)
    facts |= {
        "workspace_id": "main",
        "job_id": new_job_id(),
        "kind": "flow",
        "permissioned_as": "u/admin",
        "cache_ttl_s": 60,
        "runnable_path": "u/admin/flow",
    }
    return Claim(**facts | changes)


async def test_flows_keep_results_by_version_user_and_arguments(live: LiveInstance) -> None:
    claim = flow_claim()
    key = flow_key(claim, 7, b'{"a":1,"b":2}')
    assert flow_key(claim, 7, b'{"b": 2, "a": 1}') == key
    others = [
        flow_key(claim, 8, b'{"a":1,"b":2}'),
        flow_key(claim, '{"modules":[]}', b'{"a":1,"b":2}'),
        flow_key(claim, 7, b'{"a":1,"b":3}'),
        flow_key(flow_claim(permissioned_as="u/henri"), 7, b'{"a":1,"b":2}'),
    ]
    async with live.database.transaction() as transaction:
        assert await find_result(transaction, claim, key) is None
        assert await keep_result(transaction, claim, key, '{"sum": 3}') is None
        found = await find_result(transaction, flow_claim(), key)
        assert found is not None
        assert (found.result, found.job_id) == ('{"sum": 3}', claim.job_id)
        assert [await find_result(transaction, claim, other) for other in others] == [None] * 4
        assert await find_result(transaction, flow_claim(cache_ttl_s=None), key) is None


async def test_maintenance_forgets_what_is_too_old(idle: LiveInstance) -> None:
    claim = flow_claim()
    async with idle.database.transaction() as transaction:
        for number in range(5):
            await keep_result(transaction, claim, flow_key(claim, number, b"{}"), "1")
    await idle.execute(
        "UPDATE result_cache SET expires_at = now() - interval '1 s' WHERE key <> $1",
        flow_key(claim, 0, b"{}"),
    )
    async with idle.database.statement() as connection:
        assert [await store.delete_expired(connection, 3) for _ in range(3)] == [3, 1, 0]
    assert len(await idle.execute("SELECT FROM result_cache")) == 1
