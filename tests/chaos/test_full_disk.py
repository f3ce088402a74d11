"""The disk of the data folder fills up: callers are told, nothing ends for good, and with room the work goes on."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.chaos.conftest import Call, Serve
from tests.chaos.eventually import eventually
from tests.chaos.served_instance import ServedInstance

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not sys.platform.startswith("linux"), reason="needs root, to mount a small disk"
)

DISK = "160m"
PIECE_BYTES = 64 * 1024
RECOVERY_SECS = 60.0


@pytest.fixture
def disk(folder: Path) -> Iterator[Path]:
    """A small disk where the instance has its data."""
    data = folder / "data"
    data.mkdir(mode=0o711)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=711", "tmpfs", str(data)],
        check=False,
        capture_output=True,
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.decode().strip()}")
    yield data
    subprocess.run(["umount", "--lazy", str(data)], check=True)


def _fill(disk: Path) -> Path:
    """Take all room that is left; the file that holds it."""
    ballast = disk / "ballast"
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * PIECE_BYTES)
    return ballast


async def test_a_full_disk_is_told_to_callers_and_passes_when_there_is_room_again(
    disk: Path, serve: Serve, call: Call
) -> None:
    served = serve()
    await served.start()
    client = call(served)
    first = await client.launch("code")
    assert (await client.ended(first))["success"] is True
    server = await served.living("server")
    ballast = _fill(disk)

    async with served.client() as http:
        refusal = await eventually(lambda: _refused(http), RECOVERY_SECS, "a launch is refused")
        assert refusal is not None
        assert refusal.text.startswith("Service unavailable: The database has no room left")
        # Without room for its journal the database itself gives up, and is started in vain until there is some.
        await _use_up_the_journal(served)
        await eventually(lambda: _is_down(http), RECOVERY_SECS, "the database gives up")
    assert not server.is_gone

    ballast.unlink()
    later = [await client.launch("code") for _ in range(3)]
    for job_id in later:
        assert (await client.ended(job_id, RECOVERY_SECS))["success"] is True
    assert (await client.ended(first))["success"] is True
    assert not server.is_gone
    assert await served.stop() == 0


async def _use_up_the_journal(served: ServedInstance) -> None:
    async with served.database() as connection:
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            for _ in range(20):
                # Switching does nothing where nothing was written.
                await connection.execute(
                    "SELECT pg_logical_emit_message(false, 'chaos', ''), pg_switch_wal()"
                )


async def _refused(http: httpx.AsyncClient) -> httpx.Response | None:
    """The refusal of a launch that needs room; None while the database still finds some."""
    body = {
        "content": f"# {os.urandom(500_000).hex()}\ndef main(): pass\n",
        "language": "python3",
        "lock": "",
    }
    answer = await http.post("/w/main/jobs/run/preview", json=body)
    assert answer.status_code in (201, 503), answer.text
    return answer if answer.status_code == 503 else None


async def _is_down(http: httpx.AsyncClient) -> bool:
    answer = await _refused(http)
    return answer is not None and "has no room left" not in answer.text
