"""A flow while a turn is being worked out: what it was, and all that the turn changes."""

from uuid import UUID

import msgspec

from millpond.engine.effects import CancelJobs, Finish
from millpond.engine.references import Place
from millpond.engine.status import FlowStatus, Phase
from millpond.model.flow_runs import FlowJob, StoredRun
from millpond.model.flows import FlowValue
from millpond.services.flow_runs.library import LoadedRun

WAITS = frozenset({Phase.SLEEPING, Phase.SUSPENDED})


class Run:
    """A flow in a turn. Nothing here is stored before the turn is."""

    def __init__(
        self, job: FlowJob, flow: FlowValue, status: FlowStatus, args: str, version: int | None
    ) -> None:
        self.job = job
        self.flow = flow
        self.status = status
        self.args = args
        self.version = version
        """The stored version the turn builds on; None: the turn itself begins the flow."""
        self.was_resting = status.phase in WAITS
        self.is_due = False
        self.is_late = False
        self.is_claimed = False
        self.has_heard = False
        self.is_touched = False
        self.replaced_args: str | None = None
        self.early_result: str | None = None
        self.wake_secs: float | None = None
        self.asked_to_wake = False
        self.cancel: CancelJobs | None = None
        self.lines: list[str] = []
        self.items: dict[tuple[str, int], tuple[msgspec.Raw, ...]] = {}
        self.new_items: set[tuple[str, int]] = set()
        self.finish: Finish | None = None
        self.result: str | None = None
        self.cache_key: bytes | None = None
        """Under which key the result of a flow that begins here is to be kept."""
        self.is_replay = False
        """Whether the result is that of an earlier run."""
        self.labels: list[str] | None = None

    @classmethod
    def of(cls, loaded: LoadedRun) -> "Run":
        """The flow as it was loaded."""
        stored = loaded.stored
        run = cls(stored.job, loaded.flow, loaded.status, stored.args, stored.version)
        run.is_due = stored.is_due
        run.is_late = stored.is_late
        run.items = dict(loaded.items)
        return run

    @property
    def id(self) -> UUID:
        """The flow job's."""
        return self.job.id

    @property
    def own_place(self) -> Place:
        """Where the flow around finds this one."""
        return self.place_of(self.job)

    @staticmethod
    def place_of(job: FlowJob) -> Place:
        """Where the flow around finds a flow job."""
        assert job.step_place is not None
        assert job.step_attempt is not None
        return Place(job.step_place, job.step_attempt, job.step_index)

    @property
    def keeps_wake(self) -> bool:
        """Whether the time the flow wakes stays as it was."""
        return not self.asked_to_wake and self.status.phase in WAITS

    def as_stored(self) -> LoadedRun | None:
        """The flow as the stored turn left it, for the next; None when that one must look for itself."""
        if self.finish is not None or self.asked_to_wake or self.is_due or self.is_late:
            return None
        changed = self.version is not None and self.matters
        stored = StoredRun(
            job=self.job,
            version=0 if self.version is None else self.version + changed,
            status=None,
            args=self.args,
            is_live=True,
            is_due=False,
            is_late=False,
            wake_at=None,
            messages=[],
        )
        return LoadedRun(stored=stored, flow=self.flow, status=self.status, items=self.items)

    @property
    def matters(self) -> bool:
        """Whether the turn depends on where the flow stood, also when it changes nothing: what was heard in vain by an old
        status may mean something to the stored one."""
        return self.has_heard or self.is_touched or self.is_claimed or self.replaced_args is not None

    def waits(self, seconds: float) -> None:
        """The flow rests from now on, or for as long."""
        self.asked_to_wake = True
        self.wake_secs = seconds
