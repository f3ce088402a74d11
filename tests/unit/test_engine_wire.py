"""`flow_status` as clients read it: compat facts, flows 2.11."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from millpond.engine.events import Started, Woken
from millpond.engine.references import Place
from millpond.engine.wire import Child, missing_approvals, wire_status
from millpond.model.flow_status import NIL_JOB
from tests.unit.engine_flows import (
    branch,
    branch_all,
    branch_one,
    flow,
    identity,
    loop,
    py,
    static,
    while_loop,
)
from tests.unit.engine_interpreter import Job, Run, World

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def job_id(place: Place) -> str:
    """An id told from the place, for tests to name it."""
    return str(UUID(int=hash((place.module, place.attempt, place.index)) & (2**128 - 1)))


def written(run: Run, *, started: bool = True) -> dict[str, Any]:
    def child(place: Place, job: Job) -> Child:
        success = None if job.status is None else job.status == "success"
        return Child(UUID(job_id(place)), NOW if started else None, 5 if job.status else None, success)

    children = {place: child(place, job) for place, job in run.jobs.items()}
    text = msgspec.json.encode(wire_status(run.flow, run.status, run.id, children))
    return msgspec.json.decode(text, type=dict[str, Any])


def test_a_flow_that_has_not_begun() -> None:
    run = World().start(flow(identity("a"), identity("b")))
    assert written(run) == {
        "step": 0,
        "modules": [{"type": "WaitingForPriorSteps", "id": "a"}, {"type": "WaitingForPriorSteps", "id": "b"}],
        "failure_module": {"type": "WaitingForPriorSteps", "id": "failure"},
        "preprocessor_module": None,
        "cleanup_module": {},
    }
    run = World().start(flow(identity("a"), preprocessor_module=py("p", "lambda: {}")))
    assert written(run)["step"] == -1
    assert written(run)["preprocessor_module"] == {"type": "WaitingForPriorSteps", "id": "preprocessor"}


def test_a_step_waits_for_a_worker_then_is_in_progress_then_done() -> None:
    world = World()
    run = world.start(flow(py("a", "lambda: 1")))
    world.feed(run, Started())
    job = job_id(Place("a"))
    assert written(run, started=False)["modules"] == [{"type": "WaitingForExecutor", "id": "a", "job": job}]
    assert written(run)["modules"] == [{"type": "InProgress", "id": "a", "job": job}]
    world.settle()
    assert written(run)["modules"] == [{"type": "Success", "id": "a", "job": job, "skipped": False}]
    assert written(run)["step"] == 1


def test_a_parallel_loop_in_progress_and_done() -> None:
    world = World()
    run = world.start(flow(loop("a", [1, 2], py("b", "lambda: 1"), over={"parallel": True})))
    world.todo.clear()
    world.feed(run, Started())
    jobs = [job_id(Place("a", 0, index)) for index in range(2)]
    durations = {"started_at": ["2026-01-01T00:00:00Z"] * 2, "duration_ms": [None, None]}
    (step,) = written(run)["modules"]
    assert step == {
        "type": "InProgress",
        "id": "a",
        "job": str(run.id),
        "iterator": {"index": 1, "itered_len": 2},
        "flow_jobs": jobs,
        "flow_jobs_success": [None, None],
        "flow_jobs_duration": durations,
        "parallel": True,
    }
    world.settle()
    (step,) = written(run)["modules"]
    assert (step["type"], step["flow_jobs"], step["flow_jobs_success"]) == ("Success", jobs, [True, True])


def test_containers_tell_their_kind() -> None:
    world = World()
    run = world.start(flow(while_loop("w", py("b", "lambda: 1"))))
    world.feed(run, Started())
    assert written(run)["modules"][0]["while_loop"] is True
    run = World().start(flow(branch_all("x", branch(identity("i")), branch(), parallel=False)))
    run.world.feed(run, Started())
    assert written(run)["modules"][0]["branchall"] == {"branch": 0, "len": 2}
    for expr, chosen in (("True", {"type": "branch", "branch": 0}), ("False", {"type": "default"})):
        run = World().run(flow(branch_one("x", branch(expr=expr), default=[])))
        (step,) = written(run)["modules"]
        assert (step["type"], step["branch_chosen"], step["job"]) == ("Success", chosen, str(NIL_JOB))


def test_a_wait_shows_at_the_next_step_and_its_approvers_at_the_last() -> None:
    world = World()
    suspend = {"required_events": 2, "user_auth_required": True}
    run = world.run(flow(py("a", "lambda: 1", suspend=suspend), py("b", "lambda: 2")))
    world.approve(run, "a", 3, approver="ruben")
    status = written(run)
    assert status["modules"][1] == {
        "type": "WaitingForEvents",
        "id": "b",
        "count": 2,
        "job": job_id(Place("a")),
    }
    assert missing_approvals(run.flow, run.status) == 1
    assert status["approval_conditions"] == {
        "user_auth_required": True,
        "user_groups_required": [],
        "self_approval_disabled": False,
    }
    world.approve(run, "a", 4)
    world.settle()
    assert missing_approvals(run.flow, run.status) is None
    status = written(run)
    assert status["modules"][0]["approvers"] == [
        {"resume_id": 3, "approver": "ruben"},
        {"resume_id": 4, "approver": "anonymous"},
    ]
    assert "approval_conditions" not in status


def test_retries_show_while_they_last_and_with_the_step_afterwards() -> None:
    world = World()
    step = py("a", "lambda: fail(1)", retry={"constant": {"attempts": 1, "seconds": 3}})
    run = world.start(flow(step, failure_module=py("f", "lambda: 1")))
    world.feed(run, Started())
    job = next(entry for entry in world.todo if isinstance(entry, Job))
    world.todo.clear()
    world._execute(job)
    entry = world.todo.pop()
    assert isinstance(entry, tuple)
    world.feed(*entry)
    tries = [job_id(Place("a"))]
    assert written(run)["retry"] == {"fail_count": 1, "failed_jobs": tries}
    world.todo.clear()
    world.feed(run, Woken(run.status.waits))
    world.settle()
    status = written(run)
    assert "retry" not in status
    assert status["modules"][0] == {
        "type": "Failure", "id": "a", "job": job_id(Place("a", 1)), "failed_retries": tries
    }  # fmt: skip
    assert status["step"] == 1
    assert status["failure_module"] == {
        "type": "Success", "id": "failure", "job": job_id(Place("failure")), "skipped": False, "parent_module": "a"
    }  # fmt: skip


def test_skipped_and_never_started_steps() -> None:
    run = World().run(
        flow(identity("a", skip_if={"expr": "True"}), identity("b", sleep=static(-1)), identity("c"))
    )
    first, second, third = written(run)["modules"]
    assert (first["type"], first["skipped"]) == ("Success", True)
    assert second["type"] == "Success"
    assert third == {"type": "Failure", "id": "c", "job": str(NIL_JOB)}
