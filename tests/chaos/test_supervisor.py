"""`millpond serve` from its start to its end: drained, interrupted, killed, refused."""

import os
import secrets
import signal
import socket
import sys
from pathlib import Path
from uuid import UUID

import pytest

from tests.chaos.conftest import Call, Serve
from tests.chaos.eventually import eventually
from tests.chaos.served_instance import ServedInstance
from tests.chaos.tolerant_client import ECHO_ID

ONE_SECOND = "import time\n\ndef main():\n    time.sleep(1)\n    return 'done'\n"
LONG = "import time\n\ndef main():\n    time.sleep(300)\n"
ASKS_AT_ITS_END = """
import os, time, urllib.request

def main():
    time.sleep(1)
    return urllib.request.urlopen(os.environ["BASE_INTERNAL_URL"] + "/api/version", timeout=20).status
"""
DIE_SECS = 15.0


async def _statuses(served: ServedInstance) -> dict[UUID, str]:
    rows = await served.ask("SELECT job_id, status FROM job_completed")
    return {row["job_id"]: row["status"] for row in rows}


async def test_sigterm_lets_a_running_job_end_and_leaves_nothing_behind(serve: Serve, call: Call) -> None:
    served = serve()
    await served.start()
    client = call(served)
    job_id = await client.launch("code", ONE_SECOND)
    await client.runs(job_id)
    known = served.processes()
    assert len(known) > 4

    assert await served.stop() == 0
    assert served.left_behind(known) == []

    await served.start()
    ended = await call(served).ended(job_id)
    assert (ended["success"], ended["result"]) == (True, "done")
    assert await served.stop() == 0


async def test_an_interrupt_at_the_terminal_keeps_the_server_up_until_the_jobs_have_ended(
    serve: Serve, call: Call
) -> None:
    served = serve()
    await served.start()
    client = call(served)
    job_id = await client.launch("code", ASKS_AT_ITS_END)
    await client.runs(job_id)
    known = served.processes()

    # What Ctrl-C does: the signal reaches the whole foreground process group.
    os.killpg(served.pid, signal.SIGINT)
    assert await served.ended() == 0
    assert served.left_behind(known) == []

    await served.start()
    ended = await call(served).ended(job_id)
    assert (ended["success"], ended["result"]) == (True, 200)


async def test_a_killed_supervisor_takes_everything_with_it_and_the_next_start_completes_all_jobs(
    serve: Serve, call: Call
) -> None:
    served = serve("--drain-secs", "300")
    await served.start()
    client = call(served)
    long = await client.launch("code", LONG)
    await client.runs(long)
    for _ in range(30):
        await client.launch("noop")
        await client.launch("code", ECHO_ID)
    known = served.processes()
    assert any("zygote_main.py" in process.command for process in known)

    served.signal(signal.SIGKILL)
    await served.ended()
    await served.nothing_left(known, DIE_SECS)

    await served.start()
    again = call(served)
    await again.runs(long)
    await again.cancel(long)

    async def completed() -> bool:
        return (await _statuses(served)).keys() >= client.acknowledged.keys()

    await eventually(completed, 30, "every acknowledged job is completed")
    statuses = await _statuses(served)
    assert statuses.pop(long) == "canceled"
    assert set(statuses.values()) == {"success"}


async def test_a_supervisor_killed_while_it_starts_leaves_nothing_behind(serve: Serve) -> None:
    served = serve()
    await served.launch()
    await served.living("server")
    known = served.processes()
    served.signal(signal.SIGKILL)
    await served.ended()
    await served.nothing_left(known, DIE_SECS)
    await served.start()
    assert await served.stop() == 0


async def test_a_second_instance_on_the_same_folder_is_refused_by_name(serve: Serve, call: Call) -> None:
    first = serve()
    await first.start()
    second = serve()
    await second.launch()
    assert await second.ended() == 1
    assert f"in use by a running instance (process {first.pid})" in second.log()
    client = call(first)
    assert (await client.ended(await client.launch("code")))["success"] is True


async def test_a_taken_port_is_refused_by_its_number(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        served = serve()
        await served.launch("--port", str(port))
        assert await served.ended() == 1
    assert f"Cannot listen on 127.0.0.1 port {port}" in served.log()
    assert "Traceback" not in served.log()


@pytest.mark.parametrize("given", ["wrong", "missing"])
async def test_without_its_master_key_an_instance_refuses_to_start_and_says_why(
    serve: Serve, given: str
) -> None:
    served = serve()
    await served.start()
    assert await served.stop() == 0
    key_file = served.data_dir / "master.key"
    key = key_file.read_text()
    environment = {"MILLPOND_MASTER_KEY": secrets.token_hex(32)} if given == "wrong" else {}
    if given == "missing":
        key_file.unlink()

    await served.launch(environment=environment)
    assert await served.ended() == 1
    reason = "not the one this database was sealed with" if given == "wrong" else "The master key is missing"
    assert reason in served.log()
    await served.nothing_left([], DIE_SECS)

    key_file.write_text(key)
    key_file.chmod(0o600)
    await served.start()


WITHOUT_LANDLOCK = """
# A kernel of an older day, for this process and all below it: the system calls of Landlock are unknown (ENOSYS).
import ctypes, struct
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in (
    (0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7FFF0000),
)))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(code)))
prctl = ctypes.CDLL(None, use_errno=True).prctl
prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
assert prctl(38, 1, 0, 0, 0) == 0
assert prctl(22, 2, ctypes.addressof(program), 0, 0) == 0, ctypes.get_errno()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the sandbox is made of parts of Linux")
async def test_a_worker_that_refuses_its_machine_ends_the_instance_which_says_why(
    serve: Serve, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(WITHOUT_LANDLOCK)
    path = os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH"))))
    served = serve("--sandbox", "required", environment={"PYTHONPATH": path})
    await served.launch()
    assert await served.ended() == 1
    log = served.log()
    assert log.count("millpond: The sandbox") == 1
    assert "Landlock" in log
    assert "The worker-1 did not start; it said why above" in log
    assert "process_died" not in log
    assert "Traceback" not in log
    await served.nothing_left([], DIE_SECS)


async def test_a_server_that_loses_its_database_while_it_starts_does_not_end_the_instance(
    serve: Serve, call: Call
) -> None:
    served = serve()
    await served.start()
    for _ in range(2):
        before = await served.living("server")
        database = await served.living("postmaster")
        # The supervisor is stopped so that the server is started again only once the database is gone too.
        served.signal(signal.SIGSTOP)
        before.send(signal.SIGKILL)
        database.send(signal.SIGKILL)
        served.signal(signal.SIGCONT)

        async def replaced(old: int = before.pid) -> bool:
            now = served.part("server")
            return now is not None and now.pid != old

        await eventually(replaced, 30, "the server was started again")
        (await served.living("postmaster")).send(signal.SIGKILL)
        client = call(served)
        assert (await client.ended(await client.launch("code")))["success"] is True
    assert await served.stop() == 0
