"""Reading jobs over HTTP: results, updates, streams, lists, and who may see what."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.integration.live_instance import Api, LiveInstance, eventually

ONE = "def main():\n    return 1"
WAITS = """
import os, time
def main(path):
    print("waiting", flush=True)
    while not os.path.exists(path):
        time.sleep(0.01)
"""


async def queued(api: Api, code: str = ONE, **query: Any) -> str:
    """A job that waits for a tag no worker takes: due, and not claimed."""
    return await api.start(code, scheduled_in_secs=3600, **query)


async def test_an_unknown_job_is_not_found(api: Api) -> None:
    unknown = uuid4()
    for call in ("get", "completed/get", "completed/get_result", "completed/get_result_maybe", "get_logs"):
        answer = await api.get(f"jobs_u/{call}/{unknown}")
        assert (answer.status_code, answer.text) == (404, f"Not found: Job not found: {unknown}")
    assert (await api.get(f"jobs_u/getupdate/{unknown}")).status_code == 404
    assert (await api.get("jobs_u/get/nonsense")).status_code in (400, 404)


async def test_a_job_is_queued_then_completed(api: Api) -> None:
    job_id = await queued(api)
    job = await api.job(job_id)
    assert (job["type"], job["running"], job["canceled"], job["job_kind"]) == (
        "QueuedJob",
        False,
        False,
        "preview",
    )
    assert (job["logs"], job["args"], job["raw_code"]) == ("", {}, ONE)
    assert not {"result", "success", "completed_at", "duration_ms"} & job.keys()
    assert (await api.get(f"jobs_u/completed/get/{job_id}")).status_code == 404
    assert (await api.get(f"jobs_u/completed/get_result/{job_id}")).status_code == 404
    assert (await api.get(f"jobs_u/completed/get_timing/{job_id}")).status_code == 404
    maybe = (await api.get(f"jobs_u/completed/get_result_maybe/{job_id}", get_started="true")).json()
    assert maybe == {"started": False, "completed": False, "success": None, "result": None}
    await api.cancel(job_id)
    ended = await api.run("def main():\n    print('hello')\n    return {'a': [1, {'b': None}]}")
    assert (ended["type"], ended["success"], ended["result"]) == (
        "CompletedJob",
        True,
        {"a": [1, {"b": None}]},
    )
    assert ended["logs"] == "hello\n"
    assert not {"running", "scheduled_for"} & ended.keys()
    assert ended["mem_peak"] > 0
    assert ended["worker"]
    assert ended["sandbox"]
    maybe = (await api.get(f"jobs_u/completed/get_result_maybe/{ended['id']}")).json()
    assert maybe == {"started": True, "completed": True, "success": True, "result": ended["result"]}
    timing = (await api.get(f"jobs_u/completed/get_timing/{ended['id']}")).json()
    assert timing.keys() == {"created_at", "started_at", "duration_ms"}
    bare = (await api.get(f"jobs_u/get/{ended['id']}", no_logs="true", no_code="true")).json()
    assert not {"logs", "raw_code"} & bare.keys()


@pytest.mark.parametrize(
    ("path", "part"),
    [("a", '[1,{"b":2.0}]'), ("a[1].b", "2.0"), ("a[7]", "null"), ("x.y", "null"), ("a.b", "null")],
)
async def test_a_part_of_a_result_is_picked_by_path(api: Api, path: str, part: str) -> None:
    job = await api.run("def main():\n    return {'a': [1, {'b': 2.0}]}")
    answer = await api.get(f"jobs_u/completed/get_result/{job['id']}", json_path=path)
    assert (answer.status_code, answer.text) == (200, part)


async def test_updates_count_characters_and_end_with_the_job(api: Api) -> None:
    code = "def main():\n    print('grüße 🚀')\n    print('ende')"
    job = await api.run(code)
    whole = "grüße 🚀\nende\n"
    first = (await api.get(f"jobs_u/getupdate/{job['id']}")).json()
    assert first["completed"] is True
    assert first["running"] is False
    assert (first["new_logs"], first["log_offset"]) == (whole, len(whole) + 1)
    later = (await api.get(f"jobs_u/getupdate/{job['id']}", log_offset=7)).json()
    assert (later["new_logs"], later["log_offset"]) == (whole[6:], len(whole) + 1)
    last = (await api.get(f"jobs_u/getupdate/{job['id']}", log_offset=len(whole) + 1)).json()
    assert "new_logs" not in last
    without = (await api.get(f"jobs_u/getupdate/{job['id']}", no_logs="true")).json()
    assert "new_logs" not in without


async def test_pieces_of_a_log_join_to_the_whole(api: Api) -> None:
    code = "import sys\ndef main():\n    for n in range(200):\n        print('é' * (n % 7), n, flush=True)"
    job_id = await api.start(code)
    offset, pieces, completed = 0, "", False
    while not completed:
        update = (await api.get(f"jobs_u/getupdate/{job_id}", log_offset=offset)).json()
        pieces += update.get("new_logs", "")
        offset = update.get("log_offset", offset)
        completed = update["completed"]
    assert pieces == await api.logs(job_id) == "".join(f"{'é' * (n % 7)} {n}\n" for n in range(200))


async def test_an_update_is_held_back_while_nothing_changes(api: Api) -> None:
    job_id = await queued(api)
    before = datetime.now(UTC)
    answer = await api.get(f"jobs_u/getupdate/{job_id}")
    held = datetime.now(UTC) - before
    assert answer.json() == {"completed": False}
    assert timedelta(seconds=0.9) < held < timedelta(seconds=5)
    asking = asyncio.create_task(api.get(f"jobs_u/getupdate/{job_id}"))
    await api.cancel(job_id)
    assert (await asking).json()["completed"] is True


async def test_a_running_job_says_so_once(api: Api) -> None:
    job_id = await api.start("import time\ndef main():\n    time.sleep(60)")
    await api.running(job_id)
    assert (await api.get(f"jobs_u/getupdate/{job_id}")).json()["running"] is True
    assert "running" not in (await api.get(f"jobs_u/getupdate/{job_id}", running="true")).json()
    maybe = (await api.get(f"jobs_u/completed/get_result_maybe/{job_id}", get_started="true")).json()
    assert maybe["started"] is True
    await api.cancel(job_id)
    await api.ended(job_id)


async def events_of(api: Api, path: str, **query: Any) -> list[dict[str, Any]]:
    """All events of a stream that ends."""
    async with api.http.stream("GET", f"/api/w/main/{path}", params=query) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in answer.aiter_lines()]
    return [json.loads(line.removeprefix("data: ")) for line in lines if line]


async def test_a_stream_of_updates_ends_with_the_job(api: Api) -> None:
    job_id = await api.start(
        "import time\ndef main():\n    print('a', flush=True)\n    time.sleep(.3)\n    print('b')\n    return 7"
    )
    events = await events_of(api, f"jobs_u/getupdate_sse/{job_id}")
    assert {event["type"] for event in events} == {"update"}
    assert "".join(event.get("new_logs", "") for event in events) == "a\nb\n"
    assert [event.get("completed") for event in events[:-1]] == [False] * (len(events) - 1)
    assert (events[-1]["completed"], events[-1]["job"]["result"]) == (True, 7)


async def test_a_stream_may_carry_the_result_only_line_breaks_and_all(api: Api) -> None:
    body = b'{"kind":"identity","args":{"a":\n[1,\r\n2.0]}}'
    job_id = (await api.post_raw("jobs/run/preview", body, "application/json")).text
    events = await events_of(api, f"jobs_u/getupdate_sse/{job_id}", only_result="true")
    assert events[-1]["only_result"] == {"a": [1, 2.0]}
    assert "job" not in events[-1]


async def test_a_stream_of_an_unknown_job_says_so(live: LiveInstance, api: Api) -> None:
    assert await events_of(api, f"jobs_u/getupdate_sse/{uuid4()}") == [{"type": "notfound"}]
    job = await api.run(ONE)
    stranger = await live.member("sse_stranger")
    events = await events_of(stranger, f"jobs_u/getupdate_sse/{job['id']}")
    assert [event["type"] for event in events] == ["error"]


async def test_a_run_is_started_and_streamed_in_one_request(api: Api) -> None:
    await api.deploy("u/admin/streamed", "def main(n: int):\n    for i in range(n):\n        yield f'{i}\\n'")
    events = await events_of(api, "jobs/run_and_stream/p/u/admin/streamed", payload="eyJuIjozfQ")
    assert "".join(event.get("new_result_stream", "") for event in events) == "0\n1\n2\n"
    assert events[-1]["completed"] is True


async def test_stream_lines_stay_out_of_the_log(api: Api) -> None:
    code = "def main():\n    print('before')\n    print('WM_STREAM: a\\\\nb')\n    print('not WM_STREAM: c')"
    job = await api.run(code)
    assert job["logs"] == "before\nnot WM_STREAM: c\n"
    update = (await api.get(f"jobs_u/getupdate/{job['id']}")).json()
    assert (update["new_result_stream"], update["stream_offset"]) == ("a\nb", 1)
    assert "new_result_stream" not in (await api.get(f"jobs_u/getupdate/{job['id']}", stream_offset=1)).json()


async def test_progress_is_set_read_and_streamed(api: Api) -> None:
    code = """
    import os, time, urllib.request, json
    def main():
        url = f"{os.environ['BASE_INTERNAL_URL']}/api/w/main/job_metrics/set_progress/{os.environ['WM_JOB_ID']}"
        body = json.dumps({"percent": 40}).encode()
        headers = {"authorization": f"Bearer {os.environ['WM_TOKEN']}"}
        urllib.request.urlopen(urllib.request.Request(url, body, headers))
        print("set", flush=True)
        time.sleep(60)
    """
    job_id = await api.start(code)
    await api.printed(job_id, "set")
    assert (await api.get(f"job_metrics/get_progress/{job_id}")).json() == 40
    update = (await api.get(f"jobs_u/getupdate/{job_id}", get_progress="true")).json()
    assert update["progress"] == 40
    assert "progress" not in (await api.get(f"jobs_u/getupdate/{job_id}")).json()
    async with api.http.stream(
        "GET",
        f"/api/w/main/jobs_u/getupdate_sse/{job_id}",
        params={"get_progress": "true", "running": "true", "no_logs": "true"},
    ) as stream:
        seen: list[int] = []
        async for line in stream.aiter_lines():
            if not line:
                continue
            event = json.loads(line.removeprefix("data: "))
            if "progress" in event:
                seen.append(event["progress"])
            if seen == [40]:
                answer = await api.post(f"job_metrics/set_progress/{job_id}", {"percent": 250})
                assert (answer.status_code, answer.text) == (200, "null")
            if 99 in seen:
                break
    assert seen[0] == 40
    await api.cancel(job_id)
    await api.ended(job_id)
    assert (await api.post(f"job_metrics/set_progress/{uuid4()}", {"percent": 1})).status_code == 404


async def test_labels_come_from_the_result(api: Api) -> None:
    job = await api.run("def main():\n    return {'wm_labels': ['b', 'a', 'b', '\\x00', '']}")
    assert job["labels"] == ["a", "b"]
    listed = (await api.get("jobs/completed/list", label="a")).json()
    assert [entry["id"] for entry in listed] == [job["id"]]
    assert (await api.get("jobs/completed/list", label="c")).json() == []


async def test_lists_leave_out_what_was_not_asked_for(api: Api) -> None:
    job = await api.run("def main(x):\n    return x", {"x": 1}, "u/admin/listed")
    (entry,) = (await api.get("jobs/completed/list", script_path_exact="u/admin/listed")).json()
    assert not {"args", "result", "logs", "raw_code"} & entry.keys()
    (entry,) = (
        await api.get("jobs/completed/list", script_path_exact="u/admin/listed", include_args="true")
    ).json()
    assert (entry["id"], entry["args"], entry["result"]) == (job["id"], {"x": 1}, 1)


async def test_lists_are_filtered(api: Api) -> None:
    path = "u/admin/filtered"
    script_hash = await api.deploy(
        path, "def main(fail: bool):\n    assert not fail\n    return {'ok': [1, 2]}"
    )
    good = await api.ended((await api.post(f"jobs/run/p/{path}", {"fail": False})).text)
    bad = await api.ended((await api.post(f"jobs/run/p/{path}", {"fail": True}, tag="other")).text)
    waiting = (await api.post(f"jobs/run/p/{path}", {"fail": True}, scheduled_in_secs=3600)).text
    child = await api.run(ONE, path=f"{path}_child", parent_job=good["id"])

    async def listed(kind: str = "jobs/list", **filters: Any) -> list[str]:
        kinds = {"job_kinds": "script,preview"}  # leaves out the dependency job of the deployment
        answer = await api.get(kind, script_path_start=path, **(kinds | filters))
        assert answer.status_code == 200, answer.text
        return [entry["id"] for entry in answer.json()]

    everything = [waiting, child["id"], bad["id"], good["id"]]
    assert await listed() == everything
    assert await listed(per_page=1) == [waiting, child["id"]]
    assert await listed(order_desc="false") == [waiting, good["id"], bad["id"], child["id"]]
    assert await listed("jobs/queue/list") == [waiting]
    assert await listed("jobs/completed/list", page=2, per_page=2) == [good["id"]]
    assert await listed("jobs/completed/list", page=0, per_page=2) == [child["id"], bad["id"]]
    for filters, expected in (
        ({"success": "true"}, [child["id"], good["id"]]),
        ({"success": "false"}, [bad["id"]]),
        ({"status": "failure"}, [bad["id"]]),
        ({"running": "false"}, [waiting]),
        ({"running": "true"}, []),
        ({"scheduled_for_before_now": "true"}, []),
        ({"tag": "other"}, [bad["id"]]),
        ({"job_kinds": "script,noop"}, [waiting, bad["id"], good["id"]]),
        ({"script_hash": script_hash}, [waiting, bad["id"], good["id"]]),
        ({"args": '{"fail":false}'}, [good["id"]]),
        ({"result": '{"ok":[2]}'}, [good["id"]]),
        ({"parent_job": good["id"]}, [child["id"]]),
        ({"has_null_parent": "true"}, [waiting, bad["id"], good["id"]]),
        ({"is_not_schedule": "true"}, everything),
        ({"is_flow_step": "true"}, []),
        ({"is_skipped": "true"}, []),
        ({"created_by": "admin"}, everything),
        ({"created_by": "nobody"}, []),
        ({"worker": good["worker"]}, [child["id"], bad["id"], good["id"]]),
        ({"created_before": good["created_at"]}, []),
        ({"created_after": bad["created_at"]}, [waiting, child["id"]]),
        ({"completed_before": bad["completed_at"]}, [good["id"]]),
        ({"completed_after": bad["completed_at"]}, [child["id"]]),
        ({"started_before": bad["started_at"]}, [good["id"]]),
        ({"started_after": bad["started_at"]}, [child["id"]]),
        ({"created_before": "2000-01-01T00:00:00"}, []),
        ({"before_id": bad["id"]}, [good["id"]]),
        ({"before_id": bad["id"], "order_desc": "false"}, [child["id"]]),
        ({"before_id": str(uuid4())}, []),
    ):
        assert await listed(**filters) == expected, filters
    assert (
        await api.get("jobs/list_filtered_uuids", script_path_start=path, job_kinds="script,preview")
    ).json() == everything[1:]
    assert (await api.get("jobs/queue/list_filtered_uuids", script_path_start=path)).json() == [waiting]


async def test_keyset_pages_hold_every_completed_job_once(api: Api) -> None:
    ids = set((await api.post("jobs/add_batch_jobs/25", {"kind": "noop"})).json())
    for job_id in ids:
        await api.ended(job_id)
    seen: list[str] = []
    query: dict[str, Any] = {"job_kinds": "noop", "per_page": 7}
    while page := (await api.get("jobs/list", **query)).json():
        seen += [entry["id"] for entry in page]
        query["before_id"] = page[-1]["id"]
    assert len(seen) == len(set(seen)) == 25
    assert set(seen) == ids


async def test_a_filter_by_content_survives_json_that_is_no_jsonb(api: Api) -> None:
    await api.run("def main(x):\n    return x", {"x": "\x00"}, "u/admin/nul")
    body = b'{"kind":"identity","path":"u/admin/nul","args":{"x":1e999999}}'
    await api.ended((await api.post_raw("jobs/run/preview", body, "application/json")).text)
    found = await api.run("def main(x):\n    return x", {"x": "1"}, "u/admin/nul")
    for query in ({"args": '{"x":"1"}'}, {"result": '"1"'}):
        answer = await api.get("jobs/completed/list", script_path_exact="u/admin/nul", **query)
        assert answer.status_code == 200, answer.text
        assert [entry["id"] for entry in answer.json()] == [found["id"]]


@pytest.mark.parametrize(
    "filters",
    [
        {"success": "true", "running": "true"},
        {"status": "good"},
        {"args": "{"},
        {"script_hash": "x"},
        {"created_before": "yesterday"},
        {"parent_job": "x"},
        {"per_page": "-1"},
        {"page": "x"},
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused(api: Api, filters: dict[str, str]) -> None:
    assert (await api.get("jobs/list", **filters)).status_code == 400


async def test_jobs_are_counted(idle: LiveInstance) -> None:
    api = idle.api
    await api.start(ONE)
    await api.start(ONE, scheduled_in_secs=3600)
    assert (await api.get("jobs/queue/count")).json() == {"database_length": 1, "suspended": 0}
    now_ms = (await api.http.get("/api/jobs/db_clock")).json()
    assert (await api.get(f"jobs/queue/position/{now_ms + 1}")).json() == {"position": 1}
    assert (await api.get("jobs/queue/position/0")).json() == {"position": 0}
    async with idle.worker():
        await api.run("def main(): raise ValueError")
    assert (await api.get("jobs/completed/count")).json() == {"database_length": 2, "suspended": 0}
    for query, count in (
        ({}, 2),
        ({"success": "true"}, 1),
        ({"completed_after_s_ago": 100}, 2),
        ({"completed_after_s_ago": 0}, 0),
    ):
        assert (await api.get("jobs/completed/count_jobs", **query)).json() == count, query


async def test_another_developer_sees_and_changes_nothing(live: LiveInstance, api: Api) -> None:
    henri, petra = await live.member("henri"), await live.member("petra")
    job_id = await queued(henri, path="u/henri/mine")
    for call in (
        "get",
        "completed/get",
        "completed/get_result",
        "completed/get_result_maybe",
        "completed/get_timing",
        "get_args",
        "get_logs",
        "get_root_job_id",
        "getupdate",
    ):
        assert (await petra.get(f"jobs_u/{call}/{job_id}")).status_code == 403, call
    assert (await petra.get(f"jobs/queue/scheduled_for/{job_id}")).status_code == 403
    assert (await petra.get(f"job_metrics/get_progress/{job_id}")).status_code == 403
    assert (await petra.get(f"jobs/worker_is_draining/{job_id}")).status_code == 403
    assert (await petra.post(f"job_metrics/set_progress/{job_id}", {"percent": 1})).status_code == 403
    assert (await petra.cancel(job_id)).status_code == 403
    assert (await petra.post("jobs/queue/cancel_selection", [job_id])).json() == []
    assert (await petra.post(f"jobs/completed/delete/{job_id}")).status_code == 403
    for kind in ("jobs/list", "jobs/queue/list"):
        assert (await petra.get(kind)).json() == []
        assert [entry["id"] for entry in (await henri.get(kind)).json()] == [job_id]
    assert (await api.get(f"jobs_u/get/{job_id}")).status_code == 200
    assert (await henri.cancel(job_id)).text == job_id


async def test_a_folder_shows_its_runs_and_lets_its_writers_cancel(live: LiveInstance, api: Api) -> None:
    reader, writer = await live.member("reader"), await live.member("writer")
    await live.folder("shown", u_reader=False, u_writer=True)
    job_id = await queued(api, path="f/shown/run")
    hidden = await queued(api, path="f/shown/run", invisible_to_owner="true")
    assert [entry["id"] for entry in (await reader.get("jobs/list")).json()] == [job_id]
    assert (await reader.get(f"jobs_u/get/{job_id}")).status_code == 200
    assert (await reader.get(f"jobs_u/get/{hidden}")).status_code == 403
    assert (await reader.cancel(job_id)).status_code == 403
    assert (await writer.cancel(hidden)).status_code == 403
    assert (await writer.cancel(job_id)).status_code == 200
    await api.cancel(hidden)


async def test_who_sees_a_job_sees_all_it_started(live: LiveInstance, api: Api) -> None:
    onlooker = await live.member("onlooker")
    await live.folder("tree", u_onlooker=False)
    root = await api.run(ONE, path="f/tree/root")
    middle = await api.run(ONE, parent_job=root["id"])
    leaf = await api.run(ONE, parent_job=middle["id"])
    assert (await onlooker.get(f"jobs_u/get/{leaf['id']}")).status_code == 200
    assert (await onlooker.get(f"jobs_u/get_root_job_id/{leaf['id']}")).json() == root["id"]
    await api.post("folders/update/tree", {"extra_perms": {}})

    async def is_denied() -> bool:
        return (await onlooker.get(f"jobs_u/get/{leaf['id']}")).status_code == 403

    await eventually(is_denied)


async def test_a_deleted_job_forgets_what_it_was_given_and_printed(live: LiveInstance, api: Api) -> None:
    job = await api.run("def main(x):\n    print(x)\n    return x", {"x": "private"})
    developer = await live.member("deleter")
    assert (await developer.post(f"jobs/completed/delete/{job['id']}")).status_code == 403
    answer = await api.post(f"jobs/completed/delete/{job['id']}")
    wiped = answer.json()
    assert (answer.status_code, wiped["deleted"], wiped["logs"]) == (200, True, "##DELETED##")
    assert "private" not in (await api.get(f"jobs_u/get/{job['id']}")).text
    assert await api.logs(job["id"]) == ""
    assert (await api.get(f"jobs_u/get_args/{job['id']}")).text == "{}"
    assert (await api.post(f"jobs/completed/delete/{uuid4()}")).status_code == 404


async def test_the_log_of_a_job_is_cut_to_its_tail_when_it_is_read_with_the_job(api: Api) -> None:
    job = await api.run("def main():\n    print('ä' * 30_000 + 'end')")
    assert job["logs"] == "ä" * (20_000 - 4) + "end\n"
    assert len(await api.logs(job["id"])) == 30_004


async def test_nobody_reads_jobs_without_a_token(live: LiveInstance, api: Api) -> None:
    job = await api.run(ONE)
    async with httpx.AsyncClient(base_url=live.url) as nobody:
        assert (await nobody.get(f"/api/w/main/jobs_u/get/{job['id']}")).status_code == 401
