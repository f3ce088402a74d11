"""What a job of a served instance cannot reach: the database's files, the keys, the worker, other jobs."""

import pytest
from served_instance import Api, ServedInstance, unique

READ_ALL = """
import os
import pathlib

def look(path):
    try:
        if os.path.isdir(path):
            return ["listed", os.listdir(path)]
        with open(path, "rb") as file:
            return ["read", file.read(64).hex()]
    except OSError as error:
        return ["refused", type(error).__name__]

def main(paths: list):
    return {path: look(path) for path in paths}
"""

ENVIRONMENTS = """
import os

def main():
    found = {}
    for process in os.listdir("/proc"):
        if process.isdigit() and int(process) != os.getpid():
            try:
                with open(f"/proc/{process}/environ", "rb") as file:
                    found[process] = len(file.read())
            except OSError:
                pass
    return {"others": found, "own": sorted(os.environ)}
"""

SOCKET = """
import os
import socket

def main(folder: str):
    try:
        names = os.listdir(folder)
    except OSError as error:
        names = []
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(f"{folder}/.s.PGSQL.5432")
    except OSError as error:
        return {"names": names, "connected": False}
    # Reached, it still asks for a password that no job can read.
    user = b"user\\0millpond\\0database\\0millpond\\0\\0"
    startup = (196608).to_bytes(4, "big") + user
    connection.sendall((len(startup) + 4).to_bytes(4, "big") + startup)
    answer = connection.recv(64)
    return {"names": names, "connected": True, "asks_for_password": answer[:1] == b"R" and answer[8] != 0}
"""


def test_a_job_reads_neither_keys_nor_the_databases_files(served: ServedInstance, admin: Api) -> None:
    data = served.data_dir.resolve()
    secrets = [
        "master.key",
        "postgres.password",
        "postgres",
        "postgres/PG_VERSION",
        "postgres/postmaster.pid",
        "instance.lock",
    ]
    paths = [*(str(data / name) for name in secrets), str(data), str(data / "work"), "/etc/shadow", "/root"]
    assert all((data / name).exists() for name in secrets)
    seen = admin.preview(READ_ALL, {"paths": paths})["result"]
    assert {path: what[0] for path, what in seen.items()} == dict.fromkeys(paths, "refused")


def test_a_job_sees_no_environment_but_its_own(admin: Api) -> None:
    seen = admin.preview(ENVIRONMENTS, {})["result"]
    assert seen["others"] == {}
    assert not [name for name in seen["own"] if name.startswith("MILLPOND_") or name == "DATABASE_URL"]


def test_the_databases_socket_is_no_way_in(served: ServedInstance, admin: Api) -> None:
    seen = admin.preview(SOCKET, {"folder": str(served.data_dir.resolve() / "run")})["result"]
    assert seen["names"] == []
    assert seen["connected"] is False or seen["asks_for_password"] is True


def test_a_job_cannot_enter_the_folder_of_another_that_runs(served: ServedInstance, admin: Api) -> None:
    waiting = unique("waits")
    admin.deploy(
        waiting,
        "import time\ndef main():\n    open('private', 'w').write('x')\n    time.sleep(60)\n",
    )
    job = admin.post(f"jobs/run/p/{waiting}", {})
    admin.await_running(job)
    try:
        work = served.data_dir.resolve() / "work"
        folders = [str(folder) for folder in work.glob(f"*/{job}")]
        assert folders
        paths = [
            *folders,
            *(f"{folder}/private" for folder in folders),
            *(f"{folder}/script.py" for folder in folders),
        ]
        seen = admin.preview(READ_ALL, {"paths": paths})["result"]
        assert {what[0] for what in seen.values()} == {"refused"}
    finally:
        admin.post(f"jobs_u/queue/cancel/{job}", {"reason": "the test is over"})


def test_the_level_in_force_stands_on_the_job(admin: Api) -> None:
    job = admin.preview("def main():\n    return 1\n", {})
    assert job["sandbox"]
    if job["sandbox"] == "none":
        pytest.fail("jobs run without isolation on this machine")
