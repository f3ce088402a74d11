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

from millpond.base.errors import InvalidInput, NotFound, Unavailable
from millpond.base.log import get_logger
from millpond.engine.references import Place
from millpond.model.jobs import FLOW_KINDS, Claim, Completion
from millpond.model.results import error_result
from millpond.services.flow_runs.children import Children
from millpond.services.flow_runs.library import LoadedRun
from millpond.services.flow_runs.performing import Bench, Moved, Performed, Stale, perform
from millpond.services.flow_runs.plan import Plan
from millpond.services.flow_runs.scope import Surroundings
from millpond.services.flow_runs.values import Values
from millpond.services.job_endings import Ended, follow_ends
from millpond.store import queue as queue_store
from millpond.store.pool import Transaction

log = get_logger()

MOST_TREES = 200
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
        self._trees: OrderedDict[UUID, Tree] = OrderedDict()

    async def aclose(self) -> None:
        """End the processes that evaluate expressions."""
        await self._surroundings.evaluator.aclose()

    async def claimed(self, claim: Claim, bench: Bench) -> Turned:
        """A flow job was claimed: it begins, wakes, or has been told something. Raises Unavailable."""
        return await self._happen(claim.root_job or claim.job_id, Happening(claim), bench)

    async def step_ended(self, completion: Completion, bench: Bench) -> Turned:
        """A step of a flow has ended: it is recorded, and what comes next begins, in one transaction.

        A completion whose claim is no longer current changes nothing. Raises Unavailable when nothing was stored, and
        MillpondError when the database refuses the result itself.
        """
        claim = completion.claim
        return await self._happen(claim.root_job or claim.job_id, Happening(completion), bench)

    async def _happen(self, root: UUID, happening: Happening, bench: Bench) -> Turned:
        tree = self._trees.get(root)
        if tree is None:
            tree = self._trees[root] = Tree()
        self._trees.move_to_end(root)
        tree.happenings.append(happening)
        if tree.turning is None or tree.turning.done():
            tree.turning = asyncio.create_task(self._turn_all(tree, bench), name=f"turn {root}")
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
            if len(batch) > 1 and not isinstance(error, Unavailable):
                # One result the database refuses must not speak for the others.
                for happening in batch:
                    await self._turn_or_tell(tree, [happening], bench)
                return
            for happening in batch:
                if not happening.turned.done():
                    happening.turned.set_exception(error)

    async def _turn(self, tree: Tree, batch: list[Happening], bench: Bench) -> None:
        steps = sum(isinstance(happening.cause, Completion) for happening in batch)
        bench = bench._replace(free=steps)
        for _ in range(MOST_TRIES):
            try:
                performed = await self._try(tree, batch, bench)
            except Moved:
                tree.known.clear()
                await asyncio.sleep(random.uniform(0, LONGEST_PAUSE_SECS))  # noqa: S311 - spreads contenders
            except Stale as stale:
                tree.known.clear()
                batch = _still_live(batch, stale.live)
            else:
                _hand_out(batch, performed)
                return
        raise Unavailable("A flow is changed by others faster than this worker can follow")

    async def _try(self, tree: Tree, batch: Sequence[Happening], bench: Bench) -> Performed:
        workspace_id = _claim_of(batch[0]).workspace_id
        values = Values(self._database, workspace_id, tree.recent)
        plan = Plan(self._surroundings, self._children, values, tree.known, workspace_id, bench.pin)
        try:
            for happening in batch:
                if isinstance(happening.cause, Completion):
                    plan.add_completion(happening.cause)
                else:
                    await plan.add_claim(happening.cause)
            await plan.settle()
        except (NotFound, InvalidInput) as error:
            return await self._end_unreadable(tree, batch, error.message)
        async with self._database.transaction() as transaction:
            performed = await perform(transaction, plan, bench)
        values.keep_recent()
        _remember(tree, plan)
        return performed

    async def _end_unreadable(self, tree: Tree, batch: Sequence[Happening], message: str) -> Performed:
        """Flows that cannot be read, since their definition was deleted say, end by name, and their steps with them."""
        log.warning("flow_unreadable", error=message)
        tree.known.clear()
        failures = [
            happening.cause
            if isinstance(happening.cause, Completion)
            else Completion(
                claim=happening.cause, status="failure", result=error_result("FlowUnreadable", message)
            )
            for happening in batch
        ]
        async with self._database.transaction() as transaction:
            done = await queue_store.complete_jobs(transaction, failures)
            claims = [failure.claim for failure in failures if failure.claim.job_id in done]
            ended = [Ended.of(claim.workspace_id, claim) for claim in claims]
            ended += [
                await _end_around(transaction, claim, claim.parent_job, message)
                for claim in claims
                if claim.kind not in FLOW_KINDS and claim.parent_job is not None
            ]
            await follow_ends(transaction, ended)
        return Performed([], [])

    def _forget_oldest(self) -> None:
        while len(self._trees) > MOST_TREES:
            root, tree = next(iter(self._trees.items()))
            if tree.happenings:
                return
            del self._trees[root]


async def _end_around(transaction: Transaction, claim: Claim, flow_job: UUID, message: str) -> Ended:
    """End the flow around a step that has ended."""
    result = error_result("FlowUnreadable", message)
    key = await queue_store.end_unreadable(transaction, claim.workspace_id, flow_job, result)
    return Ended(claim.workspace_id, flow_job, key, is_root=flow_job == claim.root_job)


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
        happening.turned.set_result(NOTHING)
    return kept


def _hand_out(batch: Sequence[Happening], performed: Performed) -> None:
    """Each step that ended leaves a slot, which takes one of the steps that begin."""
    claims = deque(performed.claims)
    ended = list(performed.ended_sharing)
    for happening in batch:
        has_slot = isinstance(happening.cause, Completion) and bool(claims)
        happening.turned.set_result(Turned(claims.popleft() if has_slot else None, ended))
        ended = []


def _remember(tree: Tree, plan: Plan) -> None:
    """The flows of a stored turn, as they are now."""
    for run in plan.runs.values():
        loaded = run.as_stored()
        if loaded is None:
            tree.known.pop(run.id, None)
        else:
            tree.known[run.id] = loaded
    for flow_job in {flow_job for flow_job, _ in plan.left} | plan.told:
        tree.known.pop(flow_job, None)
