"""What a flow's definition may hold, and that what is wrong is told by name and place."""

from typing import Any

import msgspec
import pytest

from millpond.base.errors import InvalidInput
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
        (flow(identity("a", retry={"constant": {"attempts": -1}})), ["step 'a'", "negative"]),
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
