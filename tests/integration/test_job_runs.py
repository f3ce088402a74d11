"""What a job sees, prints, returns and may do while it runs."""

import asyncio
import json
import os

import pytest

from millpond.base.sealing import new_workspace_key, seal
from tests.integration.live_instance import Api, LiveInstance, eventually

SECRET_VALUE = "correct horse\nbattery staple"


async def secret(api: Api, path: str, value: str = SECRET_VALUE) -> None:
    body = {"path": path, "value": value, "is_secret": True, "description": ""}
    answer = await api.post("variables/create", body)
    assert answer.status_code == 201, answer.text


async def test_a_job_gets_the_contextual_variables_and_nothing_of_the_worker(
    live: LiveInstance, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILLPOND_MASTER_KEY", "leak")
    monkeypatch.setenv("DATABASE_URL", "leak")
    monkeypatch.setenv("UNRELATED_OF_THE_WORKER", "leak")
    script_hash = await api.deploy(
        "u/admin/environment", "import os\ndef main():\n    return dict(os.environ)"
    )
    job_id = (await api.post("jobs/run/p/u/admin/environment", {})).text
    job = await api.ended(job_id)
    env: dict[str, str] = job["result"]
    expected = {
        "BASE_INTERNAL_URL": live.url,
        "WM_BASE_URL": live.url,
        "WM_WORKSPACE": "main",
        "WM_EMAIL": "admin@localhost",
        "WM_USERNAME": "admin",
        "WM_PERMISSIONED_AS": "u/admin",
        "WM_JOB_ID": job_id,
        "WM_JOB_PATH": "u/admin/environment",
        "WM_RUNNABLE_ID": script_hash,
        "WM_FLOW_JOB_ID": "",
        "WM_ROOT_FLOW_JOB_ID": "",
        "WM_ROOT_JOB_ID": job_id,
        "WM_FLOW_PATH": "",
        "WM_FLOW_STEP_ID": "",
        "WM_SCHEDULE_PATH": "",
        "WM_STATE_PATH": "u/admin/environment/admin",
        "WM_STATE_PATH_NEW": "u/admin/environment/admin",
        "WM_WORKER_GROUP": "default",
        "WM_END_USER_EMAIL": "",
    }
    assert {name: env[name] for name in expected} == expected
    assert env["WM_OBJECT_PATH"].startswith("u/admin/environment/manual/")
    assert env["WM_OBJECT_PATH"].endswith(f"_{job_id}")
    assert env["WM_SCHEDULED_FOR"].endswith("Z")
    assert env["WM_TOKEN"].startswith("mpj_")
    assert not [name for name in env if name.startswith("MILLPOND_") or name == "DATABASE_URL"]
    assert "leak" not in env.values()
    known = {
        *expected,
        "PATH",
        "HOME",
        "TMPDIR",
        "TZ",
        "LANG",
        "PYTHONUNBUFFERED",
        "WM_TOKEN",
        "WM_OBJECT_PATH",
        "WM_SCHEDULED_FOR",
    }
    assert env.keys() <= known | {"PWD", "LC_CTYPE"}
    assert os.environ["DATABASE_URL"] == "leak"


async def test_a_script_may_set_variables_but_none_of_the_engines(api: Api) -> None:
    code = "import os\ndef main():\n    return [os.environ['MINE'], os.environ['WM_WORKSPACE'], os.environ['PATH']]"
    await api.deploy("u/admin/own_environment", code, envs=["MINE=1=2", "PATH=/x"])
    answer = await api.post("jobs/run_wait_result/p/u/admin/own_environment", {})
    assert answer.json() == ["1=2", "main", "/usr/local/bin:/usr/bin:/bin"]


STATE_PATH = "import os\ndef main():\n    return os.environ['WM_STATE_PATH']"


@pytest.mark.parametrize(
    ("path", "slot"),
    [(None, "u/admin/preview/unnamed"), ("f/etl/load", "u/admin/preview/f/etl/load")],
)
async def test_a_preview_has_a_slot_of_its_own(api: Api, path: str | None, slot: str) -> None:
    assert (await api.run(STATE_PATH, path=path))["result"] == slot


async def test_a_long_state_path_ends_in_a_digest(api: Api) -> None:
    path = "u/admin/" + "x" * 245
    await api.deploy(path, STATE_PATH + "\n")
    state_path = (await api.post(f"jobs/run_wait_result/p/{path}", {})).json()
    assert len(state_path) == 255
    counting = "import wmill\ndef main():\n    n = (wmill.get_state() or 0) + 1\n    wmill.set_state(n)\n    return n"
    await api.deploy("u/admin/" + "y" * 245, counting)
    for n in (1, 2):
        assert (await api.post(f"jobs/run_wait_result/p/u/admin/{'y' * 245}", {})).json() == n


async def test_each_user_has_a_state_and_writes_it_in_a_folder_it_only_reads(
    live: LiveInstance, api: Api
) -> None:
    henri, petra = await live.member("henri"), await live.member("petra")
    await live.folder("counted", u_henri=False, u_petra=False)
    code = "import wmill\ndef main():\n    n = (wmill.get_state() or 0) + 1\n    wmill.set_state(n)\n    return n"
    await api.deploy("f/counted/count", code)
    for who, n in ((henri, 1), (henri, 2), (petra, 1), (henri, 3)):
        answer = await who.post("jobs/run_wait_result/p/f/counted/count", {})
        assert (answer.status_code, answer.json()) == (200, n)
    thief = "import wmill\ndef main():\n    wmill.set_state(1, path='f/counted/count/petra')"
    job = await henri.run(thief, path="f/counted/count")
    assert job["success"] is False


async def test_a_job_token_opens_its_own_workspace_until_the_job_ends(live: LiveInstance, api: Api) -> None:
    answer = await api.http.post("/api/workspaces/create", json={"id": "second", "name": "second"})
    assert answer.status_code in (200, 201), answer.text
    code = "import os, time\ndef main():\n    print(os.environ['WM_TOKEN'], flush=True)\n    time.sleep(60)"
    job_id = await api.start(code)
    await api.printed(job_id, "mpj_")
    token = (await api.logs(job_id)).strip()
    job_api = live.with_token(token)
    assert (await job_api.get("users/whoami")).json()["username"] == "admin"
    elsewhere = await job_api.http.get("/api/w/second/users/whoami")
    assert elsewhere.status_code == 403
    assert (
        await job_api.http.post("/api/workspaces/create", json={"id": "third", "name": "x"})
    ).status_code == 403
    await api.cancel(job_id)
    await api.ended(job_id)

    async def is_closed() -> bool:
        return (await job_api.get("users/whoami")).status_code == 401

    await eventually(is_closed)


async def test_a_job_has_the_rights_of_its_user(live: LiveInstance, api: Api) -> None:
    user = await live.member("limited")
    await secret(api, "u/admin/hidden")
    for expression in ("wmill.get_variable('u/admin/hidden')", "wmill.get_resource('u/admin/none')"):
        job = await user.run(f"import wmill\ndef main():\n    return {expression}")
        assert job["success"] is False
    job = await user.run("def main(x): return x", {"x": "$var:u/admin/hidden"})
    assert job["success"] is False
    assert "`x`" in job["result"]["error"]["message"]
    assert "horse" not in json.dumps(job)


async def test_a_job_sees_and_ends_what_it_started(live: LiveInstance, api: Api) -> None:
    user, author = await live.member("starter"), await live.member("author")
    await live.folder("started", u_starter=False, u_author=True)
    # It runs as its author: who started it is another, yet the job itself and its child are its own.
    await author.deploy(
        "f/started/parent",
        """
        import os, wmill
        def main():
            client = wmill.Windmill()
            child = client.post(f"/w/main/jobs/run/preview?parent_job={os.environ['WM_JOB_ID']}&scheduled_in_secs=3600",
                                json={"content": "def main(): pass", "language": "python3", "lock": ""}).text
            own = client.get(f"/w/main/jobs_u/get/{os.environ['WM_JOB_ID']}").json()
            seen = client.get(f"/w/main/jobs_u/get/{child}").json()
            return [own["id"], seen["parent_job"], client.post(f"/w/main/jobs_u/queue/cancel/{child}", json={}).text, child]
        """,
        on_behalf_of_email="author@example.com",
    )
    answer = await user.post("jobs/run_wait_result/p/f/started/parent", {})
    assert answer.status_code == 200, answer.text
    own, parent, cancelled, child = answer.json()
    assert (own, cancelled) == (parent, child)


async def test_references_are_resolved_and_secrets_masked_in_logs(api: Api) -> None:
    await secret(api, "u/admin/password")
    resource = {"path": "u/admin/db", "resource_type": "any", "value": {"deep": ["$var:u/admin/password"]}}
    assert (await api.post("resources/create", resource)).status_code == 201
    code = """
    import sys, time
    def main(direct, nested):
        assert direct == nested["deep"][0] == "correct horse\\nbattery staple"
        print("whole", direct)
        print("line battery staple")
        for character in "correct horse":
            sys.stdout.write(character)
            sys.stdout.flush()
            time.sleep(.02)
        print()
        return direct
    """
    job = await api.run(code, {"direct": "$var:u/admin/password", "nested": "$res:u/admin/db"})
    assert job["success"] is True, job
    assert job["logs"] == "whole ********\nline ********\n********\n"
    assert job["result"] == SECRET_VALUE
    assert job["args"] == {"direct": "$var:u/admin/password", "nested": "$res:u/admin/db"}


async def test_what_a_job_reads_while_it_runs_is_masked_too(api: Api) -> None:
    await secret(api, "u/admin/late", "late-bloomer")
    code = """
    import wmill
    def main():
        value = wmill.get_variable("u/admin/late")
        print("read", value)
        raise ValueError("with " + value)
    """
    job = await api.run(code)
    assert job["logs"] == "read ********\n"
    assert job["result"]["error"]["message"] == "with ********"
    assert "late-bloomer" not in json.dumps(job)


async def test_a_secret_that_does_not_open_ends_the_job_at_once_and_is_named(api: Api) -> None:
    body = {
        "path": "u/admin/foreign",
        "value": seal(new_workspace_key(), "x"),
        "is_secret": True,
        "description": "",
    }
    assert (await api.post("variables/create", body, already_encrypted="true")).status_code == 201
    async with asyncio.timeout(10):  # a database that is away would be waited for, half a minute
        job = await api.run("def main(x): return x", {"x": "$var:u/admin/foreign"})
    error = job["result"]["error"]
    assert (job["success"], error["name"]) == (False, "SecretUnreadable")
    assert error["message"].startswith("Variable u/admin/foreign cannot be decrypted")


async def test_a_secret_that_is_a_word_of_json_does_not_break_the_error(api: Api) -> None:
    for number, value in enumerate(("error", "message", "123", "null")):
        await secret(api, f"u/admin/word_{number}", value)
    args = {f"x{number}": f"$var:u/admin/word_{number}" for number in range(4)}
    code = "def main(**x):\n    e = ValueError('error message 123')\n    e.number, e.nothing = 123, None\n    raise e"
    job = await api.run(code, args)
    error = job["result"]["error"]
    assert (error["name"], error["message"]) == ("ValueError", "******** ******** ********")
    assert error["extra"]["nothing"] is None


async def test_a_child_masks_what_its_parent_has_read(api: Api) -> None:
    await secret(api, "u/admin/family", "family-secret")
    code = """
    import os, wmill
    def main():
        value = wmill.get_variable("u/admin/family")
        body = {"content": "def main(x):\\n    print('child', x)", "language": "python3", "lock": "", "args": {"x": value}}
        client = wmill.Windmill()
        return client.post(f"/w/main/jobs/run/preview?parent_job={os.environ['WM_JOB_ID']}", json=body).text
    """
    child = (await api.run(code))["result"]
    assert (await api.ended(child))["logs"] == "child ********\n"


async def test_output_of_any_bytes_becomes_text(api: Api) -> None:
    code = "import sys\ndef main():\n    sys.stdout.buffer.write(b'a\\x00b\\xffc\\xc3')"
    job = await api.run(code)
    assert (job["success"], job["logs"]) == (True, "a�b�c�")


async def test_one_huge_line_is_kept_whole(api: Api) -> None:
    job = await api.run("def main():\n    print('x' * 3_000_000)")
    assert await api.logs(job["id"]) == "x" * 3_000_000 + "\n"


async def test_a_log_ends_with_a_mark_at_its_cap(idle: LiveInstance) -> None:
    async with idle.worker(job_log_bytes=1000):
        job = await idle.api.run(
            "def main():\n    for n in range(1000):\n        print('0123456789')\n    return 1"
        )
    logs = await idle.api.logs(job["id"])
    assert job["result"] == 1
    assert (
        logs
        == ("0123456789\n" * 100)[:1000]
        + "\n[millpond: the log reached 1000 bytes; what follows is not kept]\n"
    )


@pytest.mark.parametrize(
    ("body", "name", "says"),
    [
        ("return object()", "TypeError", "not JSON serializable"),
        ("import os\n    os._exit(3)", "ExecutionErr", "exit code 3"),
        ("import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)", "ExecutionErr", "SIGKILL"),
        ("raise SystemExit(2)", "SystemExit", "2"),
        ("raise ValueError('\\x00')", "ValueError", "\x00"),
    ],
)
async def test_a_job_that_goes_wrong_says_how(api: Api, body: str, name: str, says: str) -> None:
    job = await api.run(f"def main():\n    {body}")
    assert job["success"] is False
    assert job["result"]["error"]["name"] == name
    assert says in job["result"]["error"]["message"]


async def test_a_result_the_database_refuses_ends_the_job_by_name(live: LiveInstance, api: Api) -> None:
    # PostgreSQL parses what is stored as JSON, and refuses to nest beyond its stack.
    nested = "def main():\n    x = []\n    for _ in range(%d):\n        x = [x]\n    return x"
    assert (await api.run(nested % 400))["success"] is True
    too_deep = await api.run(nested % 100_000)
    assert too_deep["success"] is False
    assert (await api.run("def main(): return 1"))["success"] is True


async def test_a_missing_main_is_an_error(api: Api) -> None:
    job = await api.run("x = 1")
    assert job["result"]["error"] == {
        "name": "ValueError",
        "message": "main function is missing",
        "stack": "",
    }


async def test_a_script_runs_while_its_lock_is_being_made(idle: LiveInstance) -> None:
    script_hash = await idle.api.deploy(
        "u/admin/at_once", "import json\ndef main():\n    return json.dumps([1])"
    )
    job_id = (await idle.api.post("jobs/run/p/u/admin/at_once", {})).text
    async with idle.worker():
        assert (await idle.api.ended(job_id))["result"] == "[1]"

        async def is_locked() -> bool:
            status = (await idle.api.get(f"scripts/deployment_status/h/{script_hash}")).json()
            return status["lock"] is not None

        await eventually(is_locked)


@pytest.mark.needs_registry
async def test_a_dependency_job_records_the_lock(api: Api) -> None:
    script_hash = await api.deploy("u/admin/locked", "import idna\ndef main():\n    return idna.__name__")

    async def is_locked() -> bool:
        status = (await api.get(f"scripts/deployment_status/h/{script_hash}")).json()
        assert status["lock_error_logs"] is None, status
        return "idna==" in (status["lock"] or "")

    await eventually(is_locked, within_secs=60)
    assert (await api.post("jobs/run_wait_result/p/u/admin/locked", {})).json() == "idna"


@pytest.mark.needs_registry
async def test_a_failing_resolution_leaves_its_words_at_the_script(api: Api) -> None:
    script_hash = await api.deploy(
        "u/admin/unlockable", "#requirements:\n#no-such-package-of-millpond==1\n\ndef main():\n    return 1"
    )

    async def has_failed() -> bool:
        status = (await api.get(f"scripts/deployment_status/h/{script_hash}")).json()
        return status["lock_error_logs"] is not None

    await eventually(has_failed, within_secs=60)
    status = (await api.get(f"scripts/deployment_status/h/{script_hash}")).json()
    assert "no-such-package-of-millpond" in status["lock_error_logs"]
    assert (await api.post("jobs/run/p/u/admin/unlockable", {})).status_code == 400
