"""What flows come to: the cases of compat facts, flows 6.A, and those near them."""

from typing import Any

import msgspec
import pytest

from millpond.engine.events import Started
from tests.unit.engine_flows import (
    branch,
    branch_all,
    branch_one,
    flow,
    identity,
    js,
    loop,
    module,
    py,
    static,
    while_loop,
)
from tests.unit.engine_interpreter import World

ITERATION = "lambda n: n if n <= 1 else fail(n)"
DOUBLE = py("c", "lambda n: n * 2", {"n": "flow_input.iter.value"})
STOPPING = py(
    "b", "lambda n: n", {"n": "flow_input.n"}, stop_after_if={"expr": "result < 0", "skip_if_stopped": False}
)
LAST = py("z", "lambda n: f'last step saw {n}'", {"n": "previous_result"})


def push(module_id: str, number: int, onto: str) -> dict[str, Any]:
    return py(module_id, f"lambda onto: [*onto, {number}]", {"onto": onto})


RESULTS: list[tuple[str, Any, Any, Any]] = [
    ("empty", flow(), {"x": 1}, {"x": 1}),
    ("identities", flow(py("a", "lambda: 42"), identity("b"), identity("c"), identity("d")), {}, 42),
    ("identity first", flow(identity("a")), {"x": 1}, {"x": 1}),
    ("loop", flow(py("a", "lambda: [1, 2, 3]"), loop("b", "result", DOUBLE)), {}, [2, 4, 6]),
    (
        "loop over nothing",
        flow(loop("a", [], DOUBLE), py("s", "lambda r: sum(r)", {"r": "results.a"})),
        {},
        0,
    ),
    ("only a loop over nothing", flow(loop("a", [], DOUBLE)), {}, []),
    ("loop without a body", flow(loop("a", [1, 2])), {}, []),
    (
        "step after a loop",
        flow(
            loop("a", [2, 3, 4], py("b", "lambda n: n", {"n": "flow_input.iter.value"})),
            py("s", "lambda r: sum(r)", {"r": "results.a"}),
        ),
        {},
        9,
    ),
    (
        "loop of many steps",
        flow(loop("a", [1, 2], DOUBLE, py("d", "lambda n: n + 1", {"n": "previous_result"}))),
        {},
        [3, 5],
    ),
    (
        "loop in a loop",
        flow(
            loop(
                "a",
                [1, 2],
                loop(
                    "b",
                    [10, 20],
                    py(
                        "c",
                        "lambda x, y: x + y",
                        {"x": "flow_input.iter.value", "y": "flow_input.iter_parent.value"},
                    ),
                ),
            )
        ),
        {},
        [[11, 21], [12, 22]],
    ),
    (
        "result by id",
        flow(
            py("a", "lambda: 42"),
            branch_all("b", branch(branch_all("c", branch(py("d", "lambda n: n", {"n": "results.a"}))))),
        ),
        {},
        [[42]],
    ),
    ("stop not met", flow(STOPPING, LAST), {"n": 123}, "last step saw 123"),
    ("stop met", flow(STOPPING, LAST), {"n": -123}, -123),
    (
        "nested stop not met",
        flow(branch_all("a", branch(STOPPING), parallel=False), LAST),
        {"n": 123},
        "last step saw [123]",
    ),
    (
        "nested stop met",
        flow(branch_all("a", branch(STOPPING), branch(identity("q")), parallel=False), LAST),
        {"n": -123},
        [-123],
    ),
    (
        "stop in a chosen branch",
        flow(branch_one("a", default=[STOPPING, identity("q")]), LAST),
        {"n": -1},
        -1,
    ),
    (
        "stop in a parallel branch",
        flow(branch_all("a", branch(STOPPING, identity("q"))), LAST),
        {"n": -1},
        "last step saw [-1]",
    ),
    (
        "stop in a loop breaks it",
        flow(
            loop(
                "a",
                [1, 2, 3],
                py("b", "lambda n: n", {"n": "flow_input.iter.value"}, stop_after_if={"expr": "result == 2"}),
            ),
            LAST,
        ),
        {},
        "last step saw [1, 2]",
    ),
    (
        "branchone default",
        flow(py("a", "lambda: [1]"), branch_one("b", default=[push("c", 2, "results.a")])),
        {},
        [1, 2],
    ),
    (
        "branchone",
        flow(
            py("a", "lambda: [1]"),
            branch_one(
                "b",
                branch(push("c", 3, "results.a"), expr="results.a[0] == 1"),
                default=[push("d", 2, "results.a")],
            ),
        ),
        {},
        [1, 3],
    ),
    ("branchone without steps", flow(py("a", "lambda: 7"), branch_one("b", default=[])), {}, 7),
    (
        "broken predicate behind the true one",
        flow(branch_one("b", branch(py("c", "lambda: 1"), expr="True"), branch(expr="1 / 0"), default=[])),
        {},
        1,
    ),
    (
        "branchall",
        flow(
            py("a", "lambda: [1]"),
            branch_all("b", branch(push("c", 2, "results.a")), branch(push("d", 3, "results.a"))),
        ),
        {},
        [[1, 2], [1, 3]],
    ),
    ("branchall without branches", flow(branch_all("b")), {}, []),
    ("branch without steps", flow(branch_all("b", branch())), {"x": 1}, [{"x": 1}]),
    (
        "branchall failure skipped",
        flow(
            branch_all(
                "b", branch(py("c", "lambda: fail('no')"), skip_failure=True), branch(py("d", "lambda: 3"))
            ),
            py("e", "lambda r: r[1]", {"r": "results.b"}),
        ),
        {},
        3,
    ),
    (
        "nested branchone",
        flow(
            py("a", "lambda: []"),
            push("id_1", 1, "results.a"),
            branch_one(
                "b",
                branch(expr="False"),
                branch(
                    branch_one("i", branch(expr="False"), default=[push("j", 2, "results.id_1")]), expr="True"
                ),
                default=[push("k", -4, "results.id_1")],
            ),
            push("l", 3, "results.b"),
        ),
        {},
        [1, 2, 3],
    ),
    (
        "nested branchall",
        flow(
            py("a", "lambda: [1]"),
            branch_all(
                "x",
                branch(
                    branch_all("b", branch(push("c", 2, "results.a")), branch(push("d", 3, "results.a"))),
                    branch_all("e", branch(push("f", 4, "results.b")), branch(push("g", 5, "results.b"))),
                ),
                branch(push("h", 6, "results.a")),
            ),
        ),
        {},
        [[[[1, 2], [1, 3], 4], [[1, 2], [1, 3], 5]], [1, 6]],
    ),
    ("unknown result", flow(py("a", "lambda n: n", {"n": "results.nope"})), {}, None),
    (
        "mock",
        flow(py("a", "lambda: fail(1)", mock={"enabled": True, "return_value": [1]}), identity("b")),
        {},
        [1],
    ),
    ("mock without a value", flow(loop("a", "1 / 0", mock={"enabled": True})), {}, None),
    (
        "skipped step",
        flow(
            py("a", "lambda: 1"), py("b", "lambda: fail(1)", skip_if={"expr": "result == 1"}), identity("c")
        ),
        {},
        1,
    ),
    (
        "skipped loop",
        flow(
            py("a", "lambda: 1"),
            loop("b", [1], DOUBLE, skip_if={"expr": "True"}, stop_after_if={"expr": "fail(1)"}),
        ),
        {},
        1,
    ),
    (
        "while",
        flow(
            while_loop(
                "a",
                py("b", "lambda i: i", {"i": "flow_input.iter.index"}),
                stop_after_if={"expr": "result == 3"},
            )
        ),
        {},
        [0, 1, 2, 3],
    ),
    (
        "while stopped inside",
        flow(
            while_loop(
                "a",
                py("b", "lambda i: i", {"i": "flow_input.iter.index"}, stop_after_if={"expr": "result == 2"}),
            ),
            identity("c"),
        ),
        {},
        [0, 1, 2],
    ),
    ("while without a body", flow(while_loop("a")), {}, []),
    (
        "all_iters",
        flow(loop("a", [5, 6, 7], DOUBLE, stop_after_if={"expr": "len(all_iters) == 2"})),
        {},
        [10, 12],
    ),
    (
        "stop after all",
        flow(loop("a", [1, 2], DOUBLE, stop_after_all_iters_if={"expr": "result == [2, 4]"}), LAST),
        {},
        [2, 4],
    ),
    ("direct input", flow(py("a", "lambda x: x", pass_flow_input_directly=True)), {"x": 5}, 5),
    (
        "continue on error",
        flow(
            py("a", "lambda: fail('x')", continue_on_error=True),
            py("b", "lambda e: e", {"e": "error.message"}),
        ),
        {},
        "x",
    ),
    (
        "sub-flow",
        flow(module("a", "flow", {"path": "f/sub", "input_transforms": {"n": static(-1)}}), LAST),
        {},
        "last step saw -1",
    ),
]
FLOWS = {
    "f/sub": flow(STOPPING, LAST),
    "f/bad": flow(py("a", "lambda: fail('sub')"), failure_module=py("f", "lambda: 1")),
}


@pytest.mark.parametrize(
    ("definition", "arguments", "result"), [case[1:] for case in RESULTS], ids=[case[0] for case in RESULTS]
)
def test_flow_succeeds_with_its_result(definition: Any, arguments: Any, result: Any) -> None:
    run = World(flows=FLOWS).run(definition, arguments)
    assert run.finish is not None
    assert (run.result, run.finish.status) == (result, "success")


FAILURES: list[tuple[str, Any, Any]] = [
    (
        "iterator is no array",
        flow(loop("a", "flow_input", DOUBLE)),
        "invalid type: map, expected a sequence at line 1 column 0",
    ),
    ("iterator is a string", flow(loop("a", "'x'", DOUBLE)), 'invalid type: string "x"'),
    (
        "iterator breaks",
        flow(loop("a", "1 / 0", DOUBLE)),
        "Error during isolated evaluation of expression `1 / 0`:",
    ),
    (
        "input breaks",
        flow(py("a", "lambda n: n", {"n": "1 / 0"})),
        "Error during isolated evaluation of expression `1 / 0`:",
    ),
    (
        "input of an iteration breaks",
        flow(
            loop(
                "a",
                [1, 0],
                py("b", "lambda n: n", {"n": "1 / flow_input.iter.value"}),
                over={"skip_failures": False},
            )
        ),
        "Error during isolated",
    ),
    ("predicate breaks", flow(branch_one("a", branch(expr="1 / 0"), default=[])), "Error during isolated"),
    ("skip_if breaks", flow(identity("a", skip_if={"expr": "1 / 0"})), "Error during isolated"),
    ("skip_expr breaks", flow(identity("a"), skip_expr="1 / 0"), "Error during isolated"),
    ("stop breaks", flow(identity("a", stop_after_if={"expr": "1 / 0"})), "Error during isolated"),
    (
        "stop after all breaks",
        flow(loop("a", [1], DOUBLE, stop_after_all_iters_if={"expr": "1 / 0"})),
        "Error during isolated",
    ),
    (
        "loop stop breaks",
        flow(loop("a", [1], DOUBLE, stop_after_if={"expr": "1 / 0"})),
        "Error during isolated",
    ),
    (
        "sleep is negative",
        flow(identity("a", sleep=static(-1)), identity("b")),
        "Expected an integer, found: -1",
    ),
    ("sleep is text", flow(identity("a", sleep=js("'x'"))), "Expected an integer, found:"),
    (
        "sleep is too long to be stored",
        flow(identity("a", sleep=static(1e17)), identity("b")),
        "Expected at most 315360000 seconds, found: 1e17",
    ),
    (
        "sleep has too many digits",
        flow(identity("a", sleep=js("10 ** 400")), identity("b")),
        "Expected at most 315360000 seconds, found: 1000",
    ),
    (
        "timeout is too long to be stored",
        flow(py("a", "lambda: 1", timeout=js("2 ** 31"))),
        "Expected at most 315360000 seconds, found: 2147483648",
    ),
    ("timeout is text", flow(py("a", "lambda: 1", timeout=static("x"))), "Expected an integer, found:"),
    (
        "stop with a message",
        flow(identity("a", stop_after_if={"expr": "True", "error_message": "enough"}), identity("b")),
        "'name': 'EarlyStopError', 'message': 'enough'}",
    ),
    (
        "stop with an empty message",
        flow(identity("a", stop_after_if={"expr": "True", "error_message": ""}), identity("b")),
        "stop after if: True",
    ),
    (
        "stop with its result",
        flow(
            py(
                "a",
                "lambda: 9",
                stop_after_if={"expr": "True", "error_message": "m", "error_include_result": True},
            )
        ),
        "'message': 'm', 'result': 9}",
    ),
    (
        "stop is no error to go on from",
        flow(
            identity("a", continue_on_error=True, stop_after_if={"expr": "True", "error_message": "enough"}),
            identity("b"),
        ),
        "enough",
    ),
    (
        "branch fails",
        flow(branch_all("b", branch(py("c", "lambda: fail('no')")), branch(py("d", "lambda: 3")))),
        "[{'error': {'name': 'StepError', 'message': 'no', 'step_id': 'c'}}, 3]",
    ),
    (
        "branch fails in order",
        flow(
            branch_all(
                "b",
                branch(py("c", "lambda: fail('no')")),
                branch(py("d", "lambda: visits.append(1)")),
                parallel=False,
            )
        ),
        "[{'error': {'name': 'StepError', 'message': 'no', 'step_id': 'c'}}]",
    ),
    ("while fails", flow(while_loop("a", py("b", "lambda: fail('no')"))), "[{'error'"),
    (
        "continue on error at the end",
        flow(py("a", "lambda: fail('x')", continue_on_error=True), failure_module=py("f", "lambda: 1")),
        "'message': 'x'",
    ),
    ("preprocessor fails", flow(identity("a"), preprocessor_module=py("p", "lambda: fail('pre')")), "pre"),
    ("sub-flow fails", flow(module("a", "flow", {"path": "f/bad"})), "1"),
]


@pytest.mark.parametrize(
    ("definition", "text"), [case[1:] for case in FAILURES], ids=[case[0] for case in FAILURES]
)
def test_flow_fails_with_its_error(definition: Any, text: str) -> None:
    world = World(flows=FLOWS)
    run = world.run(definition)
    assert run.finish is not None
    assert run.finish.status == "failure"
    assert text in str(run.result)
    assert world.visits == [], "nothing ran after the failure"


def test_a_sequential_loop_stops_at_its_first_failure() -> None:
    body = py("b", ITERATION, {"n": "flow_input.iter.value"})
    definition = flow(loop("a", "result.items", body, over={"skip_failures": False}))
    # `items` is a method of Python's dicts, so the iterator asks for it by key.
    definition["modules"][0]["value"]["iterator"] = js("result['items']")
    assert World().run(definition, {"items": []}).result == []
    run = World().run(definition, {"items": list(range(257))})
    assert run.finish is not None
    assert run.finish.status == "failure"
    assert len(run.result) == 3
    assert "2" in run.result[2]["error"]["message"]


def test_a_parallel_loop_runs_all_and_fails_at_the_end() -> None:
    body = py("b", ITERATION, {"n": "flow_input.iter.value"})
    world = World()
    run = world.run(flow(loop("a", list(range(50)), body, over={"skip_failures": False, "parallel": True})))
    assert run.finish is not None
    assert run.finish.status == "failure"
    assert len(run.result) == 50
    assert "2" in run.result[2]["error"]["message"]
    assert world.most_at_once == 50


@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize("body", [[DOUBLE], [DOUBLE, identity("i")]], ids=["one step", "two steps"])
def test_parallelism_bounds_what_runs_at_once(limit: int, body: Any) -> None:
    world = World()
    run = world.run(flow(loop("a", list(range(9)), *body, over={"parallel": True, "parallelism": limit})))
    assert run.result == [number * 2 for number in range(9)]
    assert 1 <= world.most_at_once <= limit


@pytest.mark.parametrize("limit", [{}, {"parallelism": 5_000}], ids=["no limit", "a high limit"])
@pytest.mark.parametrize("body", [[DOUBLE], [DOUBLE, identity("i")]], ids=["one step", "two steps"])
def test_a_long_parallel_loop_runs_a_thousand_items_at_once(limit: Any, body: Any) -> None:
    world = World()
    run = world.run(flow(loop("a", list(range(1_500)), *body, over={"parallel": True, **limit})))
    assert run.result == [number * 2 for number in range(1_500)]
    assert _most_children_at_once(1_500, *body, over={"parallel": True, **limit}) == 1_000


def test_many_branches_run_a_thousand_at_once() -> None:
    branches = [branch(py(f"b{number}", f"lambda: {number}")) for number in range(1_100)]
    world = World()
    run = world.start(flow(branch_all("a", *branches)))
    world.feed(run, Started())
    assert len(run.jobs) == 1_000
    world.settle()
    assert run.result == list(range(1_100))


def _most_children_at_once(count: int, *body: Any, over: Any) -> int:
    """How many children are pushed before the first of them ends."""
    world = World()
    run = world.start(flow(loop("a", list(range(count)), *body, over=over)))
    world.feed(run, Started())
    return len(run.jobs)


def test_skipping_the_whole_flow() -> None:
    run = World().run(flow(py("a", "lambda: fail(1)"), skip_expr="flow_input.n == 1"), {"n": 1})
    assert run.finish is not None
    assert run.finish.status == "skipped"
    assert World().run(flow(py("a", "lambda: 4"), skip_expr="flow_input.n == 1"), {"n": 2}).result == 4


def test_a_stop_may_show_the_flow_as_skipped() -> None:
    stop = {"expr": "True", "skip_if_stopped": True}
    run = World().run(flow(py("a", "lambda: 4", stop_after_if=stop), identity("b")))
    assert run.finish is not None
    assert (run.finish.status, run.result) == ("skipped", 4)
    assert run.status.modules[0].skipped
    nested = World().run(
        flow(branch_one("x", default=[py("a", "lambda: 4", stop_after_if=stop)]), identity("b"))
    )
    assert nested.finish is not None
    assert (nested.finish.status, nested.result) == ("skipped", 4)


def test_a_stop_with_skip_and_message_is_skipped_with_the_error_as_result() -> None:
    stop = {"expr": "True", "skip_if_stopped": True, "error_message": "m"}
    run = World().run(flow(py("a", "lambda: 4", stop_after_if=stop)))
    assert run.finish is not None
    assert (run.finish.status, run.result["error"]["message"]) == ("skipped", "m")


def test_sleep_comes_after_its_step_and_before_the_next_one() -> None:
    world = World()
    world.run(
        flow(py("a", "lambda: visits.append('a')", sleep=static(1.5)), py("b", "lambda: visits.append('b')"))
    )
    assert (world.slept, world.visits) == ([1.5], ["a", "b"])


def test_sleep_of_a_last_step_takes_effect_once_even_in_a_loop_body() -> None:
    world = World()
    last = py("a", "lambda: 1", sleep=js("2"))
    run = world.run(flow(last))
    assert (world.slept, run.result, [step.id for step in run.flow.modules]) == ([2], 1, ["a", "a-v"])
    world = World()
    world.run(flow(loop("l", [1, 2], last)))
    assert world.slept == [2, 2]


def test_a_loop_after_a_sleep_waits_once() -> None:
    world = World()
    run = world.run(flow(identity("a", sleep=static(3)), loop("b", [1, 2, 3], DOUBLE)))
    assert (world.slept, run.result) == ([3], [2, 4, 6])


def test_the_preprocessor_replaces_the_arguments() -> None:
    preprocessor = py("p", "lambda event: {'n': event + 1}")
    run = World().run(
        flow(py("a", "lambda n: n", {"n": "flow_input.n"}), preprocessor_module=preprocessor), {"event": 1}
    )
    assert run.result == 2


def test_early_return_answers_while_the_flow_goes_on() -> None:
    world = World()
    run = world.run(flow(py("a", "lambda: 1"), py("b", "lambda: 2"), early_return="a"))
    assert (run.early, run.result) == (1, 2)


def test_a_parallel_loop_of_single_steps_is_one_job_an_item() -> None:
    world = World()
    items = list(range(10_000))
    run = world.run(flow(loop("a", items, DOUBLE, over={"parallel": True})))
    assert run.result == [number * 2 for number in items]
    assert world.pushed == 10_000
    assert len(world.runs) == 1


def test_the_status_does_not_grow_with_a_loop() -> None:
    sizes = set()
    for count in (10, 5_000):
        run = World().run(flow(loop("a", list(range(count)), DOUBLE)))
        sizes.add(len(msgspec.json.encode(run.status)) // 100)
    assert len(sizes) == 1


def test_deep_and_long_flows_end() -> None:
    nested = identity("deepest")
    for depth in range(20):
        nested = branch_one(f"d{depth}", default=[nested])
    assert World().run(flow(nested), {"x": 1}).result == {"x": 1}
    assert World().run(flow(*(identity(f"s{number}") for number in range(1_000))), {"x": 1}).result == {
        "x": 1
    }
