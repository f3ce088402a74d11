"""Approvals and cancellation: compat facts, flows 2.7, 2.10 and 6.D."""

from typing import Any

import pytest

from millpond.engine.events import CancelAsked, ChildEnded, Started, Woken
from millpond.engine.references import Place
from millpond.engine.status import Phase
from tests.unit.engine_flows import branch, branch_all, flow, identity, js, loop, py, static
from tests.unit.engine_interpreter import Run, World

SUSPENDED = {"n": "results.a", "resume": "resume", "resumes": "resumes", "approvers": "approvers"}
TELL = "lambda **names: names"


def waiting(**suspend: Any) -> Any:
    return flow(py("a", "lambda: 3", suspend={"required_events": 1, **suspend}), py("b", TELL, SUSPENDED))


def outcome(run: Run) -> tuple[str, Any]:
    assert run.finish is not None
    return run.finish.status, run.result


def test_a_flow_waits_for_its_approval_and_hands_on_the_payload() -> None:
    world = World()
    run = world.run(waiting())
    assert (run.status.phase, run.status.modules[1].state, run.finish) == (Phase.SUSPENDED, "suspended", None)
    assert [(effect.missing, effect.timeout_s) for _, effect in world.suspended] == [(1, 1800)]
    world.approve(run, "a", payload="from test")
    world.settle()
    told = {"n": 3, "resume": "from test", "resumes": ["from test"], "approvers": ["anonymous"]}
    assert outcome(run) == ("success", told)


def test_an_approval_during_the_step_itself_counts() -> None:
    world = World()
    run = world.start(waiting())
    world.feed(run, Started())
    world.approve(run, "a", payload="from job", approver="ruben")
    world.settle()
    assert world.suspended == []
    assert run.result["approvers"] == ["ruben"]


def test_two_approvals_are_two_different_ones() -> None:
    world = World()
    run = world.run(waiting(required_events=2))
    world.approve(run, "a", 7, "first")
    world.approve(run, "a", 7, "again")
    world.settle()
    assert run.finish is None
    world.approve(run, "a", 8, "second")
    world.settle()
    assert run.result["resumes"] == ["first", "second"]


def test_an_approval_of_the_flow_itself_opens_any_wait() -> None:
    world = World()
    run = world.start(waiting())
    world.approve(run, None, payload="early")
    world.settle()
    assert outcome(run)[0] == "success"
    assert run.result["resume"] == "early"


@pytest.mark.parametrize(("approver", "name"), [("ruben", "ruben"), (None, "unknown")])
def test_a_disapproval_ends_the_flow_without_its_failure_module(approver: str | None, name: str) -> None:
    world = World()
    run = world.run(waiting() | {"failure_module": py("f", "lambda: visits.append(1)")})
    world.approve(run, "a", approved=False, approver=approver)
    world.settle()
    error = {"error": {"name": "SuspendedDisapproved", "message": f"Disapproved by {name}"}}
    assert outcome(run) == ("failure", error)
    assert world.visits == []


def test_a_timeout_ends_the_flow() -> None:
    world = World()
    run = world.run(waiting(timeout=5))
    assert world.suspended[0][1].timeout_s == 5
    world.feed(run, Woken(run.status.waits))
    world.settle()
    error = {"error": {"name": "SuspendedTimedOut", "message": "Timed out waiting to be resumed"}}
    assert outcome(run) == ("failure", error)


@pytest.mark.parametrize("disapproved", [True, False])
def test_a_flow_may_go_on_after_a_disapproval_or_timeout(disapproved: bool) -> None:
    world = World()
    run = world.run(waiting(continue_on_disapprove_timeout=True))
    if disapproved:
        world.approve(run, "a", approved=False)
    else:
        world.feed(run, Woken(run.status.waits))
    world.settle()
    name = "SuspendedDisapproved" if disapproved else "SuspendedTimedOut"
    assert outcome(run)[0] == "success"
    assert run.result["resume"]["error"]["name"] == name


def test_who_may_approve_is_told_and_an_unclear_rule_lets_nobody() -> None:
    world = World()
    run = world.run(waiting(user_groups_required=js("['ops']"), self_approval_disabled=True))
    assert run.status.conditions is not None
    assert run.status.conditions.user_groups_required == ("ops",)
    assert run.status.conditions.self_approval_disabled
    for unclear in (js("None"), js("'ops'"), js("[1]"), static({})):
        assert outcome(World().run(waiting(user_groups_required=unclear)))[0] == "failure"


def test_a_wait_after_the_last_step_and_within_a_branch_takes_effect() -> None:
    world = World()
    last = py("a", "lambda: 3", suspend={"required_events": 1})
    run = world.run(flow(branch_all("x", branch(last), branch(identity("i")))))
    inner = world.suspended[0][0]
    assert (run.finish, inner.flow.modules[1].id) == (None, "a-v")
    world.approve(inner, "a")
    world.settle()
    assert run.result == [3, {}]


def test_a_skipped_step_waits_for_nobody() -> None:
    definition = waiting()
    definition["modules"][0]["skip_if"] = {"expr": "True"}
    definition["modules"][0]["sleep"] = static(9)
    world = World()
    assert outcome(world.run(definition))[0] == "success"
    assert world.slept == []


CANCEL = CancelAsked("henri", "enough")
CANCELED = {
    "error": {
        "name": "Canceled", "message": "Job canceled: enough by henri", "reason": "enough", "canceler": "henri"
    }
}  # fmt: skip


def test_a_flow_that_rests_is_cancelled_at_once() -> None:
    for definition in (waiting(), waiting(required_events=3)):
        world = World()
        run = world.run(definition)
        world.feed(run, CANCEL)
        assert outcome(run) == ("canceled", CANCELED)
        world.approve(run, "a")
        world.feed(run, Woken(run.status.waits))
        assert world.todo == []


def test_a_cancelled_flow_ends_when_its_children_have() -> None:
    handler = py("f", "lambda: visits.append(1)")
    retry = {"constant": {"attempts": 5}}
    nested = loop(
        "l", list(range(6)), py("s", "lambda: 1"), identity("t"), over={"parallel": True}, retry=retry
    )
    for steps in range(1, 20):
        world = World()
        run = world.start(
            flow(branch_all("x", branch(nested), branch(py("q", "lambda: 1"))), failure_module=handler)
        )
        for _ in range(min(steps, len(world.todo))):
            entry = world.todo.pop(0)
            world.feed(*entry) if isinstance(entry, tuple) else world._execute(entry)
        world.feed(run, CANCEL)
        world.settle()
        assert outcome(run) == ("canceled", CANCELED)
        assert world.visits == []
        assert all(other.finish is not None for other in world.runs.values())


def test_force_does_not_wait_for_children() -> None:
    world = World()
    run = world.start(flow(py("a", "lambda: 1")))
    world.feed(run, Started())
    world.feed(run, CANCEL)
    ended = run.finish
    assert (ended, run.status.phase) == (None, Phase.CANCELING)
    world.feed(run, CancelAsked("henri", "enough", force=True))
    assert outcome(run)[0] == "canceled"


@pytest.mark.parametrize(
    "settings", [{"retry": {"constant": {"attempts": 3}}}, {"continue_on_error": True}, {}], ids=str
)
def test_a_step_somebody_cancelled_ends_the_flow(settings: dict[str, Any]) -> None:
    world = World()
    run = world.start(
        flow(
            py("a", "lambda: 1", **settings), py("b", "lambda: 2"), failure_module=py("failure", "lambda: 3")
        )
    )
    world.feed(run, Started())
    world._cancel(run.jobs[Place("a")])
    world.settle()
    assert outcome(run)[0] == "canceled"
    assert len(run.jobs) == 1


def test_one_turn_of_a_loop_that_is_cancelled_ends_the_others_and_the_flow() -> None:
    world = World()
    body = [py("b", "lambda: 1"), py("c", "lambda: 2")]
    looped = {"type": "forloopflow", "iterator": {"type": "static", "value": [1, 2, 3]}, "modules": body}
    run = world.start(flow({"id": "a", "value": {**looped, "parallel": True, "skip_failures": True}}))
    world.feed(run, Started())
    world._cancel(run.jobs[Place("a", 0, 1)])
    world.settle()
    assert outcome(run)[0] == "canceled"
    assert all(job.status is not None for job in run.jobs.values())


@pytest.mark.parametrize("place", [Place("a", 1), Place("b"), Place("a", 0, 0)])
def test_ends_of_jobs_nobody_waits_for_change_nothing(place: Place) -> None:
    world = World()
    run = world.start(flow(py("a", "lambda: 1"), py("b", "lambda: 2")))
    world.feed(run, Started())
    before = run.status
    world.feed(run, ChildEnded(place, "success"))
    assert run.status == before


def test_a_late_alarm_for_a_rest_does_not_end_a_wait_for_approvals() -> None:
    world = World()
    definition = waiting()
    definition["modules"].insert(0, identity("z", sleep=static(1)))
    run = world.run(definition)
    assert world.slept == [1]
    before = run.status
    world.feed(run, Woken(1))
    assert run.status == before
    assert before.phase is Phase.SUSPENDED
    world.feed(run, Woken(2))
    assert outcome(run)[0] == "failure"


def test_two_waits_with_nothing_to_run_between_them_are_both_waited_for() -> None:
    world = World()
    suspend = {"required_events": 1}
    run = world.run(flow(identity("a", suspend=suspend), loop("b", [], suspend=suspend)))
    world.approve(run, "a")
    world.settle()
    assert [effect.place.module for _, effect in world.suspended] == ["a", "b"]
    world.approve(run, "b")
    world.settle()
    assert outcome(run) == ("success", [])


def test_a_cancelled_loop_ends_with_the_last_of_its_children() -> None:
    world = World()
    run = world.start(flow(loop("a", [1, 2, 3], py("b", "lambda: 1"), over={"parallel": True})))
    world.todo.clear()
    world.feed(run, Started())
    world.feed(run, CANCEL)
    for index in range(3):
        ended = run.finish
        assert ended is None
        entry = world.todo.pop(0)
        assert isinstance(entry, tuple)
        world.feed(*entry)
        assert run.status.phase is (Phase.ENDED if index == 2 else Phase.CANCELING)
