"""Which code inside a flow lacks a lock, and that filling it in leaves the rest of the text alone."""

import json
from typing import Any

import msgspec

from millpond.model.flow_locks import steps_to_lock, with_locks
from millpond.model.flow_validation import read_flow
from tests.unit.engine_flows import branch, branch_all, branch_one, flow, identity, loop, py, while_loop


def locks_in(value: str) -> list[str]:
    """Every lock, in the order of the text."""
    found: list[str] = []

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found.extend(lock for name, lock in pairs if name == "lock")
        return dict(pairs)

    json.loads(value, object_pairs_hook=collect)
    return found


def text(value: object) -> str:
    return msgspec.json.encode(value).decode()


EVERYWHERE = flow(
    py("a", ""),
    loop("b", [1], py("c", ""), while_loop("d", py("e", ""))),
    branch_one("f", branch(py("g", "")), branch(py("h", "")), default=[py("i", "")]),
    branch_all("j", branch(py("k", "")), branch(identity("l"), py("m", ""))),
    failure_module=py("x", ""),
    preprocessor_module=py("y", ""),
)


def test_code_is_found_and_filled_at_every_depth() -> None:
    steps = [step.module_id for step in steps_to_lock(read_flow(text(EVERYWHERE)))]
    assert sorted(steps) == ["a", "c", "e", "failure", "g", "h", "i", "k", "m", "preprocessor"]
    filled = with_locks(text(EVERYWHERE), {step: f"of {step}" for step in steps})
    assert locks_in(filled) == [
        f"of {step}" for step in ("a", "c", "e", "g", "h", "i", "k", "m", "failure", "preprocessor")
    ]
    assert steps_to_lock(read_flow(filled)) == []


def test_ids_that_were_left_out_are_those_that_reading_fills_in() -> None:
    nameless = {"value": py("", "")["value"]}
    value = text(flow(nameless, loop("a", [1], nameless), nameless))
    steps = [step.module_id for step in steps_to_lock(read_flow(value))]
    filled = with_locks(value, {step: step for step in steps})
    assert locks_in(filled) == steps == ["b", "c", "d"]
    assert "id" not in json.loads(filled)["modules"][0]


def test_everything_else_keeps_its_form() -> None:
    static = '{"type":"static","value":{"z":1.00,"a":12345678901234567890123,"e":1e400,"t":"\\u00e9"}}'
    code = f'{{"language":"python3","type":"rawscript","input_transforms":{{"x":{static}}},"content":""}}'
    step = f'{{"value":{code},"id":"a"}}'
    value = f'{{"notes":[1.50],"modules":[{step}],"flow_env":{{"b":1,"a":2}}}}'
    assert with_locks(value, {"a": "L"}) == value.replace('"content":""', '"content":"","lock":"L"')


def test_a_lock_that_was_given_stands() -> None:
    given = py("a", "")
    given["value"]["lock"] = "given"
    value = text(flow(given))
    assert steps_to_lock(read_flow(value)) == []
    assert with_locks(value, {"a": "other"}) == value


def test_code_in_languages_without_locks_gets_the_empty_one() -> None:
    bash = py("a", "")
    bash["value"]["language"] = "bash"
    value = text(flow(bash, py("b", "")))
    assert [step.module_id for step in steps_to_lock(read_flow(value))] == ["b"]
    assert locks_in(with_locks(value, {})) == [""]
    assert locks_in(with_locks(value, {"b": "L"})) == ["", "L"]


def test_a_text_without_gaps_is_returned_as_it_is() -> None:
    value = '{ "modules" : [ ] }'
    assert with_locks(value, {"a": "L"}) is value
