"""The administration commands as an operator types them: real processes on a real database."""

import asyncio
import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from millpond.cli import cli
from millpond.store.embedded import EmbeddedPostgres
from tests.conftest import Instance, client_with

TIMEOUT_SECS = 30
EMAIL = "henri@example.com"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str


async def millpond(*arguments: str, stdin: str = "", **environment: str) -> Ended:
    """Run the command line in a process of its own, with these settings and no others."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MILLPOND_", "DATABASE_URL"))
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "millpond", *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**inherited, **environment},
    )  # fmt: skip
    try:
        async with asyncio.timeout(TIMEOUT_SECS):
            stdout, stderr = await process.communicate(stdin.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Ended(process.returncode, stdout.decode(), stderr.decode())


class Commands:
    """Commands on one instance."""

    def __init__(self, instance: Instance) -> None:
        self.environment = {
            "DATABASE_URL": instance.url,
            "MILLPOND_DATA_DIR": str(instance.settings.data_dir),
        }

    async def ended(self, *arguments: str, stdin: str = "", **environment: str) -> Ended:
        return await millpond(*arguments, stdin=stdin, **{**self.environment, **environment})

    async def output(self, *arguments: str, stdin: str = "") -> str:
        ended = await self.ended(*arguments, stdin=stdin)
        assert (ended.exit_code, ended.stderr) == (0, ""), ended
        return ended.stdout.removesuffix("\n")


@pytest.fixture
def commands(instance: Instance) -> Commands:
    return Commands(instance)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A new folder that the embedded server's own account can pass through."""
    folder = Path(tempfile.mkdtemp(prefix="millpond-tests-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


async def test_an_account_lives_from_create_to_delete(
    commands: Commands, client: httpx.AsyncClient, instance: Instance
) -> None:
    created = await commands.output(
        "user", "create", "Henri@Example.com", "--password-stdin", "--workspace", "main", "--role", "operator",
        stdin="first password\n",
    )  # fmt: skip
    assert created == f"Created {EMAIL}"
    login = await client.post("/api/auth/login", json={"email": EMAIL, "password": "first password"})
    assert login.status_code == 200
    listed, members, link, _ = await asyncio.gather(
        commands.output("user", "list"),
        commands.output("workspace", "users", "main", "--json"),
        commands.ended("user", "login-link", EMAIL, "--port", "8123"),
        commands.output("user", "set-password", EMAIL, "--password-stdin", stdin="second password"),
    )
    assert [line.split()[:4] for line in listed.splitlines()] == [
        ["EMAIL", "USERNAME", "SUPERADMIN", "PASSWORD"],
        ["admin@localhost", "admin", "yes", "no"],
        [EMAIL, "henri", "no", "yes"],
    ]
    assert {one["username"]: one["role"] for one in json.loads(members)} == {
        "admin": "admin",
        "henri": "operator",
    }
    async with client_with(instance, None) as stranger:
        for password, status in (("first password", 401), ("second password", 200)):
            login = await stranger.post("/api/auth/login", json={"email": EMAIL, "password": password})
            assert login.status_code == status
        address, _, path = link.stdout.strip().partition("8123")
        assert address == "http://127.0.0.1:"
        redeemed = [await stranger.get(path, follow_redirects=False) for _ in range(2)]
        assert redeemed[0].is_redirect
        assert redeemed[1].status_code == 401

    assert await commands.output("user", "delete", EMAIL) == f"Deleted {EMAIL}"
    listed = await commands.output("user", "list", "--json")
    assert [one["email"] for one in json.loads(listed)] == ["admin@localhost"]


async def test_a_token_works_within_its_bounds_until_it_is_revoked(
    commands: Commands, instance: Instance
) -> None:
    token = await commands.output(
        "token", "create", "admin@localhost", "--label", "robot\x1b[2J", "--expires-in-days", "3",
        "--scope", "resources:read", "--scope", "users:read", "--workspace", "main",
    )  # fmt: skip
    async with client_with(instance, token) as robot:
        assert (await robot.get("/api/w/main/resources/list")).status_code == 200
        assert (await robot.get("/api/w/main/variables/list")).status_code == 403

    listed, table = await asyncio.gather(
        commands.output("token", "list", "admin@localhost", "--json"),
        commands.output("token", "list", "admin@localhost"),
    )
    kept = json.loads(listed)[0]
    assert kept["scopes"] == ["resources:read", "users:read"]
    assert kept["workspace_id"] == "main"
    assert kept["expiration"] is not None
    assert token not in listed + table
    assert "robot?[2J" in table, "what a label holds must not reach the terminal as a command"

    revoked = await commands.output("token", "revoke", "admin@localhost", kept["token_prefix"])
    assert revoked == f"Revoked {kept['token_prefix']}"
    instance.services.identities.forget_all()  # what a server elsewhere does within a second
    async with client_with(instance, token) as robot:
        assert (await robot.get("/api/w/main/resources/list")).status_code == 401


async def test_a_workspace_is_created_entered_closed_and_opened_again(
    commands: Commands, client: httpx.AsyncClient
) -> None:
    assert await commands.output("workspace", "create", "etl", "--name", "Loads") == "Created etl"
    await client.post("/api/users/create", json={"email": EMAIL, "password": "x", "super_admin": False})
    assert (
        await commands.output("workspace", "add-user", "etl", EMAIL, "--role", "admin")
        == "Added henri to etl"
    )
    users, _ = await asyncio.gather(
        commands.output("workspace", "users", "etl"), commands.output("workspace", "archive", "etl")
    )
    assert [line.split()[:3] for line in users.splitlines()[1:]] == [
        ["admin", "admin@localhost", "admin"],
        ["henri", EMAIL, "admin"],
    ]
    listed = json.loads(await commands.output("workspace", "list", "--json"))
    assert {one["id"]: (one["name"], one["deleted"]) for one in listed} == {
        "etl": ("Loads", True),
        "main": ("main", False),
    }
    assert await commands.output("workspace", "unarchive", "etl") == "Unarchived etl"
    etl = (await client.get("/api/workspaces/list_as_superadmin")).json()[0]
    assert (etl["id"], etl["deleted"]) == ("etl", False)


async def test_a_refusal_is_one_line_and_changes_nothing(
    commands: Commands, client: httpx.AsyncClient
) -> None:
    ends = await asyncio.gather(
        commands.ended("user", "delete", "nobody@example.com"),
        commands.ended("user", "create", "new@example.com", "--workspace", "absent"),
        commands.ended("user", "create", "new@example.com", "--username", "admin", "--workspace", "main"),
        commands.ended("user", "create", "new@example.com", "--password-stdin", stdin="two\nlines\n"),
        commands.ended("token", "revoke", "admin@localhost", "mp_absent"),
        commands.ended("workspace", "archive", "absent"),
    )
    assert list(ends) == [
        Ended(1, "", f"millpond: {message}\n")
        for message in (
            "No account nobody@example.com",
            "No workspace absent",
            "User admin already exists in main: choose another with --username",
            "The password on standard input must be a single line",
            "admin@localhost has no token with the prefix 'mp_absent': see 'millpond token list'",
            "No workspace absent",
        )
    ]
    accounts = (await client.get("/api/users/list_as_super_admin")).json()
    assert [one["email"] for one in accounts] == ["admin@localhost"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["user", "create"],
        ["user", "create", EMAIL, "--role", "admin"],
        ["user", "create", EMAIL, "--password", "on the command line"],
        ["user", "set-password", EMAIL],
        ["user", "login-link", EMAIL, "--port", "0"],
        ["token", "create", EMAIL, "--expires-in-days", "0"],
        ["workspace", "add-user", "main", EMAIL, "--role", "owner"],
    ],
)
def test_wrong_use_ends_with_2(arguments: list[str]) -> None:
    ended = CliRunner().invoke(cli, arguments)
    assert ended.exit_code == 2
    assert ended.output.startswith("Usage: ")


async def test_without_an_instance_commands_say_so_and_create_nothing(
    tmp_path: Path, database_url: str
) -> None:
    absent = tmp_path / "absent"
    ended, unprepared = await asyncio.gather(
        millpond("user", "list", "--data-dir", str(absent)),
        millpond("user", "list", "--data-dir", str(absent), DATABASE_URL=database_url),
    )
    assert ended.exit_code == 1
    assert ended.stderr.startswith(f"millpond: There is no instance in {absent}")
    assert unprepared.exit_code == 1
    assert unprepared.stderr.startswith("millpond: The instance was never prepared")
    assert not absent.exists()


async def test_the_embedded_database_is_administered_while_it_runs_and_while_it_does_not(
    open_folder: Path,
) -> None:
    folder = open_folder / "data"
    settings = {"MILLPOND_DATA_DIR": str(folder)}
    assert (await millpond("migrate", **settings)).exit_code == 0
    with EmbeddedPostgres(folder).running():
        created = await millpond("workspace", "create", "etl", **settings)
        assert created == Ended(0, "Created etl\n", "")
    diagnosis = await millpond("doctor", "--json", "--port", "0", **settings)
    found = {finding["check"]: finding for finding in json.loads(diagnosis.stdout)}
    assert diagnosis.exit_code == 0, diagnosis
    assert found["database"]["message"].endswith("(embedded, started for this check)")
    assert found["schema"]["status"] == "ok"
    listed = json.loads((await millpond("workspace", "list", "--json", **settings)).stdout)
    assert [one["id"] for one in listed] == ["etl", "main"]


async def test_doctor_finds_what_is_wrong_and_goes_on(commands: Commands, instance: Instance) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        free_port = str(taken.getsockname()[1])  # bound, but nothing listens
        wrong_key = "ab" * 32
        healthy, broken = await asyncio.gather(
            commands.ended("doctor", "--port", free_port),
            commands.ended(
                "doctor", "--json", "--sandbox", "off", "--port", free_port, MILLPOND_MASTER_KEY=wrong_key
            ),
        )
    assert healthy.exit_code == 0, healthy
    assert {line.split()[0] for line in healthy.stdout.splitlines()} <= {"ok", "warn"}
    assert instance.url not in healthy.stdout
    assert broken.exit_code == 1
    found = {(one["check"], one["status"]): one["message"] for one in json.loads(broken.stdout)}
    assert "not the one this database was sealed with" in found["master key", "fail"]
    assert found["sandbox", "warn"].startswith("none, as it is switched off")
    assert found["schema", "ok"]
    assert wrong_key not in broken.stdout


async def test_doctor_diagnoses_a_database_that_cannot_be_reached(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    server = await asyncio.start_server(_refuse_to_speak_http, "127.0.0.1", 0)
    async with server:
        port = str(server.sockets[0].getsockname()[1])
        away, garbled = await asyncio.gather(
            millpond(
                "doctor", "--json", "--port", port, "--data-dir", str(tmp_path / "file" / "data"),
                DATABASE_URL="postgresql://millpond:s3cret@127.0.0.1:1/millpond",
            ),
            millpond("doctor", "--json", "--port", port, DATABASE_URL="postgresql://millpond:s3/cret@localhost/x"),
        )  # fmt: skip
    for ended in (away, garbled):
        assert ended.exit_code == 1, ended
        failed = {one["check"] for one in json.loads(ended.stdout) if one["status"] == "fail"}
        assert {"database", "server"} <= failed
        assert "s3" not in ended.stdout + ended.stderr
    failed = {one["check"] for one in json.loads(away.stdout) if one["status"] == "fail"}
    assert "data folder" in failed


async def _refuse_to_speak_http(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example.com ready\r\n")
    await writer.drain()
    writer.close()
