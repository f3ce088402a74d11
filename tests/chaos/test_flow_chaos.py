"""Flows go on as they would have, whatever is killed or away meanwhile.

MILLPOND_CHAOS_FLOW_KILLS sets the number of kills, MILLPOND_CHAOS_VICTIMS what is killed, and MILLPOND_CHAOS_SEED repeats
a run's choices.
"""

import asyncio
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from uuid import UUID

import pytest

from tests.chaos.conftest import Serve
from tests.chaos.evaluations import evaluating, slow
from tests.chaos.eventually import eventually
from tests.chaos.flow_checks import check_ends, check_rows, drained
from tests.chaos.flow_client import FlowClient, ends
from tests.chaos.flow_load import FlowLoad
from tests.chaos.ledger import Ledger
from tests.chaos.processes import Process
from tests.chaos.sample_flows import (
    PAYLOAD,
    Sample,
    asker,
    fan,
    nest,
    sequence,
    sharer,
    sleeper,
)
from tests.chaos.served_instance import ServedInstance
from tests.integration.flows.building import flow, identity, loop, step

KILLS = int(os.environ.get("MILLPOND_CHAOS_FLOW_KILLS", "6"))
SEED = int(os.environ.get("MILLPOND_CHAOS_SEED", str(time.time_ns() % 1_000_000)))
VICTIMS = os.environ.get("MILLPOND_CHAOS_VICTIMS", "server,worker-1,zygote,job,postmaster").split(",")
MOST_VISITS = 25
OUTAGE_SECS = 10.0
RACES = 20
HOLDS = ("s2/", "i/3", "j/1.2")
"""Places where a sequence, a fan and a nest are in the middle."""

COMPLETED = "SELECT job_id, worker_id, completed_at FROM job_completed ORDER BY job_id"

FlowCall = Callable[[ServedInstance], FlowClient]


def _say(line: str) -> None:
    # Shown when the test fails, and with `pytest -s`.
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@pytest.fixture
async def ledger() -> AsyncIterator[Ledger]:
    """An account of what steps did."""
    async with Ledger().open() as opened:
        yield opened


@pytest.fixture
async def flow_call() -> AsyncIterator[FlowCall]:
    """Makes clients of instances that run: `flow_call(served)`."""
    made: list[FlowClient] = []

    def make(served: ServedInstance) -> FlowClient:
        made.append(FlowClient(served))
        return made[-1]

    yield make
    for client in made:
        await client.aclose()


# --- whatever is killed


async def _kill(served: ServedInstance, victim: str) -> bool:
    """Kill a part, once it lives; False when there is no process of a job."""
    if victim == "job":
        # What the zygotes forked, their keepers included; between two jobs there may be none.
        forked = [process for process in served.processes() if "zygote_main.py" in process.command][2:]
        if not forked:
            return False
        forked[-1].send(signal.SIGKILL)
        return True
    await _end(await served.living(victim))
    return True


async def _end(process: Process) -> None:
    process.send(signal.SIGKILL)

    async def gone() -> bool:
        return process.is_gone

    await eventually(gone, 10, f"{process.command} is gone")


async def test_flows_end_as_they_would_have_whatever_is_killed(
    serve: Serve, flow_call: FlowCall, ledger: Ledger
) -> None:
    dice = random.Random(SEED)
    _say(f"\nseed {SEED}, {KILLS} kills")
    served = serve()
    await served.start()
    client = flow_call(served)
    load = FlowLoad(client, ledger)
    killed: Counter[str] = Counter()
    try:
        # It waits through every kill, the server's among them.
        await client.waits(await load.start(asker))
        # Each part once, then whatever the dice say.
        victims = dice.sample(VICTIMS, len(VICTIMS))
        while sum(killed.values()) < KILLS:
            await load.grows_by(dice.randint(1, MOST_VISITS))
            victim = victims.pop() if victims else dice.choice(VICTIMS)
            if await _kill(served, victim):
                killed[victim] += 1
                _say(f"killed {victim} after {len(load.flows)} flows, {len(ledger.visits)} visits")
        await load.end()
    finally:
        await load.clear()
    for link in load.links.values():
        await client.approve(link, PAYLOAD)
    await drained(served)
    endings = await check_ends(served, ledger, load.flows)
    _say(f"killed {dict(killed)}; {len(load.flows)} flows: {dict(endings)}; {len(ledger.visits)} visits")
    await check_rows(served)
    if not killed["job"] + killed["zygote"]:
        assert endings.keys() == {"success"}
    assert await served.stop() == 0


# --- a process that evaluates expressions


async def test_an_expression_whose_process_is_killed_is_evaluated_again(
    serve: Serve, flow_call: FlowCall, ledger: Ledger
) -> None:
    served = serve()
    await served.start()
    client = flow_call(served)
    items = step("i", ledger.step("i", slow("flow_input.iter.value", 0.4), turn="flow_input.iter.value"))
    value = flow(
        step("a", ledger.step("a", slow("41"))),
        step("l", loop([0, 1, 2, 3], items, parallel=True, skip_failures=False)),
        step("s", identity(), stop_after_if={"expr": slow("false"), "skip_if_stopped": False}),
        step("z", ledger.step("z", "[results.a, ...results.l]")),
    )
    job_id = await client.start(value, {"flow": "slow", "n": 0})
    places = ("slow/a/", *(f"slow/i/{item}" for item in range(4)), "slow/z/")
    await _end_one(served)
    await ledger.visited(places[0])
    await _end_one(served)
    await ledger.visited(*places[1:5])
    await _end_one(served)
    sample = Sample("slow", value, [41, 0, 1, 2, 3], frozenset(places))
    await drained(served)
    assert await check_ends(served, ledger, {job_id: sample}) == {"success": 1}
    assert all(len(jobs) == 1 for jobs in ledger.by_place().values())
    await check_rows(served)
    assert await served.stop() == 0


async def _end_one(served: ServedInstance) -> None:
    await _end(await evaluating(served))


# --- a database that is away


async def test_flows_go_on_when_their_database_was_away_for_a_while(
    serve: Serve, flow_call: FlowCall, ledger: Ledger
) -> None:
    served = serve()
    await served.start()
    client = flow_call(served)
    flows: dict[UUID, Sample] = {}
    asks = await _start(client, ledger, flows, asker, "asker")
    await client.waits(asks)
    link = await client.resume_link(asks)
    # Steps that run when the database goes, and end while it is away.
    kinds = (sequence, fan, nest)
    held = [f"{kind.__name__}/{at}" for kind, at in zip(kinds, HOLDS, strict=True)]
    ledger.hold(*held)
    for kind in kinds:
        await _start(client, ledger, flows, kind, kind.__name__)
    await ledger.visited(*held)
    # It is due while the database is away, or just before.
    await _start(client, ledger, flows, sleeper, "sleeper")
    await ledger.visited("sleeper/a/")
    await _away(served, lambda: ledger.release(*held))
    approved = asyncio.create_task(client.approve(link, PAYLOAD), name="approve")
    await drained(served)
    await approved
    assert await check_ends(served, ledger, flows) == {"success": len(flows)}
    await check_rows(served)
    # Nothing was run twice: a second visit would have been a rescue.
    assert all(len(jobs) == 1 for jobs in ledger.by_place().values())
    for event in ("worker_lost", "lease_lost", "job_not_completed", "request_crashed", "process_died"):
        assert event not in served.log()
    assert await served.stop() == 0


async def _start(
    client: FlowClient,
    ledger: Ledger,
    flows: dict[UUID, Sample],
    make: Callable[[Ledger, str], Sample],
    name: str,
) -> UUID:
    sample = make(ledger, name)
    job_id = await client.start(sample.value, {"flow": name, "n": 0})
    flows[job_id] = sample
    return job_id


async def _away(served: ServedInstance, meanwhile: Callable[[], None]) -> None:
    """Kill the database, and hold its supervisor so that it stays away for a while."""
    database = await served.living("postmaster")
    served.signal(signal.SIGSTOP)
    try:
        await _end(database)
        meanwhile()
        over = time.monotonic() + OUTAGE_SECS

        async def is_over() -> bool:
            return time.monotonic() >= over

        await eventually(is_over, 2 * OUTAGE_SECS, "the outage is over")
    finally:
        served.signal(signal.SIGCONT)


# --- two workers


async def _both_work(served: ServedInstance) -> None:
    async def look() -> bool:
        return len(await served.ask("SELECT 1 FROM worker WHERE lease_until > now()")) == 2

    await eventually(look, 30, "both workers are registered")


async def test_two_workers_on_the_same_flows_do_no_step_twice(
    serve: Serve, flow_call: FlowCall, ledger: Ledger
) -> None:
    served = serve("--workers", "2")
    await served.start()
    client = flow_call(served)

    await _both_work(served)
    flows: dict[UUID, Sample] = {}
    starts = [_start(client, ledger, flows, lambda on, name: fan(on, name, 50), "wide")]
    kinds = [(sequence, 12), (nest, 6), (sleeper, 4)]
    for kind, count in kinds:
        starts += [_start(client, ledger, flows, kind, f"{kind.__name__}{n}") for n in range(count)]
    await asyncio.gather(*starts)
    await drained(served)
    assert await check_ends(served, ledger, flows) == {"success": len(flows)}
    await check_rows(served)
    visits = ledger.by_place()
    assert visits.keys() == set[str]().union(*(sample.places for sample in flows.values()))
    assert all(len(jobs) == 1 for jobs in visits.values())
    workers = await served.ask("SELECT DISTINCT worker_id FROM job_completed WHERE worker_id IS NOT NULL")
    assert len(workers) == 2, "one worker did it all"
    assert await served.stop() == 0


async def test_flows_of_a_worker_that_stands_still_go_on_elsewhere_and_not_again_when_it_wakes(
    serve: Serve, flow_call: FlowCall, ledger: Ledger
) -> None:
    served = serve("--workers", "2")
    await served.start()
    client = flow_call(served)
    await _both_work(served)
    flows: dict[UUID, Sample] = {}
    kinds = (sequence, fan, nest)
    held = [f"{kind.__name__}{n}/{at}" for n in (1, 2) for kind, at in zip(kinds, HOLDS, strict=True)]
    ledger.hold(*held)
    for number in (1, 2):
        for kind in kinds:
            await _start(client, ledger, flows, kind, f"{kind.__name__}{number}")
    await ledger.visited(*held)
    stopped = await served.living("worker-1")
    stopped.send(signal.SIGSTOP)
    try:
        await served.ask("UPDATE worker SET lease_until = now() - interval '1 s' WHERE name = 'worker-1'")
        ledger.release(*held)
        await drained(served)
        completed = await served.ask(COMPLETED)
    finally:
        stopped.send(signal.SIGCONT)
    await _both_work(served)
    assert await served.ask(COMPLETED) == completed, "what was late changed something"
    assert await check_ends(served, ledger, flows) == {"success": len(flows)}
    await check_rows(served)
    assert await served.stop() == 0


# --- approvals that come when the wait begins


async def test_no_approval_is_lost_that_comes_as_the_wait_begins(
    serve: Serve, flow_call: FlowCall, ledger: Ledger
) -> None:
    dice = random.Random(SEED)
    _say(f"\nseed {SEED}")
    served = serve("--slots", str(RACES))
    await served.start()
    client = flow_call(served)
    flows: dict[UUID, Sample] = {}
    asked = [f"race{number}/a/" for number in range(RACES)]
    ledger.hold(*asked)
    jobs = [await _start(client, ledger, flows, asker, place.split("/")[0]) for place in asked]
    await ledger.visited(*asked)
    # Half of the links name the step, half the flow.
    links = [
        await client.resume_link(ledger.jobs_at(place)[0] if number % 2 else jobs[number])
        for number, place in enumerate(asked)
    ]

    async def end_step(place: str) -> bool:
        ledger.release(place)
        return True

    moves = [
        (end_step(place), client.approve(link, PAYLOAD)) for place, link in zip(asked, links, strict=True)
    ]
    # Either first, or one while the other of another flow is on its way.
    in_turns = [move for pair in moves for move in dice.sample(pair, 2)]
    assert all(await asyncio.gather(*in_turns)), "an approval was refused"
    await drained(served)
    assert await check_ends(served, ledger, flows) == {"success": RACES}
    await check_rows(served)
    assert await served.stop() == 0


# --- folders that steps share


@pytest.mark.parametrize("folders", ["kept", "lost"])
async def test_a_flow_whose_steps_share_a_folder_goes_on_where_the_folder_is_or_says_that_it_is_lost(
    serve: Serve, flow_call: FlowCall, ledger: Ledger, folders: str
) -> None:
    served = serve("--workers", "2")
    await served.start()
    client = flow_call(served)
    flows: dict[UUID, Sample] = {}
    names = [f"share{number}" for number in range(6)]
    # Two are killed within a step before the loop, two within one after it, and two as they begin to sleep.
    held = [*(f"{name}/h/" for name in names[:2]), *(f"{name}/s/" for name in names[2:4])]
    ledger.hold(*held)
    for name in names:
        await _start(client, ledger, flows, sharer, name)
    await ledger.visited(*held, *(f"{name}/s/" for name in names[4:]))
    for worker in ("worker-1", "worker-2"):
        await _end_with_folders(served, worker, lose=folders == "lost")
    ledger.release(*held)
    await drained(served)
    await check_rows(served)
    if folders == "kept":
        assert await check_ends(served, ledger, flows) == {"success": len(flows)}
    else:
        ended = await ends(client, list(flows))
        # Those that slept may have been through before the second worker was killed.
        lost = [job["result"]["error"]["name"] for job in ended if not job["success"]]
        assert set(lost) == {"SharedDirectoryLost"}
        assert not any(job["success"] for job in ended[:4])
        assert all(job["result"] == flows[UUID(job["id"])].result for job in ended if job["success"])
    assert await served.stop() == 0


async def _end_with_folders(served: ServedInstance, worker: str, *, lose: bool) -> None:
    """Kill a worker; with `lose` its folders are gone before it is there again."""
    process = await served.living(worker)
    served.signal(signal.SIGSTOP)
    try:
        await _end(process)
        if lose:
            # It has none when the other one took all flows.
            shutil.rmtree(served.data_dir / "work" / worker / "shared", ignore_errors=True)
    finally:
        served.signal(signal.SIGCONT)
