"""Starting jobs over HTTP: what may be run, every form of arguments, options, and what synchronous runs answer."""

import base64
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from tests.integration.live_instance import Api, LiveInstance

ECHO = """
def main(**given):
    return given
"""


@pytest.fixture(scope="module")
async def echo(api: Api) -> str:
    """The path of a script that returns its arguments."""
    await api.deploy("u/admin/echo", ECHO)
    return "u/admin/echo"


async def test_a_deployed_script_runs_by_path_and_by_hash(api: Api) -> None:
    script_hash = await api.deploy("u/admin/add", "def main(a: int, b: int = 2):\n    return a + b")
    for target in ("p/u/admin/add", f"h/{script_hash}"):
        answer = await api.post(f"jobs/run/{target}", {"a": 1})
        assert (answer.status_code, answer.headers["content-type"]) == (201, "text/plain; charset=utf-8")
        job = await api.ended(answer.text)
        assert (job["type"], job["success"], job["result"], job["script_hash"]) == (
            "CompletedJob",
            True,
            3,
            script_hash,
        )
        for call in (
            api.post(f"jobs/run_wait_result/{target}", {"a": 5}),
            api.get(f"jobs/run_wait_result/{target}", payload=_payload({"a": 5})),
        ):
            waited = await call
            assert (waited.status_code, waited.text) == (200, "7")


async def test_unknown_scripts_and_hashes_are_refused_by_name(api: Api) -> None:
    answer = await api.post("jobs/run/p/u/admin/none", {})
    assert answer.status_code == 404
    assert "u/admin/none" in answer.text
    assert (await api.post("jobs/run/h/zz", {})).status_code == 400
    assert (await api.post("jobs/run/h/0123456789abcdef", {})).status_code == 404


async def test_a_preview_runs_code_that_is_not_deployed(api: Api) -> None:
    body = {"content": "def main(x):\n    return x * 2", "language": "python3", "args": {"x": 21}, "lock": ""}
    answer = await api.post("jobs/run_wait_result/preview", body)
    assert (answer.status_code, answer.text) == (200, "42")
    refused = await api.post("jobs/run/preview", {"content": "x", "language": "cobol"})
    assert refused.status_code == 400
    assert "cobol" in refused.text
    refused = await api.post("jobs/run/preview", {**body, "args": [1]})
    assert (refused.status_code, refused.text) == (
        400,
        "Bad request: The preview's args must be a JSON object",
    )


async def test_an_operator_runs_what_is_deployed_and_nothing_else(live: LiveInstance, echo: str) -> None:
    operator = await live.member("olga", "operator")
    answer = await operator.preview("def main(): return 1")
    assert answer.status_code == 403
    await live.folder("operated", u_olga=False)
    await live.api.deploy("f/operated/one", "def main(): return 1")
    waited = await operator.post("jobs/run_wait_result/p/f/operated/one", {})
    assert (waited.status_code, waited.text) == (200, "1")


@pytest.mark.parametrize(
    ("content_type", "body", "query", "given"),
    [
        ("application/json", b'{"b":"first","a":1.0}', {}, {"b": "first", "a": 1.0}),
        (None, b'{"a":1}', {}, {"a": 1}),
        (None, b"", {}, {}),
        ("application/json", b"", {}, {}),
        ("application/json", b"null", {}, {}),
        ("application/json", b"[1,2]", {}, {"body": [1, 2]}),
        ("application/json; charset=utf-8", b'"text"', {}, {"body": "text"}),
        ("application/problem+json", b'{"a":1}', {}, {"a": 1}),
        ("application/json", b'{"a":1}', {"wrap_body": "true"}, {"body": {"a": 1}}),
        ("application/json", b'{"a": 1}', {"raw": "true"}, {"a": 1, "raw_string": '{"a": 1}'}),
        ("text/plain", "grüße".encode(), {}, {"raw_string": "grüße"}),
        ("text/xml", b"<a/>", {}, {"raw_string": "<a/>"}),
        ("application/xml", b"<a/>", {}, {"raw_string": "<a/>"}),
        ("application/x-www-form-urlencoded", b"a=1&b=x+y&c=", {}, {"a": "1", "b": "x y", "c": ""}),
        (
            "application/cloudevents+json",
            b'{"specversion":"1.0","type":"t","data":{"a":1}}',
            {},
            {"a": 1, "WEBHOOK__METADATA__": {"specversion": "1.0", "type": "t"}},
        ),
        (
            "application/cloudevents+json",
            b'{"type":"t","data":7}',
            {},
            {"body": 7, "WEBHOOK__METADATA__": {"type": "t"}},
        ),
        (
            'multipart/form-data; boundary="x"',
            b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\none\r\ntwo\r\n--x--\r\n',
            {},
            {"a": "one\r\ntwo"},
        ),
        ("application/json", b'{"a":1}', {"include_query": "q,none", "q": "7"}, {"a": 1, "q": "7"}),
        ("application/json", b'{"a":1}', {"include_query": "a", "a": "7"}, {"a": 1}),
        (
            "application/json",
            b"{}",
            {"include_header": "X-Custom-Name, Absent"},
            {"x_custom_name": "seen"},
        ),
    ],
)
async def test_a_body_becomes_arguments(
    api: Api, echo: str, content_type: str | None, body: bytes, query: dict[str, str], given: object
) -> None:
    headers = {"x-custom-name": "seen"} | ({} if content_type is None else {"content-type": content_type})
    answer = await api.http.post(
        f"/api/w/main/jobs/run_wait_result/p/{echo}", content=body, headers=headers, params=query
    )
    assert (answer.status_code, answer.json()) == (200, given)


@pytest.mark.parametrize(
    ("content_type", "body", "status", "says"),
    [
        ("application/json", b'{"a":', 400, "invalid json"),
        ("application/json", b'1,"b":2', 400, "invalid json"),
        ("application/json", b'"\xff"', 400, "UTF-8"),
        ("application/octet-stream", b"x", 415, "application/octet-stream"),
        ("application/cloudevents-batch+json", b"[]", 400, "batch"),
        ("multipart/form-data", b"x", 400, "boundary"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\ncontent-disposition: form-data; name="a"; filename="f"\r\n\r\n\xff\r\n--x--\r\n',
            400,
            "object store",
        ),
        ("text/plain", b"\xff", 400, "UTF-8"),
    ],
)
async def test_a_body_that_is_no_arguments_is_refused(
    api: Api, echo: str, content_type: str, body: bytes, status: int, says: str
) -> None:
    answer = await api.post_raw(f"jobs/run/p/{echo}", body, content_type)
    assert answer.status_code == status
    assert says in answer.text


@pytest.mark.parametrize("payload", ["!!!", "e30", "WzFd", "eyJhIjo", "ü"])
async def test_a_payload_is_base64_of_a_json_object(api: Api, echo: str, payload: str) -> None:
    answer = await api.get(f"jobs/run_wait_result/p/{echo}", payload=payload)
    assert answer.status_code == (200 if payload == "e30" else 400)


async def test_json_is_carried_byte_for_byte(api: Api) -> None:
    text = '{"x":[{"b":"first","a":"second"},1.0,12345678901234567890123,1e400,"\\u00e9\\u0000"]}'
    body = f'{{"kind":"identity","args":{text}}}'
    answer = await api.post_raw("jobs/run/preview", body.encode(), "application/json")
    job_id = answer.text
    await api.ended(job_id)
    assert (await api.get(f"jobs_u/completed/get_result/{job_id}")).text == text
    assert (await api.get(f"jobs_u/get_args/{job_id}")).text == text
    assert text in (await api.get(f"jobs_u/get/{job_id}")).text
    assert text in (await api.get(f"jobs_u/completed/get_result_maybe/{job_id}")).text
    assert f'"result":{text}' in (await api.get("jobs/list", include_args="true")).text
    job = await api.run('def main():\n    return [{"b": "first", "a": "second"}, 1.0, 10**30]')
    result = (await api.get(f"jobs_u/completed/get_result/{job['id']}")).text
    assert result == '[{"b":"first","a":"second"},1.0,1' + "0" * 30 + "]"


async def test_a_preprocessor_turns_the_event_into_arguments_unless_it_is_skipped(api: Api) -> None:
    code = """
    def preprocessor(event):
        return {"kind": event["kind"], "body": event["body"], "header": event["headers"]["x-custom"],
                "query": event["query"], "raw": event["raw_string"],
                "secretive": "authorization" not in event["headers"]}

    def main(**given):
        return given
    """
    await api.deploy("u/admin/prepared", code, has_preprocessor=True)
    answer = await api.http.post(
        "/api/w/main/jobs/run_wait_result/p/u/admin/prepared",
        content=b'{"a": 1}',
        headers={"x-custom": "h", "content-type": "application/json"},
        params={"q": "1"},
    )
    assert answer.json() == {
        "kind": "webhook",
        "body": {"a": 1},
        "header": "h",
        "query": {"q": "1"},
        "raw": '{"a": 1}',
        "secretive": True,
    }
    skipped = await api.post("jobs/run_wait_result/p/u/admin/prepared", {"a": 1}, skip_preprocessor="true")
    assert skipped.json() == {"a": 1}


async def test_a_preprocessor_and_what_it_prepares_share_one_timeout(api: Api) -> None:
    code = "import time\ndef preprocessor(event):\n    time.sleep(1.5)\n    return {}\n\ndef main():\n    time.sleep(1.5)"
    await api.deploy("u/admin/slowly_prepared", code, has_preprocessor=True, timeout=2)
    answer = await api.post("jobs/run_wait_result/p/u/admin/slowly_prepared", {})
    assert answer.status_code == 422
    assert "timed out after 2 s" in answer.json()["error"]["message"]


async def test_a_failing_preprocessor_fails_the_job(api: Api) -> None:
    code = "def preprocessor(event):\n    raise ValueError('no')\n\ndef main():\n    return 1"
    await api.deploy("u/admin/unprepared", code, has_preprocessor=True)
    answer = await api.post("jobs/run_wait_result/p/u/admin/unprepared", {})
    assert (answer.status_code, answer.json()["error"]["message"]) == (422, "no")


@pytest.mark.parametrize(
    ("returned", "status", "content_type", "body"),
    [
        ("{'a': 1}", 200, "application/json", '{"a":1}'),
        ("None", 200, "application/json", "null"),
        ("{'windmill_status_code': 201, 'result': [1]}", 201, "application/json", "[1]"),
        ("{'windmill_status_code': 404}", 404, "application/json", ""),
        ("{'windmill_content_type': 'text/csv', 'result': 'a,b'}", 200, "text/csv", "a,b"),
        ("{'windmill_content_type': 'text/csv', 'result': [1]}", 200, "text/csv", "[1]"),
        ("{'windmill_headers': {'x-made': 'by me'}}", 204, None, ""),
        ("{'windmill_status_code': 204, 'result': 'dropped'}", 204, None, ""),
        ("{'windmill_status_code': 0, 'result': 1}", 400, "text/plain", None),
        ("{'windmill_status_code': 100, 'result': 1}", 400, "text/plain", None),
        ("{'windmill_status_code': 'x', 'result': 1}", 400, "text/plain", None),
        ("{'windmill_headers': {'a b': 'x'}, 'result': 1}", 400, "text/plain", None),
        ("{'windmill_headers': {'content-length': '7'}, 'result': 1}", 400, "text/plain", None),
        ("{'windmill_headers': {'a': 'x\\r\\nb: c'}, 'result': 1}", 400, "text/plain", None),
        ("{'windmill_content_type': 'a\\nb', 'result': 1}", 400, "text/plain", None),
        ("{'deep': {'windmill_status_code': 500}}", 200, "application/json", None),
    ],
)
async def test_a_result_shapes_its_answer(
    api: Api, returned: str, status: int, content_type: str | None, body: str | None
) -> None:
    code = {"content": f"def main():\n    return {returned}", "language": "python3", "lock": ""}
    answer = await api.post("jobs/run_wait_result/preview", code)
    assert answer.status_code == status, answer.text
    if content_type is not None:
        assert answer.headers["content-type"].startswith(content_type)
    if body is not None:
        assert answer.text == body
    if "x-made" in returned:
        assert answer.headers["x-made"] == "by me"
    if "csv" in returned:
        assert "sandbox" in answer.headers["content-security-policy"]


async def test_a_failure_answers_422_with_the_error(api: Api) -> None:
    code = {"content": "def main():\n    raise KeyError('k')", "language": "python3", "lock": ""}
    answer = await api.post("jobs/run_wait_result/preview", code)
    assert answer.status_code == 422
    assert answer.json()["error"]["name"] == "KeyError"


async def test_a_run_is_scheduled_for_an_instant_or_after_seconds(api: Api) -> None:
    instant = datetime.now(UTC) + timedelta(hours=1)
    for query in (
        {"scheduled_for": instant.isoformat()},
        {"scheduled_for": instant.replace(tzinfo=None).isoformat()},
        {"scheduled_in_secs": "3600"},
    ):
        job_id = await api.start(ECHO, **query)
        job = await api.job(job_id)
        due = datetime.fromisoformat(job["scheduled_for"])
        assert abs(due - instant) < timedelta(minutes=1)
        assert (job["type"], job["running"]) == ("QueuedJob", False)
        milliseconds = (await api.get(f"jobs/queue/scheduled_for/{job_id}")).json()
        assert milliseconds == int(due.timestamp() * 1000)
        await api.cancel(job_id)
    for bad in (
        {"scheduled_for": "tomorrow"},
        {"scheduled_in_secs": "1" + "0" * 15},
        {"scheduled_in_secs": "x"},
    ):
        assert (await api.preview(ECHO, **bad)).status_code == 400


async def test_a_scheduled_run_starts_when_it_is_due(api: Api) -> None:
    before_ms = (await api.http.get("/api/jobs/db_clock")).json()
    job_id = await api.start("def main(): return 1", scheduled_in_secs=1)
    due_ms = (await api.get(f"jobs/queue/scheduled_for/{job_id}")).json()
    assert due_ms >= before_ms + 1000
    started = datetime.fromisoformat((await api.ended(job_id))["started_at"])
    assert started.timestamp() * 1000 >= due_ms


async def test_a_job_id_is_chosen_once(api: Api) -> None:
    chosen = str(uuid4())
    assert await api.start("def main(): return 1", job_id=chosen) == chosen
    again = await api.preview("def main(): return 2", job_id=chosen)
    assert (again.status_code, again.text) == (400, f"Bad request: A job with id {chosen} exists already")
    assert (await api.ended(chosen))["result"] == 1
    assert (await api.preview(ECHO, job_id="x")).status_code == 400
    far_off = await api.preview(ECHO, job_id="ffffffff-0000-7000-8000-000000000000")
    assert (far_off.status_code, "lies in the future" in far_off.text) == (400, True)


async def test_a_tag_is_chosen_and_may_name_arguments(api: Api, echo: str) -> None:
    job_id = (
        await api.post(f"jobs/run/p/{echo}", {"a": "x", "n": 3}, tag="$workspace-$args[a]-$args[n]")
    ).text
    assert (await api.ended(job_id))["tag"] == "main-x-3"
    assert (await api.run(ECHO))["tag"] == "python3"
    assert (await api.preview(ECHO, tag="t" * 256)).status_code == 400


async def test_a_run_ends_at_its_timeout(api: Api) -> None:
    answer = await api.preview("import time\ndef main():\n    time.sleep(60)", timeout=1)
    job = await api.ended(answer.text)
    assert job["success"] is False
    assert "timed out after 1 s" in job["result"]["error"]["message"]
    for bad in (0, -1, 2**31, "x"):
        assert (await api.preview(ECHO, timeout=bad)).status_code == 400


async def test_a_parent_must_exist_and_be_visible(live: LiveInstance, api: Api) -> None:
    for name in ("parent_job", "root_job"):
        answer = await api.preview(ECHO, **{name: str(uuid4())})
        assert answer.status_code == 404
    parent = await api.run(ECHO)
    child = await api.run(ECHO, parent_job=parent["id"])
    assert (child["parent_job"], (await api.get(f"jobs_u/get_root_job_id/{child['id']}")).json()) == (
        parent["id"],
        parent["id"],
    )
    stranger = await live.member("petra")
    assert (await stranger.preview(ECHO, parent_job=parent["id"])).status_code == 403


async def test_a_child_of_a_deployed_script_gets_priority(api: Api, echo: str) -> None:
    parent = await api.run(ECHO)
    child = await api.post(f"jobs/run/p/{echo}", {}, parent_job=parent["id"])
    assert (await api.ended(child.text))["priority"] == 2


async def test_a_full_queue_refuses_runs_with_a_limit(idle: LiveInstance) -> None:
    await idle.api.start(ECHO)
    assert (await idle.api.preview(ECHO, queue_limit=1)).status_code == 201
    answer = await idle.api.preview(ECHO, queue_limit=1)
    assert (answer.status_code, answer.text) == (400, "Bad request: Number of queued job is too high: 2 > 1")


@pytest.mark.parametrize("name", ["retry", "suspended_mode", "memory_id"])
async def test_an_unsupported_option_is_refused_by_name(api: Api, name: str) -> None:
    answer = await api.preview(ECHO, **{name: "1"})
    assert answer.status_code == 400
    assert name in answer.text


async def test_a_wait_ends_before_the_job_when_the_server_says_so(idle: LiveInstance) -> None:
    answer = await idle.api.post(
        "jobs/run/preview", {"content": "def main(): pass", "language": "python3", "lock": ""}
    )
    assert answer.status_code == 201
    # Nobody runs it: the wait is over after the instance's limit.
    object.__setattr__(idle.settings, "wait_result_secs", 1)
    waited = await idle.api.post(
        "jobs/run_wait_result/preview", {"content": "def main(): pass", "language": "python3", "lock": ""}
    )
    assert (waited.status_code, waited.text) == (504, "timeout after 1s")


async def test_many_noops_and_scripts_start_in_one_call(api: Api, echo: str) -> None:
    ids = (await api.post("jobs/add_batch_jobs/300", {"kind": "noop"})).json()
    assert len(set(ids)) == 300
    assert (await api.ended(ids[-1]))["success"] is True
    for job_id in ids:
        await api.ended(job_id)
    ids = (await api.post("jobs/add_batch_jobs/3", {"kind": "script", "path": echo, "args": {"a": 1}})).json()
    assert [(await api.ended(job_id))["result"] for job_id in ids] == [{"a": 1}] * 3
    for count, batch in ((0, {"kind": "noop"}), (1, {"kind": "x"}), (1, {"kind": "noop", "args": []})):
        assert (await api.post(f"jobs/add_batch_jobs/{count}", batch)).status_code == 400


async def test_a_page_of_another_site_cannot_start_runs_with_a_session(live: LiveInstance, echo: str) -> None:
    await live.member("sessile", "admin")
    credentials = {"email": "sessile@example.com", "password": "a long password"}
    token = (await live.api.http.post("/api/auth/login", json=credentials)).text
    path = f"/api/w/main/jobs/run_wait_result/p/{echo}"
    headers = {"cookie": f"token={token}", "sec-fetch-site": "cross-site", "authorization": ""}
    assert (await live.api.http.get(path, headers=headers)).status_code == 401


def _payload(args: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(args).encode()).decode().rstrip("=")


async def test_a_token_for_one_script_runs_it_and_has_its_result(live: LiveInstance, api: Api) -> None:
    await api.deploy("u/admin/scoped_run", "def main():\n    return 7\n")
    await api.deploy("u/admin/other_run", "def main():\n    return 8\n")
    body = {"label": "webhook", "scopes": ["jobs:run:scripts:u/admin/scoped_run"]}
    made = await live.api.http.post("/api/users/tokens/create", json=body)
    assert made.status_code == 201, made.text
    scoped = live.with_token(made.text)
    answer = await scoped.post("jobs/run_wait_result/p/u/admin/scoped_run", {})
    assert (answer.status_code, answer.json()) == (200, 7)
    assert (await scoped.post("jobs/run_wait_result/p/u/admin/other_run", {})).status_code == 403


async def test_credentials_never_become_arguments(live: LiveInstance, echo: str) -> None:
    url = f"/api/w/main/jobs/run_wait_result/p/{echo}?include_header=authorization,cookie,x-kept&include_query=token,q&q=1"
    answer = await live.api.http.post(url, json={}, headers={"x-kept": "yes", "cookie": "other=1"})
    assert answer.json() == {"x_kept": "yes", "q": "1"}


async def test_a_link_cannot_start_runs_with_a_session(live: LiveInstance, echo: str) -> None:
    made = await live.api.http.post("/api/users/tokens/create", json={"label": "session"})
    foreign = {"cookie": f"token={made.text}", "sec-fetch-site": "cross-site"}
    url = f"{live.url}/api/w/main/jobs/run_wait_result/p/{echo}"
    async with httpx.AsyncClient() as browser:
        for link in (url, f"{url}?token=z"):
            assert (await browser.get(link, headers=foreign)).status_code == 401
            assert (
                await browser.get(link, headers=foreign | {"authorization": "Basic x"})
            ).status_code == 401
        assert (await browser.get(f"{url}?token={made.text}")).status_code == 200


async def test_a_token_for_one_script_runs_no_code_under_its_name(live: LiveInstance, echo: str) -> None:
    body = {"label": "narrow", "scopes": [f"jobs:run:scripts:{echo}"]}
    scoped = live.with_token((await live.api.http.post("/api/users/tokens/create", json=body)).text)
    code = {"content": "def main(): return 1", "language": "python3", "path": echo}
    assert (await scoped.post("jobs/run/preview", code)).status_code == 403
    assert (await scoped.post("jobs/run_wait_result/preview", code)).status_code == 403
