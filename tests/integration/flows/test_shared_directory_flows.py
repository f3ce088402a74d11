"""The folder all steps of a `same_worker` flow share (compat facts, flows 6.A 5 and storage 5.1; DESIGN 5.4)."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.flows.approving import approve
from tests.integration.flows.building import (
    Json,
    branch,
    branch_all,
    branch_one,
    deploy_flow,
    failure_of,
    flow,
    identity,
    js,
    loop,
    module_comes_to,
    py,
    raising,
    result_of,
    run_flow,
    start_flow,
    static,
    step,
    sub_flow,
)
from tests.integration.live_instance import Api, LiveInstance, eventually

ITEM = "flow_input.iter.value"
WRITE = py("open('./shared/x', 'w').write('written')\nreturn 1")
READ = py("return open('./shared/x').read()")
LIST = py("import os\nreturn sorted(os.listdir('./shared'))")


def shared(*steps: Json, **settings: Any) -> Json:
    """A flow whose steps share a folder."""
    return flow(*steps, same_worker=True, **settings)


def appends(name: str) -> Json:
    return py(f"with open('./shared/log', 'a') as log:\n    log.write(n)\nreturn {name!r}", n=ITEM)


async def test_5_the_catalogues_case(api: Api) -> None:
    outer = py("open('./shared/outer.txt', 'w').write(f'false {n}')", n="flow_input.n")
    inner = py("open('./shared/inner.txt', 'w').write(f'true {i}')", i=ITEM)
    both = py("return open('./shared/inner.txt').read() + ',' + open('./shared/outer.txt').read()")
    last = py(
        "return ','.join([open('./shared/outer.txt').read(), *loops, open('./shared/inner.txt').read()])",
        loops="results.b",
    )
    definition = shared(
        step("a", outer), step("b", loop([1, 2, 3], step("d", inner), step("e", both))), step("c", last)
    )
    assert await result_of(api, definition, {"n": 1}) == (
        "false 1,true 1,false 1,true 2,false 1,true 3,false 1,true 3"
    )


NESTED: list[tuple[str, Json]] = [
    ("a loop", loop([1], step("r", READ))),
    ("a loop of many steps", loop([1], step("i", identity()), step("r", READ))),
    ("a parallel loop", loop([1], step("r", READ), parallel=True)),
    ("branches in order", branch_all(branch(step("r", READ)), parallel=False)),
    ("parallel branches", branch_all(branch(step("r", READ)))),
    ("a branch of a branch", branch_all(branch(step("o", branch_one(default=[step("r", READ)]))))),
]


@pytest.mark.parametrize("value", [case[1] for case in NESTED], ids=[case[0] for case in NESTED])
async def test_the_folder_is_the_same_at_every_depth(api: Api, value: Json) -> None:
    assert await result_of(api, shared(step("w", WRITE), step("n", value))) == ["written"]


async def test_what_parallel_steps_write_is_there_afterwards(api: Api) -> None:
    items = [str(n) for n in range(12)]
    write = py("open(f'./shared/{n}', 'w').write(n)", n=ITEM)
    branches = branch_all(
        branch(step("p", py("open('./shared/p', 'w')"))), branch(step("q", py("open('./shared/q', 'w')")))
    )
    definition = shared(
        step("l", loop(items, step("b", write), parallel=True)), step("x", branches), step("z", LIST)
    )
    assert await result_of(api, definition) == sorted([*items, "p", "q"])


async def test_a_sub_flow_shares_the_folder_of_its_parent(api: Api) -> None:
    await deploy_flow(
        api, "u/admin/shares_too", shared(step("r", READ), step("w", py("open('./shared/y', 'w')")))
    )
    await deploy_flow(api, "u/admin/shares_by_its_parent", flow(step("r", READ)))
    definition = shared(
        step("w", WRITE),
        step("s", sub_flow("u/admin/shares_too")),
        step("t", sub_flow("u/admin/shares_by_its_parent")),
        step("z", py("import os\nreturn [t, sorted(os.listdir('./shared'))]", t="results.t")),
    )
    assert await result_of(api, definition) == ["written", ["x", "y"]]


async def test_two_runs_do_not_share(api: Api) -> None:
    definition = shared(
        step("l", LIST),
        step("w", WRITE),
        step("m", py("import os\nreturn [l, os.listdir('./shared')]", l="results.l")),
    )
    for _ in range(2):
        assert await result_of(api, definition) == [[], ["x"]]


async def test_a_retry_waits_and_finds_the_folder(api: Api) -> None:
    body = """
    import os, time
    with open("./shared/tries", "a") as tries:
        tries.write(f"{time.time()}\\n")
    times = [float(line) for line in open("./shared/tries")]
    if len(times) < 3:
        raise ValueError("again")
    return times
    """
    retry = {"constant": {"attempts": 2, "seconds": 1}}
    first, second, third = await result_of(api, shared(step("a", py(body), retry=retry)))
    assert second - first >= 1
    assert third - second >= 1


async def test_a_sleep_waits_and_finds_the_folder(api: Api) -> None:
    times = "import time\nreturn [open('./shared/x').read(), time.time()]"
    write = "import time\nopen('./shared/x', 'w').write(str(time.time()))"
    definition = shared(step("a", py(write), sleep=static(1)), step("b", py(times)))
    before, after = await result_of(api, definition)
    assert timedelta(seconds=after - float(before)) >= timedelta(seconds=1)


async def test_a_timeout_holds(api: Api) -> None:
    endless = py("import time\nwhile True:\n    time.sleep(10)")
    definition = shared(
        step("w", WRITE), step("a", endless, timeout=js("1")), failure_module=step("failure", READ)
    )
    job = await run_flow(api, definition)
    assert (job["success"], job["result"]) == (False, "written")


async def test_an_approval_waits_and_finds_the_folder(live: LiveInstance, api: Api) -> None:
    definition = shared(step("w", WRITE, suspend={"required_events": 1}), step("r", READ))
    job_id = await start_flow(api, definition)
    await approve(live, job_id, "r")
    assert (await api.ended(job_id))["result"] == "written"


async def test_shared_state_of_the_client(api: Api) -> None:
    write = """
    import wmill
    wmill.set_shared_state({"b": 1, "a": [2]})
    wmill.set_shared_state_pickle({1, 2})
    """
    read = """
    import wmill
    state = wmill.get_shared_state()
    return [state, list(state), sorted(wmill.get_shared_state_pickle())]
    """
    definition = shared(step("w", py(write)), step("r", py(read)))
    assert await result_of(api, definition) == [{"b": 1, "a": [2]}, ["b", "a"], [1, 2]]


async def test_the_folder_is_one_folder(api: Api) -> None:
    number = "import os\nreturn {}os.stat('./shared').st_ino"
    inner = step("b", loop([1, 2], step("c", py(number.format(""))), step("i", identity())))
    last = py(number.format("[a, *b, ") + "]", a="results.a", b="results.b")
    inodes = await result_of(api, shared(step("a", py(number.format(""))), inner, step("d", last)))
    assert len(inodes) == 4
    assert len(set(inodes)) == 1


ENDINGS: list[tuple[str, Json]] = [("success", identity()), ("failure", raising())]


@pytest.mark.parametrize("last", [case[1] for case in ENDINGS], ids=[case[0] for case in ENDINGS])
async def test_the_folder_is_removed_at_the_end(live: LiveInstance, api: Api, last: Json) -> None:
    mark = f"mark of {last['type']}"
    write = py("open('./shared/' + mark, 'w').write(mark)", mark=static(mark))
    job = await run_flow(api, shared(step("w", write), step("z", last)))
    assert job["success"] is (last["type"] == "identity")
    assert [path for path in Path(live.settings.data_dir).rglob("*") if path.name == mark] == []


async def test_the_folder_of_a_cancelled_flow_is_removed(live: LiveInstance, api: Api) -> None:
    mark = "mark of a cancelled flow"
    write = step("w", py("open('./shared/' + mark, 'w')", mark=static(mark)), sleep=static(3600))
    job_id = await start_flow(api, shared(write, step("z", identity())))
    await module_comes_to(api, job_id, "w", "Success")
    await api.cancel(job_id)
    await api.ended(job_id)

    async def is_removed() -> bool:
        return not [path for path in Path(live.settings.data_dir).rglob("*") if path.name == mark]

    await eventually(is_removed)


async def test_without_the_setting_there_is_no_folder_and_a_hint(api: Api) -> None:
    job = await run_flow(api, flow(step("w", WRITE)))
    assert job["success"] is False
    error = job["result"]["error"]
    assert error["name"] == "FileNotFoundError"
    (made,) = (await api.get("jobs/completed/list", parent_job=job["id"])).json()
    assert "same_worker" in error["message"] + await api.logs(made["id"])


async def test_without_the_setting_the_client_names_it(api: Api) -> None:
    error = (await failure_of(api, flow(step("w", py("import wmill\nwmill.set_shared_state(1)")))))["error"]
    assert error["name"] == "SharedDirectoryMissing"
    assert "same_worker" in error["message"]


async def test_a_quota_is_an_error_by_name(api: Api) -> None:
    write = py("open('./shared/big', 'wb').write(bytes(2_000_000))\nreturn 'too much'")
    definition = shared(
        step("small", py("open('./shared/small', 'wb').write(bytes(1000))\nreturn 1")),
        step("big", write),
        step("z", identity()),
        shared_directory={"quota_bytes": 1_000_000},
    )
    job = await run_flow(api, definition)
    assert job["success"] is False
    error = job["result"]["error"]
    assert "quota" in error["message"].lower()
    assert error["step_id"] == "big"
