"""`kill -9` of any part at any moment, under load: every acknowledged job ends exactly once.

MILLPOND_CHAOS_KILLS sets the number of kills, MILLPOND_CHAOS_VICTIMS what is killed, and MILLPOND_CHAOS_SEED repeats a
run's choices.
"""

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from contextlib import suppress
from uuid import UUID

import asyncpg

from tests.chaos.conftest import Call, Serve
from tests.chaos.eventually import eventually
from tests.chaos.served_instance import ServedInstance
from tests.chaos.tolerant_client import TolerantClient

KILLS = int(os.environ.get("MILLPOND_CHAOS_KILLS", "6"))
SEED = int(os.environ.get("MILLPOND_CHAOS_SEED", str(time.time_ns() % 1_000_000)))
VICTIMS = os.environ.get("MILLPOND_CHAOS_VICTIMS", "server,worker-1,zygote,job,postmaster").split(",")
LAUNCHERS = 4
MOST_AHEAD = 50
"""Python jobs that one caller launches before it waits for the last of them."""

DRAIN_SECS = 60.0
NAMED_FAILURES = {"ExecutionErr", "WorkerLost"}
"""A job whose own process was killed, and one whose worker was killed too often under it."""

ENDINGS = """
SELECT j.id, j.kind, array_agg(c.status) FILTER (WHERE c.job_id IS NOT NULL) AS statuses,
       min(c.result::text) AS result, count(q.job_id) AS queued,
       (SELECT string_agg(l.content, '' ORDER BY l.chunk)
          FROM job_log l WHERE l.workspace_id = j.workspace_id AND l.job_id = j.id AND l.kind = 'log') AS log
  FROM job j
  LEFT JOIN job_completed c ON c.workspace_id = j.workspace_id AND c.job_id = j.id
  LEFT JOIN job_queue q ON q.workspace_id = j.workspace_id AND q.job_id = j.id
 WHERE j.id = ANY ($1::uuid[])
 GROUP BY j.workspace_id, j.id, j.kind
"""


def _say(line: str) -> None:
    # Shown when the test fails, and with `pytest -s`.
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Load:
    """Callers that launch one job after another, in turns a Python job and a no-op."""

    def __init__(self, client: TolerantClient) -> None:
        self._client = client
        self._ending = asyncio.Event()
        self._callers = [asyncio.create_task(self._call(), name=f"caller {n}") for n in range(LAUNCHERS)]

    async def grows_by(self, jobs: int) -> None:
        """Return once so many more jobs were acknowledged."""
        goal = len(self._client.acknowledged) + jobs

        async def grown() -> bool:
            self._raise_failures()
            return len(self._client.acknowledged) >= goal

        await eventually(grown, DRAIN_SECS, f"{jobs} more jobs are acknowledged")

    async def end(self) -> None:
        """Launch no more; returns once every launch that was begun is acknowledged."""
        self._ending.set()
        await asyncio.gather(*self._callers)

    async def clear(self) -> None:
        """End the callers, wherever they are."""
        for caller in self._callers:
            caller.cancel()
        await asyncio.gather(*self._callers, return_exceptions=True)

    def _raise_failures(self) -> None:
        for caller in self._callers:
            if caller.done():
                caller.result()

    async def _call(self) -> None:
        while not self._ending.is_set():
            for _ in range(MOST_AHEAD):
                last = await self._client.launch("code")
                await self._client.launch("noop")
                if self._ending.is_set():
                    return
            # Callers who never wait would pile up, while a worker is away, what takes it minutes to run.
            await self._client.ended(last)


async def _kill(served: ServedInstance, victim: str) -> bool:
    """Kill a part, once it lives; False when it ended by itself before."""
    if victim == "job":
        # What the zygotes forked, their keepers included; between two jobs there may be none.
        forked = [process for process in served.processes() if "zygote_main.py" in process.command][2:]
        if not forked:
            return False
        forked[-1].send(signal.SIGKILL)
        return True
    process = await served.living(victim)
    process.send(signal.SIGKILL)

    async def gone() -> bool:
        return process.is_gone

    await eventually(gone, 10, f"{victim} is gone")
    return True


async def test_every_acknowledged_job_ends_exactly_once_whatever_is_killed(serve: Serve, call: Call) -> None:
    dice = random.Random(SEED)
    _say(f"\nseed {SEED}, {KILLS} kills")
    served = serve()
    await served.start()
    client = call(served)
    load = Load(client)
    killed: Counter[str] = Counter()
    try:
        # Each part once, then whatever the dice say.
        victims = dice.sample(VICTIMS, len(VICTIMS))
        while sum(killed.values()) < KILLS:
            await load.grows_by(dice.randint(1, 30))
            victim = victims.pop() if victims else dice.choice(VICTIMS)
            if await _kill(served, victim):
                killed[victim] += 1
                _say(f"killed {victim} after {len(client.acknowledged)} jobs")
        await load.end()
    finally:
        await load.clear()
    drained_in = await _drained(served)
    endings = await _check_endings(served, client.acknowledged)
    _say(
        f"killed {dict(killed)}; {len(client.acknowledged)} jobs: {dict(endings)}; drained in {drained_in:.1f} s"
    )
    await _check_everything_is_up(served, client)


async def _drained(served: ServedInstance) -> float:
    since = time.monotonic()

    async def empty() -> bool:
        with suppress(asyncpg.PostgresError, OSError):
            return not await served.ask("SELECT 1 FROM job_queue LIMIT 1")
        return False

    await eventually(empty, DRAIN_SECS, "the queue is empty")
    return time.monotonic() - since


async def _check_endings(served: ServedInstance, acknowledged: dict[UUID, str]) -> Counter[str]:
    rows = {row["id"]: row for row in await served.ask(ENDINGS, list(acknowledged))}
    assert rows.keys() == acknowledged.keys(), "acknowledged jobs are missing"
    endings: Counter[str] = Counter()
    for job_id, row in rows.items():
        assert row["queued"] == 0, f"{job_id} is completed and queued"
        assert len(row["statuses"] or []) == 1, f"{job_id} ended {row['statuses']}"
        endings[_checked_ending(job_id, row)] += 1
    (doubles,) = await served.ask("SELECT count(*) - count(DISTINCT job_id) AS jobs FROM job_completed")
    assert doubles["jobs"] == 0
    return endings


def _checked_ending(job_id: UUID, row: asyncpg.Record) -> str:
    result = json.loads(row["result"])
    if row["statuses"] == ["success"]:
        if row["kind"] == "preview":
            assert result == str(job_id)
            assert row["log"] == f"{job_id}\n", f"{job_id} is said to have printed {row['log']!r}"
        return "success"
    assert row["statuses"] == ["failure"]
    assert row["kind"] == "preview", f"the no-op {job_id} failed: {result}"
    name = str(result["error"]["name"])
    assert name in NAMED_FAILURES, f"{job_id} failed with {result}"
    assert result["error"]["message"]
    return name


async def _check_everything_is_up(served: ServedInstance, client: TolerantClient) -> None:
    for part in ("server", "worker-1", "postmaster"):
        await served.living(part)
    assert (await client.ended(await client.launch("code")))["success"] is True

    async def one_lease() -> bool:
        rows = await served.ask("SELECT name FROM worker WHERE lease_until > now()")
        return [row["name"] for row in rows] == ["worker-1"]

    await eventually(one_lease, 30, "one worker holds a lease")
    assert await served.stop() == 0
