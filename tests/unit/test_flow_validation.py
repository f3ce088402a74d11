"""What a flow's definition may hold, and that what is wrong is told by name and place."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from millpond.base.errors import InvalidInput
from millpond.engine.definition import runnable
from millpond.model.flow_modules import ForLoop, RawScript, all_modules, transforms_of
from millpond.model.flow_validation import read_flow
from millpond.model.flows import FlowValue
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


def read(definition: Any) -> FlowValue:
    return read_flow(msgspec.json.encode(definition))


def deep(levels: int) -> dict[str, Any]:
    step = identity("x")
    for level in range(levels):
        step = loop(f"l{level}", [1], step)
    return step


INNER = {"id": "z", "value": {"type": "identity"}}


@pytest.mark.parametrize(
    ("definition", "texts"),
    [
        ({}, ["`modules`"]),
        (flow(identity("a"), surprise=1), ["`surprise`"]),
        (flow(identity("a", surprise=1)), ["step 'a'", "`surprise`", "$.modules[0]"]),
        (flow(loop("a", [1], {**INNER, "x": 1})), ["step 'z'", "`x`", "$.modules[0].value.modules[0]"]),
        (flow(branch_all("a", branch({**INNER, "x": 1}))), ["step 'z'", "`x`"]),
        (flow(branch_one("a", default=[{**INNER, "x": 1}])), ["step 'z'", "`x`"]),
        (flow(identity("a", retry={"constant": {"tries": 1}})), ["step 'a'", "`tries`"]),
        (
            flow(identity("ok"), module("a", "aiagent")),
            ["step 'a'", "unknown or unsupported type", "aiagent"],
        ),
        (flow(module("a", "rawscript", {"content": ""})), ["step 'a'", "`language`"]),
        (flow(py("a", "") | {"value": {"type": "rawscript", "content": "", "language": "cobol"}}), ["cobol"]),
        (flow(identity("a"), identity("a")), ["two steps have the id 'a'"]),
        (flow(identity("a"), loop("b", [1], identity("a"))), ["two steps have the id 'a'"]),
        (flow(identity("failure")), ["'failure'", "reserved"]),
        (
            flow(identity("a", retry={"exponential": {"attempts": 1}})),
            ["step 'a'", "`retry.exponential.seconds`"],
        ),
        (
            flow(identity("a", retry={"constant": {"attempts": -1}})),
            ["step 'a'", "`retry.constant.attempts`", "-1"],
        ),
        (flow(loop("a", [], identity("b", retry={"exponential": {"attempts": 1}}))), ["step 'b'"]),
        (flow(identity("a"), failure_module=identity("f")), ["failure module must be a script"]),
        (flow(identity("a"), early_return="nope"), ["`early_return`", "'nope'"]),
        (flow(identity("a"), debounce_key="x"), ["`debounce_key` is not supported"]),
        (flow(identity("a"), chat_input_enabled=True), ["`chat_input_enabled` is not supported"]),
        (
            flow(identity("a", debouncing={"debounce_key": "x"})),
            ["step 'a'", "`debouncing` is not supported"],
        ),
        (flow(while_loop("a", over={"squash": True})), ["step 'a'", "`value.squash` is not supported"]),
        (flow(while_loop("a", over={"parallel": True})), ["step 'a'", "`value.parallel`"]),
        (
            flow(module("a", "forloopflow", {"iterator": {"type": "ai"}, "modules": []})),
            ["step 'a'", "iterator"],
        ),
        (flow(identity("a", job_token_scopes=[])), ["step 'a'", "`job_token_scopes` is not supported"]),
        (flow(py("a", "", cache_ignore_s3_path=True)), ["step 'a'", "`cache_ignore_s3_path`"]),
        (flow(identity("a"), cache_ignore_s3_path=True), ["`cache_ignore_s3_path` is not supported"]),
        (flow(loop("a", [1], cache_ttl=5)), ["step 'a'", "`cache_ttl`"]),
        (flow(while_loop("a", cache_ttl=5)), ["step 'a'", "`cache_ttl`"]),
        (flow(branch_one("a", default=[], cache_ttl=5)), ["step 'a'", "`cache_ttl`"]),
        (flow(branch_all("a", cache_ttl=5)), ["step 'a'", "`cache_ttl`"]),
        (flow(identity("a", cache_ttl=5)), ["step 'a'", "`cache_ttl`"]),
        (flow(identity("failure-a")), ["'failure-a'", "failure modules in loops"]),
        (flow(identity("a-v"), identity("a", sleep=static(1))), ["'a-v'", "behind step 'a'"]),
        (
            flow(identity("b-v"), loop("a", [1], identity("b", suspend={"required_events": 1}))),
            ["'b-v'", "behind step 'b'"],
        ),
        (flow(identity("a" * 101)), ["id of step", "over 100"]),
        (flow(py("a", "\x00")), ["NUL"]),
        (flow(deep(60)), ["nested deeper"]),
        ([], ["Invalid flow"]),
    ],
)
def test_what_is_wrong_is_refused_by_name_and_place(definition: Any, texts: list[str]) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(definition)
    for text in texts:
        assert text in refused.value.message


TEN_YEARS = 10 * 365 * 24 * 3600
MOST = 2**31 - 1


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("priority", 100),
        ("cache_ttl", TEN_YEARS),
        ("delete_after_secs", TEN_YEARS),
        ("concurrent_limit", MOST),
        ("concurrency_time_window_s", TEN_YEARS),
        ("shared_directory.retain_secs", TEN_YEARS),
        ("shared_directory.quota_bytes", 2**63 - 1),
    ],
)
def test_numbers_of_a_flow_have_bounds(name: str, most: int) -> None:
    assert_bounded(
        lambda value: flow(py("a", ""), same_worker=True, **nested(name, value)), f"`{name}`", most
    )


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("priority", 100),
        ("cache_ttl", TEN_YEARS),
        ("delete_after_secs", TEN_YEARS),
        ("suspend.required_events", MOST),
        ("suspend.timeout", TEN_YEARS),
        ("retry.constant.attempts", MOST),
        ("retry.constant.seconds", TEN_YEARS),
        ("retry.exponential.multiplier", MOST),
        ("retry.exponential.seconds", TEN_YEARS),
        ("retry.exponential.random_factor", 100),
    ],
)
def test_numbers_of_a_step_have_bounds(name: str, most: int) -> None:
    assert_bounded(
        lambda value: flow(loop("l", [], py("a", "", **nested(name, value)))), f"step 'a': `{name}`", most
    )


@pytest.mark.parametrize(
    ("name", "most"), [("concurrent_limit", MOST), ("concurrency_time_window_s", TEN_YEARS)]
)
def test_numbers_of_code_have_bounds(name: str, most: int) -> None:
    def written(value: int) -> dict[str, Any]:
        step = py("a", "")
        step["value"][name] = value
        return flow(step)

    assert_bounded(written, f"step 'a': `value.{name}`", most)


def test_handlers_have_the_bounds_of_steps() -> None:
    for handler in ("failure", "preprocessor"):
        definition = flow(**{f"{handler}_module": py("f", "", priority=101)})
        assert f"step '{handler}': `priority`" in refusal_of(definition)


def nested(name: str, value: Any) -> dict[str, Any]:
    """Settings with one at a dotted name."""
    first, _, rest = name.partition(".")
    return {first: nested(rest, value) if rest else value}


def assert_bounded(written: Callable[[int], dict[str, Any]], name: str, most: int) -> None:
    for value in (0, most):
        read(written(value))
    for value in (-1, most + 1):
        assert refusal_of(written(value)).endswith(f"{name} must be between 0 and {most}, not {value}")


def refusal_of(definition: dict[str, Any]) -> str:
    with pytest.raises(InvalidInput) as refused:
        read(definition)
    return refused.value.message


STOP = {"expr": "result == 1"}
TRUE: dict[str, Any] = {
    "skip_if": {"expr": "true"},
    "sleep": static(1),
    "suspend": {"required_events": 1},
    "stop_after_if": STOP,
    "stop_after_all_iters_if": STOP,
    "continue_on_error": True,
}
"""Settings a handler has no use for, in use."""

OFF: list[dict[str, Any]] = [
    dict.fromkeys((*TRUE, "timeout", "apply_preprocessor", "pass_flow_input_directly")),
    {
        "skip_if": {"expr": "false"},
        "sleep": static(0),
        "suspend": {"required_events": 0, "timeout": 5},
        "stop_after_if": {"expr": "", "skip_if_stopped": False},
        "stop_after_all_iters_if": {"expr": "false", "skip_if_stopped": True},
        "continue_on_error": False,
        "timeout": static(None),
        "apply_preprocessor": False,
        "pass_flow_input_directly": False,
    },
    {"sleep": js(" "), "timeout": 0},
]
"""The same as editors write them when they are switched off."""

CONTAINERS = [
    loop("a", [1]),
    while_loop("a"),
    branch_all("a", branch()),
    branch_one("a", branch(expr="true"), default=[]),
]


@pytest.mark.parametrize("name", TRUE)
@pytest.mark.parametrize("handler", ["failure", "preprocessor"])
def test_handlers_refuse_what_nothing_would_act_on(handler: str, name: str) -> None:
    message = refusal_of(flow(**{f"{handler}_module": py("f", "", **{name: TRUE[name]})}))
    assert f"step '{handler}': `{name}` is not supported on" in message


def test_preprocessors_refuse_timeouts_and_inputs_of_their_own() -> None:
    for timeout in (5, static(5), js("5")):
        message = refusal_of(flow(preprocessor_module=py("p", "", timeout=timeout)))
        assert "step 'preprocessor': `timeout` is not supported on preprocessors" in message
        read(flow(failure_module=py("f", "", timeout=timeout)))
    for expr in ("flow_input.other", "1"):
        message = refusal_of(flow(preprocessor_module=py("p", "", {"event": expr})))
        assert "step 'preprocessor': `value.input_transforms`" in message
    read(flow(failure_module=py("f", "", {"error": "error"})))
    harmless = py("p", "", {"event": "flow_input.event"})
    harmless["value"]["input_transforms"] |= {"a": static(None), "b": {"type": "static"}, "c": js("")}
    read(flow(preprocessor_module=harmless))


@pytest.mark.parametrize("off", OFF)
def test_settings_that_are_switched_off_are_accepted(off: dict[str, Any]) -> None:
    read(flow(failure_module=py("f", "", **off), preprocessor_module=py("p", "", **off)))
    for step in (*CONTAINERS, py("a", ""), identity("a")):
        read(flow(step | off))
    read(flow(identity("a"), state_commit="immediate", shared_directory=None))
    read(flow(identity("a"), shared_directory={"durable": False, "quota_bytes": None}))
    read(flow(identity("a"), shared_directory={"quota_bytes": 1}, same_worker=True))


@pytest.mark.parametrize("step", CONTAINERS, ids=lambda step: step["value"]["type"])
def test_containers_refuse_what_is_for_steps(step: dict[str, Any]) -> None:
    for settings in ({"timeout": 5}, {"timeout": js("5")}):
        assert refusal_of(flow(step | settings)).endswith(
            "step 'a': `timeout` is not supported on loops and branches"
        )
    assert "step 'a': `pass_flow_input_directly`" in refusal_of(
        flow(step | {"pass_flow_input_directly": True})
    )


def test_steps_and_sub_flows_take_timeouts_and_the_flows_arguments() -> None:
    settings: dict[str, Any] = {"timeout": 5, "pass_flow_input_directly": True}
    read(flow(py("a", "", **settings), module("b", "flow", {"path": "f/etl/all"}, **settings)))


def test_only_what_iterates_stops_after_all_iterations() -> None:
    settings = {"stop_after_all_iters_if": STOP}
    for step in CONTAINERS[:3]:
        read(flow(step | settings))
    for step in (CONTAINERS[3], py("a", ""), identity("a"), module("a", "flow", {"path": "f/etl/all"})):
        assert "step 'a': `stop_after_all_iters_if`" in refusal_of(flow(step | settings))


@pytest.mark.parametrize(
    ("definition", "name"),
    [
        (flow(state_commit="on_success"), "`state_commit: on_success`"),
        (flow(same_worker=True, shared_directory={"durable": True}), "`shared_directory.durable`"),
        (
            flow(shared_directory={"quota_bytes": 1}),
            "`shared_directory` is not supported without `same_worker",
        ),
        (flow(py("a", "", apply_preprocessor=True)), "step 'a': `apply_preprocessor`"),
    ],
)
def test_settings_nothing_acts_on_yet_are_refused(definition: dict[str, Any], name: str) -> None:
    assert name in refusal_of(definition)


@pytest.mark.parametrize(
    "settings",
    [{"sleep": static(1)}, {"sleep": static(None)}, {"suspend": {"required_events": 2}}, {}, OFF[0]],
)
def test_the_ids_of_added_waits_are_taken_where_one_is_added(settings: dict[str, Any]) -> None:
    last = identity("b", **settings)
    added = "b-v" in {step.id for step in all_modules(runnable(read(flow(loop("a", [1], last)))).modules)}
    definition = flow(identity("b-v"), loop("a", [1], last))
    if added:
        assert "behind step 'b'" in refusal_of(definition)
    else:
        read(definition)


def test_ids_that_only_look_like_added_ones_are_accepted() -> None:
    read(
        flow(
            identity("a-v"),
            identity("a"),
            identity("failures"),
            identity("b", sleep=static(1)),
            identity("c"),
        )
    )
    read(flow(identity("b-v"), identity("b", sleep=static(1)), identity("c")))


@pytest.mark.parametrize("text", ["", "{", '{"modules": [', '{"modules": "x"}', "null", "[" * 100_000])
def test_texts_that_are_no_flow_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="Invalid flow"):
        read_flow(text)


def test_a_bottomless_flow_is_refused() -> None:
    step = '{"id": "a", "value": {"type": "whileloopflow", "modules": ['
    with pytest.raises(InvalidInput, match="Invalid flow"):
        read_flow('{"modules": [' + step * 30_000 + "]}}" * 30_000 + "]}")


def test_missing_ids_are_filled_in_with_letters_nobody_has() -> None:
    bare = {"value": {"type": "identity"}}
    filled = read(flow(bare, identity("b"), loop("a", [1], bare), bare))
    assert [step.id for step in all_modules(filled.modules)] == ["c", "b", "a", "d", "e"]


def test_defaults_are_those_of_the_server() -> None:
    filled = read(flow(loop("a", [1]), branch_all("b", branch()), while_loop("c")))
    values = [step.value for step in filled.modules]
    assert [getattr(values[0], name) for name in ("skip_failures", "parallel")] == [True, False]
    assert getattr(values[1], "parallel", None) is True
    assert getattr(values[2], "skip_failures", None) is False


def test_old_names_and_bare_numbers_are_understood() -> None:
    old = {"type": "rawscript", "content": "", "language": "bun", "input_transform": {"x": js("1")}}
    filled = read(flow({"id": "a", "value": old, "timeout": 5}, loop("b", [1], over={"parallelism": 2})))
    step, looped = filled.modules[0].value, filled.modules[1].value
    assert isinstance(step, RawScript)
    assert list(transforms_of(step)) == ["x"]
    assert filled.modules[0].timeout == 5
    assert isinstance(looped, ForLoop)
    assert looped.parallelism == 2


def test_what_editors_write_is_accepted() -> None:
    read(
        flow(
            identity(
                "a",
                summary=None,
                retry=None,
                suspend={"required_events": None, "resume_form": {"schema": {}}},
            ),
            while_loop("b", over={"parallel": False, "parallelism": None}),
            notes=[{"id": "n"}],
            groups=[],
            flow_env={"A": "$var:x"},
        )
    )


def test_a_cache_is_for_scripts_flows_and_the_whole() -> None:
    step = module("b", "script", {"path": "f/etl/load"}, cache_ttl=5)
    read(flow(py("a", "", cache_ttl=5), step, module("c", "flow", {"path": "f/etl/all"}, cache_ttl=5)))
    read(flow(identity("a", cache_ttl=0), loop("b", [1], cache_ttl=None), cache_ttl=5))


def test_a_backslash_before_u0000_is_no_nul_character() -> None:
    code = "print('\\u0000')"
    read_step = read(flow(py("a", code))).modules[0].value
    assert isinstance(read_step, RawScript)
    assert read_step.content == code
