"""The catalogue of compat facts, flows 6.A 1-17, in Python. The shared directory (5) has a module of its own."""

import asyncio

import pytest

from tests.integration.flows.building import (
    Json,
    branch,
    branch_all,
    branch_one,
    failure_of,
    flow,
    identity,
    js,
    loop,
    modules_of,
    py,
    result_of,
    run_flow,
    static,
    step,
)
from tests.integration.live_instance import Api

DOUBLE = step("c", py("return n * 2", n="flow_input.iter.value"))
SUM = step("s", py("return sum(loops)", loops="results.a"))


def push(onto: str, number: int) -> Json:
    """A script that returns the list `onto` with a number more."""
    return py("return [*onto, number]", onto=onto, number=static(number))


def iteration(**settings: bool) -> Json:
    """A loop over `items` whose body raises for each above 1."""
    body = py("if n > 1:\n    raise StopIteration(n)", n="flow_input.iter.value")
    return flow(step("a", loop("result.items", step("b", body), skip_failures=False, **settings)))


@pytest.mark.parametrize("parallel", [False, True])
async def test_1_and_2_a_loop_over_nothing_is_an_empty_array(api: Api, parallel: bool) -> None:
    assert await result_of(api, iteration(parallel=parallel), {"items": []}) == []


async def test_1_a_sequential_loop_stops_where_it_fails(api: Api) -> None:
    job = await run_flow(api, iteration(), {"items": list(range(257))})
    assert job["success"] is False
    result = job["result"]
    assert result[:2] == [None, None]
    assert len(result) == 3
    assert (result[2]["error"]["name"], result[2]["error"]["message"]) == ("StopIteration", "2")
    assert modules_of(job)["a"]["type"] == "Failure"
    assert modules_of(job)["a"]["flow_jobs_success"] == [True, True, False]


async def test_2_a_parallel_loop_runs_all(api: Api) -> None:
    result = await failure_of(api, iteration(parallel=True), {"items": list(range(50))})
    assert len(result) == 50
    assert result[:2] == [None, None]
    assert [entry["error"]["message"] for entry in result[2:]] == [str(n) for n in range(2, 50)]


async def test_3_a_loop_over_a_result_again_and_again(api: Api) -> None:
    definition = flow(step("a", py("return [1, 2, 3]")), step("b", loop("result", DOUBLE)))
    runs = await asyncio.gather(*(result_of(api, definition) for _ in range(3)))
    assert runs == [[2, 4, 6]] * 3


async def test_4_identities_pass_the_result_on(api: Api) -> None:
    steps = [step(name, identity()) for name in "bcd"]
    assert await result_of(api, flow(step("a", py("return 42")), *steps)) == 42


async def test_6_a_result_of_two_scopes_above(api: Api) -> None:
    inner = step("d", py("return n", n="results.a"))
    nested = branch_all(branch(step("c", branch_all(branch(inner)))))
    assert await result_of(api, flow(step("a", py("return 42")), step("b", nested))) == [[42]]


STOP = {"expr": "result < 0", "skip_if_stopped": False}
STOPPING = py("return n", n="flow_input.n")
SAW = step("z", py("return f'last step saw {n}'", n="previous_result"))


@pytest.mark.parametrize(("n", "result"), [(123, "last step saw 123"), (-123, -123)])
async def test_7_a_stop_ends_the_flow(api: Api, n: int, result: object) -> None:
    definition = flow(step("a", STOPPING, stop_after_if=STOP), SAW)
    job = await run_flow(api, definition, {"n": n})
    assert (job["success"], job["result"]) == (True, result)


@pytest.mark.parametrize(("n", "result"), [(123, "last step saw [123]"), (-123, [-123])])
async def test_8_a_stop_inside_a_branch_ends_the_flow(api: Api, n: int, result: object) -> None:
    inner = branch(step("b", STOPPING, stop_after_if=STOP))
    definition = flow(step("a", branch_all(inner, parallel=False)), SAW)
    job = await run_flow(api, definition, {"n": n})
    assert (job["success"], job["result"]) == (True, result)


async def test_9_the_injected_client_in_a_step(api: Api) -> None:
    assert await result_of(api, flow(step("a", py("import wmill\nreturn 'Hello'")))) == "Hello"


@pytest.mark.parametrize(
    ("definition", "result"),
    [
        (flow(step("a", loop([], DOUBLE)), SUM), 0),
        (flow(step("a", loop([], DOUBLE))), []),
        (flow(step("a", loop([2, 3, 4], step("b", py("return n", n="flow_input.iter.value")))), SUM), 9),
    ],
    ids=["loop over nothing, then a step", "loop over nothing", "loop, then a step"],
)
async def test_10_loops_and_what_comes_after(api: Api, definition: Json, result: object) -> None:
    assert await result_of(api, definition) == result


async def test_11_an_iterator_that_is_no_array(api: Api) -> None:
    result = await failure_of(api, flow(step("a", loop(js("flow_input"), DOUBLE))))
    assert (
        "Expected an array value in the iterator expression, found: invalid type: map, "
        "expected a sequence at line 1 column 0"
    ) in result["error"]["message"]


async def test_12_branchone_without_branches_takes_the_default(api: Api) -> None:
    chosen = branch_one(default=[step("c", push("results.a", 2))])
    assert await result_of(api, flow(step("a", py("return [1]")), step("b", chosen))) == [1, 2]


async def test_13_branchone_takes_the_branch_whose_predicate_is_true(api: Api) -> None:
    right = branch(step("c", push("results.a", 3)), expr="results.a[0] == 1")
    chosen = branch_one(right, default=[step("d", push("results.a", 2))])
    assert await result_of(api, flow(step("a", py("return [1]")), step("b", chosen))) == [1, 3]


@pytest.mark.parametrize("settings", [{"parallel": True}, {"parallel": False}, {}])
async def test_14_branchall_is_an_array_in_the_order_of_branches(api: Api, settings: Json) -> None:
    branches = [branch(step(f"c{n}", push("results.a", n))) for n in (2, 3)]
    definition = flow(step("a", py("return [1]")), step("b", branch_all(*branches, **settings)))
    assert await result_of(api, definition) == [[1, 2], [1, 3]]


@pytest.mark.parametrize("skip_failure", [False, True])
async def test_15_a_failing_branch_is_an_error_in_the_array(api: Api, skip_failure: bool) -> None:
    failing = branch(step("c", py("raise Exception('no')")), skip_failure=skip_failure)
    branches = branch_all(failing, branch(step("d", push("results.a", 3))))
    job = await run_flow(api, flow(step("a", py("return [1]")), step("b", branches)))
    assert job["success"] is skip_failure
    error = job["result"][0]["error"]
    assert (error["name"], error["message"], error["step_id"]) == ("Exception", "no", "c")
    assert job["result"][1:] == [[1, 3]]


async def test_16_branchone_in_branchone(api: Api) -> None:
    inner = branch_one(branch(expr="false"), default=[step("j", push("results.id_1", 2))])
    outer = branch_one(
        branch(expr="false"),
        branch(step("i", inner), expr="true"),
        default=[step("k", push("results.id_1", -4))],
    )
    definition = flow(
        step("a", py("return []")),
        step("id_1", push("results.a", 1)),
        step("b", outer),
        step("l", push("results.b", 3)),
    )
    assert await result_of(api, definition) == [1, 2, 3]


async def test_17_branchall_in_branchall(api: Api) -> None:
    first = branch_all(branch(step("c", push("results.a", 2))), branch(step("d", push("results.a", 3))))
    second = branch_all(branch(step("f", push("results.b", 4))), branch(step("g", push("results.b", 5))))
    outer = branch_all(branch(step("b", first), step("e", second)), branch(step("h", push("results.a", 6))))
    result = await result_of(api, flow(step("a", py("return [1]")), step("x", outer)))
    assert result == [[[[1, 2], [1, 3], 4], [[1, 2], [1, 3], 5]], [1, 6]]
