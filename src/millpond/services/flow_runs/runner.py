"""Turns of flows on one worker: what happens to a tree of flows at the same time is worked out and stored together.

All turns of a tree pass through one queue of this process, so that its 200 parallel steps do not contend for the row of
the flow around them; turns of other workers are met by comparing versions.
"""

import asyncio
import random
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from millpond.base.errors import InvalidInput, MillpondError, NotFound, Unavailable
from millpond.base.log import get_logger
from millpond.engine.references import Place
from millpond.model.jobs import Claim, Completion
from millpond.model.results import error_result
from millpond.services.flow_runs.children import Children
from millpond.services.flow_runs.giving_up import end_flow
from millpond.services.flow_runs.library import LoadedRun
from millpond.services.flow_runs.performing import Bench, Moved, Performed, Stale, perform
from millpond.services.flow_runs.plan import Plan
from millpond.services.flow_runs.scope import Surroundings
from millpond.services.flow_runs.values import Values

log = get_logger()

MOST_TREES = 100
HAPPENINGS_A_TURN = 200
MOST_TRIES = 100
LONGEST_PAUSE_SECS = 0.05


class Turned(NamedTuple):
    """What came of something that happened to a flow: the step the worker holds from now on and must run, in the slot
    that became free, and flows with a shared directory that have ended."""

    following: Claim | None
    ended_sharing: list[UUID]


NOTHING = Turned(None, [])


class Happening:
    """Something that happened to a flow on this worker: a step ended, or the flow itself was claimed."""

    def __init__(self, cause: Completion | Claim) -> None:
        self.cause = cause
        self.turned: asyncio.Future[Turned] = asyncio.get_running_loop().create_future()


class Tree:
    """The flows below one root, as this worker last left them, and what has happened to them since."""

    def __init__(self) -> None:
        self.known: dict[UUID, LoadedRun] = {}
        self.recent: dict[tuple[UUID, Place], str] = {}
        self.happenings: deque[Happening] = deque()
        self.turning: asyncio.Task[None] | None = None


class FlowRunner:
    """Advances flows for one worker."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._database = surroundings.database
        self._children = Children(surroundings.database, surroundings.library, surroundings.identities)
        self._trees: OrderedDict[tuple[str, UUID], Tree] = OrderedDict()

    async def aclose(self) -> None:
        """End the processes that evaluate expressions."""
        await self._surroundings.evaluator.aclose()

    async def claimed(self, claim: Claim, bench: Bench) -> Turned:
        """A flow job was claimed: it begins, wakes, or has been told something. Raises Unavailable."""
        return await self._happen(claim, Happening(claim), bench)

    async def step_ended(self, completion: Completion, bench: Bench) -> Turned:
        """A step of a flow has ended: it is recorded, and what comes next begins, in one transaction.

        A completion whose claim is no longer current changes nothing. Raises Unavailable when nothing was stored, and
        MillpondError when the database refuses the result itself.
        """
        return await self._happen(completion.claim, Happening(completion), bench)

    async def _happen(self, claim: Claim, happening: Happening, bench: Bench) -> Turned:
        # Ids may be chosen by callers, and are unique within a workspace only.
        root = claim.workspace_id, claim.root_job or claim.job_id
        tree = self._trees.get(root)
        if tree is None:
            tree = self._trees[root] = Tree()
        self._trees.move_to_end(root)
        tree.happenings.append(happening)
        if tree.turning is None or tree.turning.done():
            tree.turning = asyncio.create_task(self._turn_all(tree, bench), name=f"turn {root[1]}")
        return await happening.turned

    async def _turn_all(self, tree: Tree, bench: Bench) -> None:
        while tree.happenings:
            count = min(HAPPENINGS_A_TURN, len(tree.happenings))
            batch = [tree.happenings.popleft() for _ in range(count)]
            await self._turn_or_tell(tree, batch, bench)
        self._forget_oldest()

    async def _turn_or_tell(self, tree: Tree, batch: list[Happening], bench: Bench) -> None:
        """A turn; who waits for it hears when it cannot be stored."""
        try:
            await self._turn(tree, batch, bench)
        except Exception as error:  # noqa: BLE001 - each waiter decides for itself what an error means
            # What is remembered may be of a turn that was not stored.
            tree.known.clear()
            tree.recent.clear()
            if isinstance(error, Unavailable):
                _tell_all(batch, error)
            elif len(batch) > 1:
                # One result the database refuses, or one flow that cannot be read, must not speak for the others.
                for happening in batch:
                    await self._turn_or_tell(tree, [happening], bench)
            else:
                await self._end_or_tell(batch, error)

    async def _turn(self, tree: Tree, batch: list[Happening], bench: Bench) -> None:
        for _ in range(MOST_TRIES):
            try:
                performed = await self._try(tree, batch, bench._replace(free=_slots(batch)))
            except Moved:
                tree.known.clear()
                await asyncio.sleep(random.uniform(0, LONGEST_PAUSE_SECS))  # noqa: S311 - spreads contenders
            except Stale as stale:
                tree.known.clear()
                batch[:] = _still_live(batch, stale.live)
                if not batch:
                    return
            else:
                _hand_out(batch, performed)
                return
        raise Unavailable("A flow is changed by others faster than this worker can follow")

    async def _try(self, tree: Tree, batch: Sequence[Happening], bench: Bench) -> Performed:
        workspace_id = _claim_of(batch[0]).workspace_id
        values = Values(self._database, workspace_id, tree.recent)
        plan = Plan(self._surroundings, self._children, values, tree.known, workspace_id, bench.pin)
        for happening in batch:
            if isinstance(happening.cause, Completion):
                plan.add_completion(happening.cause)
            else:
                await plan.add_claim(happening.cause)
        await plan.settle()
        async with self._database.transaction() as transaction:
            performed = await perform(transaction, plan, bench)
        values.keep_recent()
        _remember(tree, plan)
        return performed

    async def _end_or_tell(self, batch: Sequence[Happening], error: Exception) -> None:
        """A turn of one happening cannot be worked out or stored: its flow ends by name.

        Unless it is the result of the step itself that is refused, which the waiter has to hear.
        """
        (happening,) = batch
        cause = happening.cause
        if isinstance(error, MillpondError):
            log.warning("flow_cannot_go_on", job_id=str(_claim_of(happening).job_id), error=error.message)
            message = error.message
        else:
            log.error("flow_turn_failed", job_id=str(_claim_of(happening).job_id), exc_info=error)
            message = f"{type(error).__name__} in the worker; see its log"
        name = "FlowUnreadable" if isinstance(error, NotFound | InvalidInput) else "InternalErr"
        try:
            await end_flow(self._database, cause, error_result(name, f"The flow cannot go on: {message}"))
        except Exception:  # noqa: BLE001 - the first error says more
            _tell_all(batch, error)
        else:
            _hand_out(batch, Performed([], []))

    def _forget_oldest(self) -> None:
        while len(self._trees) > MOST_TREES:
            root, tree = next(iter(self._trees.items()))
            if tree.happenings:
                return
            del self._trees[root]


def _claim_of(happening: Happening) -> Claim:
    cause = happening.cause
    return cause.claim if isinstance(cause, Completion) else cause


def _still_live(batch: list[Happening], live: set[UUID]) -> list[Happening]:
    """The batch without steps that are in other hands by now."""
    kept = []
    for happening in batch:
        claim = _claim_of(happening)
        if isinstance(happening.cause, Claim) or claim.job_id in live:
            kept.append(happening)
            continue
        log.warning("stale_completion_dropped", job_id=str(claim.job_id), lease_token=claim.lease_token)
        if not happening.turned.done():
            happening.turned.set_result(NOTHING)
    return kept


def _slots(batch: Sequence[Happening]) -> int:
    """How many slots of the worker are free once the turn is stored: each step that ended leaves one."""
    return sum(isinstance(happening.cause, Completion) for happening in batch)


def _tell_all(batch: Sequence[Happening], error: Exception) -> None:
    for happening in batch:
        if not happening.turned.done():
            happening.turned.set_exception(error)


def _hand_out(batch: Sequence[Happening], performed: Performed) -> None:
    """Each step that ended leaves a slot, which takes one of the steps that begin."""
    claims = deque(performed.claims)
    ended = list(performed.ended_sharing)
    for happening in batch:
        has_slot = isinstance(happening.cause, Completion) and bool(claims)
        if not happening.turned.done():
            happening.turned.set_result(Turned(claims.popleft() if has_slot else None, ended))
        ended = []


def _remember(tree: Tree, plan: Plan) -> None:
    """The flows of a stored turn, as they are now."""
    for run in plan.runs.values():
        loaded = run.as_stored()
        if run.finish is not None and not run.job.is_step:
            tree.known.clear()
            tree.recent.clear()
            return
        if loaded is None:
            tree.known.pop(run.id, None)
        else:
            tree.known[run.id] = loaded
    for flow_job in {flow_job for flow_job, _ in plan.left} | plan.told:
        tree.known.pop(flow_job, None)
