"""Expressions in real child processes: values, errors, limits, deaths and confinement."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from millpond.base.errors import NotFound, Unavailable
from millpond.expressions.child_process import Limits
from millpond.expressions.errors import ExpressionError
from millpond.expressions.evaluator import Evaluator
from millpond.expressions.pool import EVALUATIONS_PER_CHILD, Pool

_SECONDS = 30
_SHORT = timedelta(seconds=0.5)


class Source:
    """Values to look up, and what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.values: dict[tuple[str, str], bytes] = {
            ("results", "a"): b'{"n":1,"list":[1,2],"big":12345678901234567890}',
            ("flow_env", "REGION"): b'"north"',
            ("variable", "u/henri/token"): b'"secret"',
            ("resource", "u/henri/db"): b'{"port":5432}',
            ("flow_user_state", "seen"): b"3",
        }

    async def __call__(self, kind: str, name: str) -> bytes:
        self.asked.append((kind, name))
        found = self.values.get((kind, name))
        if found is None and kind != "results":
            raise NotFound(f"No {kind} at '{name}'")
        return b"null" if found is None else found


@pytest.fixture
async def evaluator() -> AsyncIterator[Evaluator]:
    made = Evaluator()
    yield made
    async with asyncio.timeout(_SECONDS):
        await made.aclose()


@pytest.fixture
async def hasty() -> AsyncIterator[Evaluator]:
    made = Evaluator(time_limit=_SHORT)
    yield made
    async with asyncio.timeout(_SECONDS):
        await made.aclose()


async def _value(
    evaluator: Evaluator,
    code: str,
    names: Mapping[str, bytes] | None = None,
    *,
    boolean: bool = False,
    source: Source | None = None,
) -> bytes:
    async with asyncio.timeout(_SECONDS):
        return await evaluator.evaluate(code, boolean=boolean, names=names or {}, lookup=source or Source())


async def _error(evaluator: Evaluator, code: str, names: Mapping[str, bytes] | None = None) -> str:
    with pytest.raises(ExpressionError) as raised:
        await _value(evaluator, code, names)
    prefix = f"Error during isolated evaluation of expression `{code}`:\n"
    assert raised.value.message.startswith(prefix)
    return raised.value.message.removeprefix(prefix)


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("1 + 1", b"2"),
        ("flow_input.n * 2", b"42"),
        ("{a: 1, b: [flow_input.n]}", b'{"a":1,"b":[21]}'),
        ("{z: 1, a: 2}", b'{"z":1,"a":2}'),
        ("const a = 1\nreturn a + 1", b"2"),
        ("flow_input.n;", b"null"),
        ("undefined ?? undefined", b"null"),
        ("0 / 0", b"null"),
        ("1 / 0", b"null"),
        ("() => 1", b"null"),
        ("-0", b"0"),
        ("new Date(0)", b'"1970-01-01T00:00:00.000Z"'),
        ("2 ** 53 - 1", b"9007199254740991"),
        ("flow_input.large - 1", b"9007199254740990"),
        ("'a\\0b' + '\\u00e9'", '"a\\u0000bé"'.encode()),
        ("await 5", b"5"),
        ("(await results.a).n + (await variable('u/henri/token')).length", b"7"),
        ("Promise.resolve([1]).then(x => x.concat(2))", b"[1,2]"),
        ("[1, 2].map(async x => x).length", b"2"),
        ("const f = async () => 4; return await f()", b"4"),
        ("results.a.n + 1", b"2"),
        ("results['a'].list.concat(results?.a.n)", b"[1,2,1]"),
        ("results.nope ?? 'x'", b'"x"'),
        ("[Object.keys(results), 'a' in results, 'nope' in results]", b"[[],true,false]"),
        ("results", b"{}"),
        ("flow_env.REGION + '!'", b'"north!"'),
        ("variable('u/henri/token') + '!'", b'"secret!"'),
        ("resource('u/henri/db').port + 1", b"5433"),
        ("flow_user_state('seen') + 1", b"4"),
        ("(() => { try { variable('no') } catch (e) { return e.message } })()", b"\"No variable at 'no'\""),
        ("x = 5, x", b"5"),
        ("typeof x", b'"undefined"'),
        ("", b"null"),
    ],
)
async def test_values(evaluator: Evaluator, code: str, value: bytes) -> None:
    names = {"flow_input": b'{"n": 21, "large": 9007199254740991}'}
    assert await _value(evaluator, code, names) == value


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("'a'", b"true"),
        ("''.trim()", b"false"),
        ("[] + []", b"false"),
        ("n > 1", b"true"),
        ("", b"false"),
        ("n", b"true"),
    ],
)
async def test_predicates_are_true_or_false(evaluator: Evaluator, code: str, value: bytes) -> None:
    assert await _value(evaluator, code, {"n": b"2"}, boolean=True) == value


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("1 +", "SyntaxError: unexpected token in expression: ')'"),
        ("const a = 1\nreturn a..b", "SyntaxError: expecting field name (line 2)"),
        ("null.x + 1", "TypeError: cannot read property 'x' of null"),
        ("flow_input.a.b", "TypeError: cannot read property 'b' of undefined"),
        ("nope", "ReferenceError: nope is not defined"),
        ("throw new Error('boo')", "Error: boo"),
        ("throw {a: 1}", '{"a":1}'),
        ("throw 'text'", "text"),
        ("variable('no').x", "Error: No variable at 'no'"),
        ("10n", "TypeError: BigInt are forbidden in JSON.stringify"),
        ("let a = {}; a.a = a; return a", "TypeError: circular reference"),
        ("new Promise(() => {})", "it waits for a promise that nothing settles"),
        ("(async () => { throw new TypeError('late') })()", "TypeError: late"),
        ("(function f() { return f() })()", "RangeError: Maximum call stack size exceeded"),
        ("'\\ud800'", "its value holds text that is no Unicode"),
        ("import('/etc/hostname')", "ReferenceError: could not load module '/etc/hostname'"),
    ],
)
async def test_errors(evaluator: Evaluator, code: str, message: str) -> None:
    assert await _error(evaluator, code, {"flow_input": b"{}"}) == message


async def test_text_that_no_engine_can_read_is_an_error(evaluator: Evaluator) -> None:
    for code in ("'\0'", "'\ud800'"):
        with pytest.raises(ExpressionError, match="holds characters that are no text") as raised:
            await _value(evaluator, code)
        assert "\0" not in raised.value.message
        raised.value.message.encode()


async def test_a_predicate_must_be_one_expression(evaluator: Evaluator) -> None:
    with pytest.raises(ExpressionError, match="SyntaxError"):
        await _value(evaluator, "n > 1;", {"n": b"2"}, boolean=True)


async def test_a_plain_lookup_starts_no_process_and_keeps_bytes(evaluator: Evaluator) -> None:
    before = _children()
    source = Source()
    assert await _value(evaluator, "results.a.big", source=source) == b"12345678901234567890"
    assert await _value(evaluator, "results.nope.deeper[0]", source=source) == b"null"
    assert await _value(evaluator, "flow_env.REGION", source=source) == b'"north"'
    assert await _value(evaluator, "flow_input", {"flow_input": b'{"a": 1.0}'}) == b'{"a": 1.0}'
    assert source.asked == [("results", "a"), ("results", "nope"), ("flow_env", "REGION")]
    assert _children() == before


async def test_what_values_inherit_is_answered_by_the_engine(evaluator: Evaluator) -> None:
    assert await _value(evaluator, "v.map", {"v": b"[]"}) == b"null"
    assert await _value(evaluator, "v.map", {"v": b"[]"}, boolean=True) == b"true"


async def test_names_are_asked_for_once_and_only_when_read(evaluator: Evaluator) -> None:
    source = Source()
    code = "flow_input.x ? results.b : results.a.n + results.a.n + variable('u/henri/token').length"
    assert await _value(evaluator, code, {"flow_input": b"{}"}, source=source) == b"8"
    assert source.asked == [("results", "a"), ("variable", "u/henri/token")]


async def test_a_given_name_stands_before_one_that_is_looked_up(evaluator: Evaluator) -> None:
    assert await _value(evaluator, "Object.keys(flow_env)", {"flow_env": b'{"a":1}'}) == b'["a"]'


async def test_nothing_stays_behind_for_the_next_evaluation(evaluator: Evaluator) -> None:
    spoil = "Array.prototype.map = 1; JSON.stringify = 2; globalThis.left = 3; return 4"
    assert await _value(evaluator, spoil) == b"4"
    assert await _value(evaluator, "[typeof left, [1].map(x => x + 1)]") == b'["undefined",[2]]'


async def test_an_endless_expression_is_stopped_and_others_go_on(hasty: Evaluator) -> None:
    endless = [
        "for (;;) {}",
        "/^(a+)+$/.test('" + "a" * 40 + "b')",
        "new Promise(() => { (function f() { Promise.resolve().then(f) })() })",
    ]
    for code in endless:
        slow = asyncio.create_task(_value(hasty, code))
        assert await _value(hasty, "1 + 1") == b"2"
        with pytest.raises(ExpressionError) as raised:
            await slow
        assert raised.value.message == (
            f"The expression evaluation `{code}` took too long to execute (>500ms)"
        )
    assert await _value(hasty, "2 + 2") == b"4"


async def test_memory_is_limited(evaluator: Evaluator) -> None:
    limit = "out of memory: an expression with the values it reads may use 32 MiB"
    grow = "let a = []; for (;;) a.push('x'.repeat(1000) + a.length)"
    assert await _error(evaluator, grow) == limit
    assert await _error(evaluator, "v.x + v", {"v": b'"%b"' % (b"x" * (50 << 20))}) == limit
    assert await _error(evaluator, "v.length + 1", {"v": b"[%b1]" % (b"1," * (6 << 20))}) == limit
    source = Source()
    source.values["results", "huge"] = b'"%b"' % (b"x" * (33 << 20))
    with pytest.raises(ExpressionError, match=r"'huge' is 33 MiB of JSON.*may use 32 MiB"):
        await _value(evaluator, "results.huge + 1", source=source)
    assert await _value(evaluator, "1 + 1") == b"2"


async def test_large_values_arrive(evaluator: Evaluator) -> None:
    text = json.dumps("é" * (1 << 20), ensure_ascii=False).encode()
    assert await _value(evaluator, "v + ''", {"v": text}) == text


async def test_only_the_members_an_expression_reads_are_sent(evaluator: Evaluator) -> None:
    names = {"previous_result": b'{"huge":"%b","n":1}' % (b"x" * (50 << 20))}
    assert await _value(evaluator, "previous_result.n + 1", names) == b"2"


async def test_many_evaluations_at_once_share_two_children(evaluator: Evaluator) -> None:
    before = _children()
    values = await asyncio.gather(*(_value(evaluator, f"{number} + n", {"n": b"1"}) for number in range(100)))
    assert values == [str(number + 1).encode() for number in range(100)]
    assert len(_children() - before) == 2


async def test_a_batch_gives_each_item_its_own_outcome(evaluator: Evaluator) -> None:
    source = Source()
    code = "if (flow_input.iter.value === 3) throw 'three'; return flow_input.iter.value * 2 + flow_input.k + results.a.n"
    async with asyncio.timeout(_SECONDS):
        outcomes = await evaluator.evaluate_many(
            code,
            boolean=False,
            names={"flow_input": b'{"k":100,"iter":"outer"}'},
            varying=[{"flow_input.iter": b'{"index":%d,"value":%d}' % (n, n)} for n in range(1000)],
            lookup=source,
        )
    assert [outcome for outcome in outcomes if isinstance(outcome, bytes)] == [
        str(2 * n + 101).encode() for n in range(1000) if n != 3
    ]
    assert isinstance(outcomes[3], ExpressionError)
    assert outcomes[3].message.endswith(":\nthree")
    assert set(source.asked) == {("results", "a")}
    assert len(source.asked) <= 4


async def test_items_of_a_batch_leave_nothing_to_each_other(evaluator: Evaluator) -> None:
    outcomes = await evaluator.evaluate_many(
        "globalThis.seen = (globalThis.seen ?? 0) + v.push(1)",
        boolean=False,
        names={"v": b"[]"},
        varying=[{"n": b"1"}] * 300,
        lookup=Source(),
    )
    assert outcomes == [b"1"] * 300


async def test_a_plain_batch_takes_no_process(evaluator: Evaluator) -> None:
    before = _children()
    outcomes = await evaluator.evaluate_many(
        "flow_input.iter.value",
        boolean=True,
        names={"flow_input": b"{}"},
        varying=[{"flow_input.iter": b'{"value":%d}' % (n % 2)} for n in range(10)],
        lookup=Source(),
    )
    assert outcomes == [b"false", b"true"] * 5
    assert _children() == before


async def test_one_hanging_item_fails_alone_and_many_end_the_batch(hasty: Evaluator) -> None:
    code = "if (hang) for (;;) {}\nreturn n * 2"
    items = [{"n": b"%d" % n, "hang": b"true" if n == 40 else b"false"} for n in range(100)]
    async with asyncio.timeout(_SECONDS):
        outcomes = await hasty.evaluate_many(code, boolean=False, names={}, varying=items, lookup=Source())
    assert isinstance(outcomes[40], ExpressionError)
    assert outcomes[:40] + outcomes[41:] == [str(2 * n).encode() for n in range(100) if n != 40]
    async with asyncio.timeout(_SECONDS):
        all_hang = await hasty.evaluate_many(
            code, boolean=False, names={}, varying=[{"n": b"1", "hang": b"true"}] * 100, lookup=Source()
        )
    assert {str(outcome) for outcome in all_hang} == {
        f"The expression evaluation `{code}` took too long to execute (>500ms)"
    }
    assert len(all_hang) == 100


class Assassin(Source):
    """A lookup during which the process that asks is killed, some times."""

    def __init__(self, times: int, before: set[int]) -> None:
        super().__init__()
        self._times = times
        self._before = before

    async def __call__(self, kind: str, name: str) -> bytes:
        if self._times > 0:
            self._times -= 1
            for pid in _children() - self._before:
                os.kill(pid, signal.SIGKILL)
        return await super().__call__(kind, name)


async def test_an_evaluation_whose_child_is_killed_is_tried_once_more(evaluator: Evaluator) -> None:
    before = _children()
    assert await _value(evaluator, "results.a.n + 1", source=Assassin(1, before)) == b"2"
    with pytest.raises(ExpressionError, match="the process that evaluated it ended, twice"):
        # What was looked up is remembered: the second try asks only for what the first did not come to.
        await _value(evaluator, "results.a.n + (results.b ?? 1)", source=Assassin(2, before))
    assert await _value(evaluator, "results.a.n + 1") == b"2"


async def test_idle_children_that_died_are_replaced(evaluator: Evaluator) -> None:
    before = _children()
    await evaluator.start()
    for pid in _children() - before:
        os.kill(pid, signal.SIGKILL)
    assert await _value(evaluator, "1 + 1") == b"2"


async def test_a_worn_child_is_replaced() -> None:
    before = _children()
    children = Pool(1, Limits(memory_bytes=32 << 20, seconds=20))
    async with children.lend() as child:
        first = child.pid
    async with children.lend() as child:
        assert child.pid == first
        child.evaluations = EVALUATIONS_PER_CHILD
    async with children.lend() as child:
        assert child.pid != first
        assert first not in _children()
    async with asyncio.timeout(_SECONDS):
        await children.aclose()
    assert _children() == before


async def test_a_cancelled_evaluation_leaves_a_working_evaluator(evaluator: Evaluator) -> None:
    asked = asyncio.Event()

    async def never(kind: str, name: str) -> bytes:
        asked.set()
        await asyncio.get_running_loop().create_future()
        return b""

    task = asyncio.create_task(evaluator.evaluate("results.a + 1", boolean=False, names={}, lookup=never))
    await asyncio.wait_for(asked.wait(), _SECONDS)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await _value(evaluator, "1 + 1") == b"2"


async def test_closing_ends_all_children_and_what_they_evaluate() -> None:
    before = _children()
    evaluator = Evaluator()
    await evaluator.start()
    assert len(_children() - before) == 2
    endless = asyncio.create_task(evaluator.evaluate("for (;;) {}", boolean=False, names={}, lookup=Source()))
    await asyncio.sleep(0)
    async with asyncio.timeout(_SECONDS):
        await evaluator.aclose()
        with pytest.raises(Unavailable):
            await endless
        with pytest.raises(Unavailable):
            await _value(evaluator, "1 + 1")
    assert _children() == before


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_children_are_confined(evaluator: Evaluator) -> None:
    before = _children()
    await evaluator.start()
    for pid in _children() - before:
        process = Path("/proc") / str(pid)
        status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
        assert status["NoNewPrivs"].strip() == "1"
        assert status["Seccomp"].strip() == "2"
        assert os.getsid(pid) == pid
        limits = (process / "limits").read_text()
        assert re.search(r"Max open files +0 +0", limits)
        assert re.search(r"Max core file size +0 +0", limits)
        assert re.search(rf"Max address space +{512 << 20} ", limits)
        assert re.search(r"Max cpu time +\d+ +\d+", limits)
        environment = (process / "environ").read_bytes().rstrip(b"\0").split(b"\0")
        assert {entry.split(b"=")[0] for entry in environment} == {b"PATH", b"TZ"}
        assert {entry.name for entry in (process / "fd").iterdir()} == {"0", "1", "2"}


@pytest.mark.skipif(sys.platform != "linux", reason="the parent's death is told on Linux")
def test_children_do_not_outlive_a_killed_worker() -> None:
    program = textwrap.dedent(
        """
        import asyncio, os, signal
        from millpond.expressions.evaluator import Evaluator
        async def never(kind, name):
            raise AssertionError
        async def main():
            evaluator = Evaluator()
            await evaluator.start()
            endless = asyncio.create_task(
                evaluator.evaluate("for (;;) {}", boolean=False, names={}, lookup=never)
            )
            assert await evaluator.evaluate("1 + 1", boolean=False, names={}, lookup=never) == b"2"
            os.kill(os.getpid(), signal.SIGKILL)
        asyncio.run(main())
        """
    )
    worker = subprocess.Popen([sys.executable, "-c", program])
    assert worker.wait(_SECONDS) == -signal.SIGKILL
    deadline = time.monotonic() + _SECONDS
    while _children_of(worker.pid):
        assert time.monotonic() < deadline, "a child outlives its worker"


def _children() -> set[int]:
    """The expression children of this process that run."""
    return _children_of(os.getpid())


def _children_of(parent: int) -> set[int]:
    found = set()
    for process in Path("/proc").iterdir():
        if not process.name.isdecimal():
            continue
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        # The child is told its parent's id, which it keeps when the parent is gone.
        if any(b"millpond.expressions.child" in part for part in command) and str(parent).encode() in command:
            found.add(int(process.name))
    return found
