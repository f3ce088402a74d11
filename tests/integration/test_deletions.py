"""What runs were given, returned and printed is forgotten when they ask for it, and not before."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from millpond.base.ids import new_job_id
from millpond.engine.references import Constant, ResultOf
from millpond.engine.references import Place as At
from millpond.engine.status import FlowStatus, ModuleStatus
from millpond.model.jobs import NewJob
from millpond.store import deletions
from millpond.store import queue as store
from tests.integration.live_instance import Api, LiveInstance, eventually

PATH = "u/admin/forgetful"
CODE = "def main(secret='s'):\n    print('printed', secret)\n    return {'returned': secret}"


async def deploy(api: Api, path: str = PATH, code: str = CODE, **settings: Any) -> None:
    await api.deploy(path, code, lock="# py: 3.11\n", **settings)


async def start(api: Api, path: str = PATH, **query: Any) -> str:
    answer = await api.post(f"jobs/run/p/{path}", {"secret": "hush"}, **query)
    assert answer.status_code == 201, answer.text
    return answer.text


async def due_in(live: LiveInstance, job_id: object) -> float | None:
    """Seconds after its end until a job is to be forgotten."""
    rows = await live.execute(
        "SELECT extract(epoch FROM d.due_at - c.completed_at)::float8 AS secs FROM job_deletion d"
        " JOIN job_completed c USING (workspace_id, job_id) WHERE d.job_id = $1",
        UUID(str(job_id)),
    )
    return rows[0]["secs"] if rows else None


async def let_time_pass(live: LiveInstance) -> None:
    await live.execute("UPDATE job_deletion SET due_at = now() - interval '1 s'")


async def is_deleted(api: Api, job_id: object) -> bool:
    return (await api.job(str(job_id))).get("deleted") is True


async def assert_forgotten(live: LiveInstance, job_id: object) -> None:
    job = await live.api.job(str(job_id))
    assert (job["deleted"], job["args"], job["result"], job["logs"]) == (True, {}, {}, "##DELETED##")
    rows = await live.execute(
        "SELECT (SELECT count(*) FROM job_log WHERE job_id = $1) AS lines,"
        " (SELECT args::text FROM job WHERE id = $1) AS args,"
        " (SELECT result::text FROM job_completed WHERE job_id = $1) AS result",
        UUID(str(job_id)),
    )
    assert rows == [{"lines": 0, "args": "{}", "result": "{}"}]


@pytest.mark.parametrize("setting", [{"delete_after_use": True}, {"delete_after_secs": 0}])
async def test_a_script_is_forgotten_after_use_once_its_result_could_be_read(
    idle: LiveInstance, setting: dict[str, Any]
) -> None:
    await deploy(idle.api, **setting)
    async with idle.worker():
        answer = await idle.api.post(f"jobs/run_wait_result/p/{PATH}", {"secret": "hush"})
        assert answer.json() == {"returned": "hush"}
        job_id = await start(idle.api)
        assert (await idle.api.ended(job_id))["result"] == {"returned": "hush"}
    secs = await due_in(idle, job_id)
    assert secs == pytest.approx(deletions.RESULT_GRACE_SECS, abs=0.5)
    await let_time_pass(idle)
    # The leader does it by itself.
    await eventually(lambda: is_deleted(idle.api, job_id))
    await assert_forgotten(idle, job_id)
    assert await idle.execute("SELECT * FROM job_deletion") == []


async def test_a_script_is_kept_for_as_long_as_it_says(idle: LiveInstance) -> None:
    await deploy(idle.api, delete_after_secs=3600)
    await deploy(idle.api, "u/admin/kept")
    async with idle.worker():
        job_id, kept = await start(idle.api), await start(idle.api, "u/admin/kept")
        await idle.api.ended(job_id)
        await idle.api.ended(kept)
    assert await due_in(idle, job_id) == pytest.approx(3600, abs=1)
    assert await due_in(idle, kept) is None
    async with idle.database.transaction() as transaction:
        assert await deletions.wipe_due(transaction) == 0
    assert (await idle.api.job(job_id))["result"] == {"returned": "hush"}


async def test_a_failed_run_and_a_cancelled_one_are_forgotten_too(idle: LiveInstance) -> None:
    await deploy(idle.api, code="def main(secret): raise ValueError(secret)", delete_after_use=True)
    canceled = await start(idle.api)
    await idle.api.cancel(canceled)
    async with idle.worker():
        failed = await start(idle.api)
        assert (await idle.api.ended(failed))["success"] is False
    await let_time_pass(idle)
    for job_id in (failed, canceled):
        await eventually(lambda job_id=job_id: is_deleted(idle.api, job_id))  # type: ignore[misc]
        await assert_forgotten(idle, job_id)


async def test_a_copy_of_a_result_is_forgotten_with_it(idle: LiveInstance) -> None:
    await deploy(idle.api, cache_ttl=3600, delete_after_secs=60)
    async with idle.worker():
        await idle.api.ended(await start(idle.api))
    (cached,) = await idle.execute(
        "SELECT extract(epoch FROM expires_at - created_at) AS secs FROM result_cache"
    )
    assert cached["secs"] == 60
    await let_time_pass(idle)
    async with idle.database.transaction() as transaction:
        await deletions.wipe_due(transaction)
    assert await idle.execute("SELECT * FROM result_cache") == []


class Tree:
    """A run of a flow with its steps, made by the test: `root` > `a`, `loop` > `item`."""

    def __init__(self, live: LiveInstance, **marks: int) -> None:
        self.live = live
        self.ids = {name: new_job_id() for name in ("root", "a", "loop", "item")}
        self.marks = marks

    def job(self, name: str, kind: str, parent: str | None) -> NewJob:
        return NewJob(
            id=self.ids[name],
            workspace_id="main",
            kind=kind,  # type: ignore[arg-type]
            args='{"secret": "hush"}',
            tag="x",
            created_by="admin",
            permissioned_as="u/admin",
            email="admin@localhost",
            parent_job=self.ids[parent] if parent else None,
            root_job=self.ids["root"] if parent else None,
            flow_step_id=name if parent else None,
            delete_after_s=self.marks.get(name),
        )

    async def push(self) -> "Tree":
        jobs = [
            self.job("root", "flow", None),
            self.job("a", "flowscript", "root"),
            self.job("loop", "flownode", "root"),
            self.job("item", "flowscript", "loop"),
        ]
        async with self.live.database.statement() as connection:
            await store.push_jobs(connection, jobs)
        return self

    async def end(self, *names: str) -> None:
        for name in names:
            job_id = self.ids[name]
            await self.live.execute("DELETE FROM job_queue WHERE job_id = $1", job_id)
            await self.live.execute(
                "INSERT INTO job_completed (workspace_id, job_id, status, result, duration_ms)"
                " VALUES ('main', $1, 'success', '\"hush\"', 1)",
                job_id,
            )
            await self.live.execute(
                "INSERT INTO job_log (workspace_id, job_id, kind, chunk, start_character, content)"
                " VALUES ('main', $1, 'log', 0, 0, 'hush')",
                job_id,
            )

    async def root_ended(self) -> int:
        async with self.live.database.transaction() as transaction:
            return await deletions.wipe_tree_now(transaction, "main", self.ids["root"])

    async def wiped(self) -> set[str]:
        rows = await self.live.execute("SELECT job_id FROM job_completed WHERE deleted")
        names = {job_id: name for name, job_id in self.ids.items()}
        return {names[row["job_id"]] for row in rows}


ALL = ("root", "a", "loop", "item")


async def test_a_step_is_forgotten_when_its_flow_ends_and_the_others_stay(idle: LiveInstance) -> None:
    tree = await Tree(idle, a=0).push()
    await tree.end(*ALL)
    assert await tree.wiped() == set()
    assert await tree.root_ended() == 1
    assert await tree.wiped() == {"a"}
    await assert_forgotten(idle, tree.ids["a"])
    assert (await idle.api.job(str(tree.ids["item"])))["result"] == "hush"
    async with idle.database.statement() as connection:
        assert await deletions.to_clean(connection, "main", tree.ids["root"]) == [tree.ids["a"]]


async def test_a_step_with_steps_of_its_own_is_forgotten_whole(idle: LiveInstance) -> None:
    tree = await Tree(idle, loop=0).push()
    await tree.end(*ALL)
    assert await tree.root_ended() == 2
    assert await tree.wiped() == {"loop", "item"}


async def test_a_step_may_be_kept_for_a_while_after_its_flow(idle: LiveInstance) -> None:
    tree = await Tree(idle, a=120, item=0).push()
    await tree.end(*ALL)
    await tree.root_ended()
    assert await tree.wiped() == {"item"}
    assert await due_in(idle, tree.ids["a"]) == pytest.approx(120, abs=5)
    await let_time_pass(idle)
    async with idle.database.transaction() as transaction:
        await deletions.wipe_due(transaction)
    assert await tree.wiped() == {"a", "item"}


async def test_a_step_that_still_runs_is_forgotten_once_it_has_ended(idle: LiveInstance) -> None:
    tree = await Tree(idle, loop=0).push()
    await tree.end("root", "a", "loop")
    await tree.root_ended()
    assert await tree.wiped() == {"loop"}
    await let_time_pass(idle)
    async with idle.database.transaction() as transaction:
        assert await deletions.wipe_due(transaction) == 1
        assert await deletions.wipe_due(transaction) == 0
    await tree.end("item")
    await let_time_pass(idle)
    async with idle.database.transaction() as transaction:
        await deletions.wipe_due(transaction)
    assert await tree.wiped() == {"loop", "item"}
    assert await idle.execute("SELECT * FROM job_deletion") == []


async def test_of_a_forgotten_flow_nothing_is_left_but_its_course(idle: LiveInstance) -> None:
    tree = await Tree(idle, root=0).push()
    root = tree.ids["root"]
    status = FlowStatus(
        step=1,
        modules=(
            ModuleStatus(result=Constant(msgspec.Raw(b'{"mock":"hush"}'))),
            ModuleStatus(result=ResultOf(At("a", 2))),
        ),
    )
    await idle.execute("DELETE FROM flow_status WHERE job_id = $1", root)
    await idle.execute(
        "INSERT INTO flow_status (workspace_id, job_id, status, args, early_result) VALUES ('main', $1, $2, $3, $3)",
        root,
        msgspec.json.encode(status).decode(),
        '"hush"',
    )
    await idle.execute(
        "INSERT INTO flow_item (workspace_id, flow_job, module, attempt, number, item)"
        " VALUES ('main', $1, 'loop', 0, 0, '\"hush\"')",
        root,
    )
    await idle.execute(
        "INSERT INTO flow_user_state (workspace_id, flow_job, key, value) VALUES ('main', $1, 'k', '\"hush\"')",
        root,
    )
    await idle.execute(
        "INSERT INTO flow_approval (workspace_id, flow_job, job_id, resume_id, approver, approved, payload)"
        " VALUES ('main', $1, $2, 1, 'henri', true, '\"hush\"')",
        root,
        tree.ids["a"],
    )
    await tree.end(*ALL)
    await tree.root_ended()
    # Who waits for the result of the flow can still read it.
    assert await tree.wiped() == set()
    await let_time_pass(idle)
    async with idle.database.transaction() as transaction:
        await deletions.wipe_due(transaction)
    assert await tree.wiped() == set(ALL)
    (row,) = await idle.execute("SELECT * FROM flow_status WHERE job_id = $1", root)
    assert (row["args"], row["early_result"]) == (None, None)
    left = msgspec.json.decode(row["status"], type=FlowStatus)
    assert left.step == 1
    assert left.modules[0].result == Constant(msgspec.Raw(b"{}"))
    assert left.modules[1] == status.modules[1]
    for table in ("flow_item", "flow_user_state"):
        assert await idle.execute(f"SELECT * FROM {table}") == []
    (approval,) = await idle.execute("SELECT approver, payload::text FROM flow_approval")
    assert approval == {"approver": "henri", "payload": "null"}
