"""What a flow wants done. The caller performs all effects of a turn in the transaction that stores the status."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from millpond.engine.references import Constant, Place, Reference
from millpond.engine.status import Conditions, Stop
from millpond.model.flow_modules import FlowModule


class Bindings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the names of an expression stand for, beside `flow_input`, `results`, `flow_env` and functions.

    `resumes_of` is the step whose approvals give `resume`, `resumes` and `approvers`; `resume_error` is then the last
    of `resumes`. `items_of` is the loop whose item the expression is evaluated for, as `flow_input.iter`.
    """

    previous_result: Reference
    result: Reference | None = None
    all_iters: Reference | None = None
    resumes_of: Place | None = None
    resume_error: Constant | None = None
    items_of: Place | None = None
    in_failure_module: bool = False


class Expression(msgspec.Struct, frozen=True):
    """Code to evaluate; `boolean` asks for `Boolean(code)`."""

    key: str
    code: str
    boolean: bool = False


class Evaluate(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Evaluate, outside of any transaction, and come back with `Evaluated`. Always the last effect of a turn.

    With `count`, every expression is evaluated for each of the items `first` to `first + count - 1`.
    """

    id: str
    expressions: tuple[Expression, ...]
    bindings: Bindings
    first: int = 0
    count: int = 0


class KeepItems(msgspec.Struct, frozen=True, tag=True):
    """Store what a loop goes over; items are looked up by number from then on. `place` has no index."""

    place: Place
    items: tuple[msgspec.Raw, ...]


class RunModule(msgspec.Struct, frozen=True, tag=True):
    """Run the script or flow the module names."""


class RunBody(msgspec.Struct, frozen=True, tag=True):
    """Run a body of the module as a flow job of its own: `definition.body_of(flow, module, branch, index)`."""

    branch: int | None = None


class PassOn(msgspec.Struct, frozen=True, tag=True):
    """Run nothing: the job ends at once with this result."""

    result: Reference


class FailAtOnce(msgspec.Struct, frozen=True, tag=True):
    """Run nothing: the inputs could not be made, and the job ends at once with this error."""

    message: str


Work = RunModule | RunBody | PassOn | FailAtOnce


class InputsOf(msgspec.Struct, frozen=True, tag=True):
    """Evaluated inputs."""

    values: Mapping[str, msgspec.Raw]


class FlowInputs(msgspec.Struct, frozen=True, tag=True):
    """The flow's own arguments; `item` adds `iter` for that item, an outer `iter` becoming `iter_parent`."""

    item: int | None = None


class InputsOfJob(msgspec.Struct, frozen=True, tag=True):
    """The arguments of an earlier attempt."""

    place: Place


Inputs = InputsOf | FlowInputs | InputsOfJob


class NewChild(msgspec.Struct, frozen=True, kw_only=True):
    """A child job to push. What else the module says (tag, priority, cache, deletion) is the caller's to honour."""

    place: Place
    module: FlowModule
    work: Work
    inputs: Inputs
    timeout_s: float | None = None


class PushJobs(msgspec.Struct, frozen=True, tag=True):
    """Push child jobs; they may run at the same time."""

    children: tuple[NewChild, ...]


class ReplaceArguments(msgspec.Struct, frozen=True, tag=True):
    """The preprocessor's result becomes the flow's arguments: an object as it is, null `{}`, others `{"value": …}`."""

    result: Reference


class AnswerEarly(msgspec.Struct, frozen=True, tag=True):
    """Synchronous callers get this result now; the flow goes on."""

    result: Reference


class Sleep(msgspec.Struct, frozen=True, tag=True):
    """Come back with `Woken` after this time, made longer or shorter by up to `jitter_percent` at random."""

    wait: int
    seconds: float
    jitter_percent: int = 0


class Suspend(msgspec.Struct, frozen=True, tag=True):
    """Wait for approvals of a step: come back with `Approved` for each, and with `Woken` at the timeout."""

    wait: int
    place: Place
    missing: int
    timeout_s: int
    conditions: Conditions | None = None


class CancelJobs(msgspec.Struct, frozen=True, tag=True):
    """Cancel all children that have not ended; their ends come back as `ChildEnded`."""

    by: str
    reason: str


class Log(msgspec.Struct, frozen=True, tag=True):
    """A line for the flow job's log."""

    message: str


class Finish(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The flow job ends. Its parent flow gets `stop` and `handled` with its `ChildEnded`."""

    status: Literal["success", "failure", "canceled", "skipped"]
    result: Reference
    stop: Stop | None = None
    handled: bool = False


Effect = (
    Evaluate
    | KeepItems
    | PushJobs
    | ReplaceArguments
    | AnswerEarly
    | Sleep
    | Suspend
    | CancelJobs
    | Log
    | Finish
)
