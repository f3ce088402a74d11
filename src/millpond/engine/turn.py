"""One call of `advance`: a working copy of the status, and the effects so far.

The only door through which phases and step states change; it holds them to the tables of `status`.
"""

from typing import Literal

import msgspec

from millpond.engine.effects import (
    Bindings,
    CancelJobs,
    Effect,
    Evaluate,
    Expression,
    Finish,
    NewChild,
    PushJobs,
    Sleep,
)
from millpond.engine.inputs import Answers, Settings, asked
from millpond.engine.references import Place, Reference, ResultsOf, Span
from millpond.engine.status import (
    MODULE_STATES,
    PHASES,
    Asked,
    FlowStatus,
    ModuleState,
    ModuleStatus,
    Phase,
    Stage,
)
from millpond.model.flow_modules import FlowModule
from millpond.model.flows import FlowValue


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """Expressions a stage needs before it can go on; without any it goes on at once."""

    stage: Stage
    expressions: tuple[Expression, ...]
    bindings: Bindings
    first: int = 0
    count: int = 0


Next = Stage | Question | None
"""Where to go from a stage: to another, by way of a question, or nowhere until the next event."""


class Turn:
    """A flow, where it stands, and what it wants done."""

    def __init__(self, flow: FlowValue, status: FlowStatus) -> None:
        self.flow = flow
        self.status = status
        self.effects: list[Effect] = []

    @property
    def step(self) -> int:
        """The number of the current step: -1 the preprocessor, `len(modules)` the failure module."""
        return self.status.step

    @property
    def in_failure_module(self) -> bool:
        """Whether the current step is the failure module."""
        return self.step == len(self.flow.modules) and self.status.failed_module is not None

    @property
    def is_ordinary(self) -> bool:
        """Whether the current step is one of the flow's modules."""
        return 0 <= self.step < len(self.flow.modules)

    @property
    def module(self) -> FlowModule:
        """The current step."""
        special = self.flow.preprocessor_module if self.step < 0 else self.flow.failure_module
        module = self.flow.modules[self.step] if self.is_ordinary else special
        assert module is not None
        return module

    @property
    def state(self) -> ModuleStatus:
        """Where the current step stands."""
        if self.is_ordinary:
            return self.status.modules[self.step]
        state = self.status.preprocessor if self.step < 0 else self.status.failure
        assert state is not None
        return state

    @property
    def result(self) -> Reference:
        """The result of the current step, which has ended."""
        result = self.state.result
        assert result is not None
        return result

    @property
    def place(self) -> Place:
        """The current attempt of the current step."""
        return Place(self.module.id, self.state.attempt)

    def child(self, index: int) -> Place:
        """A child of the current attempt of the current container."""
        return Place(self.module.id, self.state.attempt, index)

    @property
    def iteration_results(self) -> ResultsOf:
        """The results of the current container's children so far."""
        iterations = self.state.iterations
        assert iterations is not None
        before = sum(span.count for span in iterations.inherited)
        own = Span(self.state.attempt, before, iterations.started - before)
        return ResultsOf(self.module.id, (*iterations.inherited, own) if own.count else iterations.inherited)

    def change(self, **fields: object) -> None:
        """Change the status."""
        phase = fields.get("phase")
        if isinstance(phase, Phase):
            assert phase in PHASES[self.status.phase], f"{self.status.phase} to {phase}"
        self.status = msgspec.structs.replace(self.status, **fields)

    def change_state(self, **fields: object) -> None:
        """Change the status of the current step."""
        old = self.state
        new = msgspec.structs.replace(old, **fields)
        assert new.state in MODULE_STATES[old.state] | {old.state}, (
            f"{self.module.id}: {old.state} to {new.state}"
        )
        if self.is_ordinary:
            modules = self.status.modules
            self.change(modules=(*modules[: self.step], new, *modules[self.step + 1 :]))
        elif self.step < 0:
            self.change(preprocessor=new)
        else:
            self.change(failure=new)

    def bindings(self, *, result: Reference | None = None, items_of: Place | None = None) -> Bindings:
        """The names an expression of the current step sees before the step has run."""
        waited = self._previous_wait()
        return Bindings(
            previous_result=self.status.previous,
            result=result,
            resumes_of=None if waited is None else waited[0],
            resume_error=None if waited is None else waited[1].resume_error,
            items_of=items_of,
            in_failure_module=self.in_failure_module,
        )

    def bindings_after(self, result: Reference, *, all_iters: Reference | None = None) -> Bindings:
        """The names an expression sees that is about a result of the current step."""
        return Bindings(previous_result=result, result=result, all_iters=all_iters)

    def _previous_wait(self) -> tuple[Place, ModuleStatus] | None:
        if not 0 < self.step < len(self.flow.modules):
            return None
        before = self.status.modules[self.step - 1]
        return (
            (Place(self.flow.modules[self.step - 1].id, before.attempt), before) if before.released else None
        )

    def question(self, stage: Stage, settings: Settings, bindings: Bindings) -> Question:
        """Ask for the settings that are expressions."""
        return Question(stage=stage, expressions=asked(settings), bindings=bindings)

    def condition(self, stage: Stage, code: str, bindings: Bindings) -> Question:
        """Ask whether something is so."""
        return Question(
            stage=stage, expressions=(Expression("condition", code, boolean=True),), bindings=bindings
        )

    def pose(self, question: Question) -> None:
        """Wait for the caller to evaluate."""
        asked_id = f"{question.stage}:{self.status.step}:{self.state.attempt}:{question.first}"
        self.change(
            phase=Phase.ASKING,
            asked=Asked(asked_id, question.stage, question.first, question.count),
        )
        self.effects.append(
            Evaluate(
                id=asked_id,
                expressions=question.expressions,
                bindings=question.bindings,
                first=question.first,
                count=question.count,
            )
        )

    def push(self, *children: NewChild) -> None:
        """Push child jobs of the current step and wait for them."""
        self.effects.append(PushJobs(children))
        self.change(phase=Phase.RUNNING)
        if self.state.state is not ModuleState.ACTIVE:
            self.change_state(state=ModuleState.ACTIVE)

    def sleep(self, seconds: float, then: Stage, *, jitter_percent: int = 0) -> Next:
        """Go on with `then` after a time; at once when there is none."""
        if seconds <= 0:
            return then
        self.change(phase=Phase.SLEEPING, resume_at=then, waits=self.status.waits + 1)
        self.effects.append(Sleep(self.status.waits, seconds, jitter_percent))
        return None

    def finish(self, status: Literal["success", "failure", "canceled", "skipped"], result: Reference) -> None:
        """End the flow."""
        self.change(phase=Phase.ENDED)
        self.effects.append(
            Finish(status=status, result=result, stop=self.status.stop, handled=self.status.handled)
        )

    def cancel_children(self, by: str, reason: str) -> None:
        """Cancel all that runs for this flow."""
        self.effects.append(CancelJobs(by, reason))


NO_ANSWERS = Answers({})
