"""Flows of all shapes with what an undisturbed run of each gives: its result, and the places its steps work at."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.ledger import Ledger
from tests.integration.flows.building import Json, branch, branch_one, flow, js, loop, py, static, step

ITEM = "flow_input.iter.value"
INNER_TURN = "flow_input.iter_parent.value + '.' + flow_input.iter.value"
PAYLOAD = {"said": "yes"}
RETRIES = 8
AT_ONCE = {"constant": {"attempts": RETRIES, "seconds": 0}}


@dataclass(frozen=True)
class Sample:
    """A flow to be started with the arguments `flow` (its name in the ledger) and `n`."""

    kind: str
    value: Json
    result: Any
    places: frozenset[str]
    retried: frozenset[str] = field(default_factory=frozenset)
    """Places that several jobs may come to, since their steps are tried again."""

    @property
    def must_succeed(self) -> bool:
        """Whether it does even when processes of its steps are killed."""
        return self.places == self.retried


def sequence(ledger: Ledger, name: str, steps: int = 6) -> Sample:
    """One step after another."""
    gives = ["flow_input.n", *(f"results.s{number} + 1" for number in range(steps - 1))]
    modules = [step(f"s{number}", ledger.step(f"s{number}", given)) for number, given in enumerate(gives)]
    places = frozenset(f"{name}/s{number}/" for number in range(steps))
    return Sample("sequence", flow(*modules), steps - 1, places)


def fan(ledger: Ledger, name: str, items: int = 6) -> Sample:
    """A parallel loop of steps that are one job an item, and a step that sums up."""
    body = step("i", ledger.step("i", f"{ITEM} * 2", turn=ITEM))
    around = loop(list(range(items)), body, parallel=True, skip_failures=False)
    value = flow(step("l", around), step("z", ledger.step("z", "results.l")))
    places = frozenset({f"{name}/z/", *(f"{name}/i/{item}" for item in range(items))})
    return Sample("fan", value, [2 * item for item in range(items)], places)


def nest(ledger: Ledger, name: str) -> Sample:
    """A loop in a parallel loop in a branch."""
    steps = (
        step("i", ledger.step("i", f"flow_input.iter_parent.value * 10 + {ITEM}", turn=INNER_TURN)),
        step("j", ledger.step("j", "results.i + 0.5", turn=INNER_TURN)),
    )
    inner = step("k", loop([1, 2], *steps, skip_failures=False))
    outer = step("o", loop([1, 2], inner, parallel=True, skip_failures=False))
    chosen = branch_one(branch(outer, expr="flow_input.n === 0"), default=[])
    value = flow(step("b", chosen), step("z", ledger.step("z", "results.b")))
    turns = [(o, i) for o in (1, 2) for i in (1, 2)]
    places = frozenset({f"{name}/z/", *(f"{name}/{at}/{o}.{i}" for at in "ij" for o, i in turns)})
    return Sample("nest", value, [[o * 10 + i + 0.5 for i in (1, 2)] for o in (1, 2)], places)


def sleeper(ledger: Ledger, name: str, seconds: float = 1) -> Sample:
    """A sleep between two steps."""
    value = flow(
        step("a", ledger.step("a", static("rested")), sleep=js(str(seconds))),
        step("b", ledger.step("b", "results.a")),
    )
    return Sample("sleeper", value, "rested", frozenset({f"{name}/a/", f"{name}/b/"}))


def retrier(ledger: Ledger, name: str) -> Sample:
    """A step that fails twice and is tried again, at once and then after a second."""
    retry = {
        "constant": {"attempts": 1, "seconds": 0},
        "exponential": {"attempts": RETRIES, "multiplier": 1, "seconds": 1},
    }
    value = flow(
        step("a", ledger.step("a", static("at last"), fails=2), retry=retry),
        step("b", ledger.step("b", "results.a")),
    )
    place = f"{name}/a/"
    return Sample("retrier", value, "at last", frozenset({place, f"{name}/b/"}), frozenset({place}))


def patient(ledger: Ledger, name: str) -> Sample:
    """A parallel loop after a step, all of them tried again as often as it takes: no kill makes it fail."""
    body = step("i", ledger.step("i", f"{ITEM} + results.a", turn=ITEM), retry=AT_ONCE)
    value = flow(
        step("a", ledger.step("a", static(100)), retry=AT_ONCE),
        step("l", loop([0, 1, 2], body, parallel=True, skip_failures=False)),
        step("z", ledger.step("z", "results.l"), retry=AT_ONCE),
    )
    places = frozenset(f"{name}/{place}" for place in ("a/", "i/0", "i/1", "i/2", "z/"))
    return Sample("patient", value, [100, 101, 102], places, places)


def asker(ledger: Ledger, name: str) -> Sample:
    """A wait for an approval between two steps; it is to be approved with `PAYLOAD`."""
    value = flow(
        step("a", ledger.step("a", static(1)), suspend={"required_events": 1}),
        step("b", ledger.step("b", "resume")),
    )
    return Sample("asker", value, PAYLOAD, frozenset({f"{name}/a/", f"{name}/b/"}))


def sharer(ledger: Ledger, name: str) -> Sample:
    """Steps of one worker that share a folder: one writes, one takes its time, a parallel loop and the last read."""
    read = py("return open('./shared/x').read() + str(n)", n=ITEM)
    value = flow(
        step("w", py("open('./shared/x', 'w').write('kept')")),
        step("h", ledger.step("h", static(None))),
        step("l", loop([1, 2, 3], step("r", read), parallel=True, skip_failures=False)),
        step("s", ledger.step("s", static(None)), sleep=js("0.5")),
        step("z", py("return [open('./shared/x').read(), *l]", l="results.l")),
        same_worker=True,
    )
    result = ["kept", "kept1", "kept2", "kept3"]
    return Sample("sharer", value, result, frozenset({f"{name}/h/", f"{name}/s/"}))


KINDS: tuple[Callable[[Ledger, str], Sample], ...] = (sequence, fan, nest, sleeper, retrier, patient, asker)
