"""What the names in an expression stand for, fetched no sooner than the expression mentions them."""

from collections.abc import Mapping, Sequence
from typing import Literal
from uuid import UUID

import msgspec

from millpond.base.errors import MillpondError, NotFound, Unavailable
from millpond.engine.effects import Bindings, Evaluate, Expression
from millpond.engine.events import Answer, Broken, Value
from millpond.expressions.evaluator import Evaluator
from millpond.expressions.failures import error_of
from millpond.expressions.references import names_used
from millpond.model.actors import Actor
from millpond.model.flow_runs import FlowJob
from millpond.model.flows import FlowValue
from millpond.model.jobs import FLOW_KINDS
from millpond.services.flow_runs.library import Library
from millpond.services.flow_runs.names import Names
from millpond.services.flow_runs.run import Run
from millpond.services.flow_runs.values import Values, iteration, with_outer_iter
from millpond.services.identities import Identities
from millpond.services.interpolation import Interpolation
from millpond.store import approvals as approval_store
from millpond.store import flow_user_states as user_state_store
from millpond.store import jobs as job_store
from millpond.store.pool import Database, Transaction

Kind = Literal["results", "flow_env", "variable", "resource", "flow_user_state"]


class Surroundings(msgspec.Struct, frozen=True):
    """What expressions are evaluated with, beside the flow itself."""

    database: Database
    library: Library
    evaluator: Evaluator
    identities: Identities
    interpolation: Interpolation


class Scope:
    """The names of one question, seen from one flow."""

    def __init__(
        self, surroundings: Surroundings, run: Run, bindings: Bindings, values: Values, names: Names
    ) -> None:
        self._surroundings = surroundings
        self._run = run
        self._bindings = bindings
        self._values = values
        self._names = names
        self._fetched: dict[str, bytes] = {}
        self._actor: Actor | None = None

    async def answer(self, question: Evaluate) -> dict[str, tuple[Answer, ...]]:
        """The answers to a question, by key."""
        varying: list[Mapping[str, bytes]] = [{}]
        if question.count:
            varying = await self._turns(question.first, question.count)
        return {asked.key: await self._answers(asked, varying) for asked in question.expressions}

    async def _turns(self, first: int, count: int) -> list[Mapping[str, bytes]]:
        """What differs between the turns of a loop: the item, and nothing else."""
        assert self._bindings.items_of is not None
        items = await self._values.items(self._run, self._bindings.items_of, first, count)
        return [
            {"flow_input.iter": iteration(first + number, item).encode()} for number, item in enumerate(items)
        ]

    async def _answers(self, asked: Expression, varying: Sequence[Mapping[str, bytes]]) -> tuple[Answer, ...]:
        try:
            names = await self._bound(names_used(asked.code))
            found = await self._surroundings.evaluator.evaluate_many(
                asked.code, boolean=asked.boolean, names=names, varying=varying, lookup=self.look_up
            )
        except Unavailable:
            raise
        except MillpondError as error:
            return (Broken(error.message),) * len(varying)
        return tuple(
            Broken(value.message) if isinstance(value, MillpondError) else Value(msgspec.Raw(value))
            for value in found
        )

    # --- what is bound to names

    async def _bound(self, names: frozenset[str]) -> dict[str, bytes]:
        bound: dict[str, bytes] = {}
        for name in names & _READERS.keys():
            if name not in self._fetched:
                value = await _READERS[name](self)
                if value is None:
                    continue
                self._fetched[name] = value
            bound[name] = self._fetched[name]
        return bound

    async def _flow_input(self) -> bytes | None:
        args = self._run.args
        return (args if self._bindings.items_of is None else with_outer_iter(args)).encode()

    async def _previous_result(self) -> bytes | None:
        return (await self._values.text_of(self._bindings.previous_result, self._run)).encode()

    async def _result(self) -> bytes | None:
        if self._bindings.result is None:
            return None
        return (await self._values.text_of(self._bindings.result, self._run)).encode()

    async def _all_iters(self) -> bytes | None:
        if self._bindings.all_iters is None:
            return None
        return (await self._values.text_of(self._bindings.all_iters, self._run)).encode()

    async def _error(self) -> bytes | None:
        previous = await self._bound(frozenset({"previous_result"}))
        return error_of(previous["previous_result"])

    async def _resumes(self) -> bytes | None:
        return b"[" + b",".join(await self._payloads()) + b"]"

    async def _resume(self) -> bytes | None:
        payloads = await self._payloads()
        return payloads[-1] if payloads else b"null"

    async def _approvers(self) -> bytes | None:
        waited = self._bindings.resumes_of
        if waited is None:
            return b"[]"
        given = [
            approval.approver or "anonymous"
            for approval in self._run.status.approvals
            if approval.module in (None, waited.module) and approval.approved
        ]
        return msgspec.json.encode(given)

    async def _payloads(self) -> list[bytes]:
        waited = self._bindings.resumes_of
        if waited is None:
            return []
        heard = {
            (given.module, given.attempt, given.resume_id)
            for given in self._run.status.approvals
            if given.approved and (given.module is None or given.module == waited.module)
        }
        async with self._surroundings.database.statement() as connection:
            rows = await approval_store.payloads_of(connection, self._run.job.workspace_id, self._run.id)
        payloads = [row.payload.encode() for row in rows if (row.step, row.attempt, row.resume_id) in heard]
        if self._bindings.resume_error is not None:
            payloads.append(bytes(self._bindings.resume_error.value))
        return payloads

    async def _started_at(self) -> bytes | None:
        if not self._bindings.in_failure_module:
            return None
        return msgspec.json.encode(self._run.job.started_at)

    async def _flow_job_id(self) -> bytes | None:
        return msgspec.json.encode(self._run.id) if self._bindings.in_failure_module else None

    async def _params(self) -> bytes | None:
        return b"{}"

    async def _scheduled_for(self) -> bytes | None:
        return msgspec.json.encode(self._run.job.scheduled_for)

    # --- what is asked for while an expression runs

    async def look_up(self, kind: Kind, name: str) -> bytes:
        """JSON of what an expression asks for by name. Raises MillpondError with what is wrong."""
        match kind:
            case "results":
                found = await self._names.find(self._run, name)
                return (
                    b"null"
                    if found is None
                    else (await self._values.text_of(found.reference, found.run)).encode()
                )
            case "flow_env":
                return await self._flow_env(name)
            case "variable":
                return await self._reference(f"$var:{name}")
            case "resource":
                return (
                    await self._surroundings.interpolation.resource(await self._as_actor(), name)
                ).encode()
            case "flow_user_state":
                async with self._surroundings.database.statement() as connection:
                    outermost = await self._outermost(connection)
                    value = await user_state_store.get_value(
                        connection, self._run.job.workspace_id, outermost, name
                    )
                return b"null" if value is None else value.encode()

    async def _outermost(self, connection: Transaction) -> UUID:
        """The outermost flow: the one whose user states all steps share. A script may have started it as its child."""
        job = self._run.job
        known = job.id if self._run.version is not None else job.parent_job
        line = [] if known is None else await job_store.get_lineage(connection, job.workspace_id, known)
        return next((above.id for above in reversed(line) if above.kind in FLOW_KINDS), job.id)

    async def _flow_env(self, name: str) -> bytes:
        value = await flow_env_value(self._surroundings.library, self._run.job, self._run.flow, name)
        if value is None:
            return b"null"
        text = bytes(value)
        return await self._reference(msgspec.json.decode(text)) if text.startswith(b'"$') else text

    async def _reference(self, text: str) -> bytes:
        given = msgspec.json.encode({"value": text})
        resolved = await self._surroundings.interpolation.args(await self._as_actor(), given)
        return bytes(msgspec.json.decode(resolved.args, type=dict[str, msgspec.Raw])["value"])

    async def _as_actor(self) -> Actor:
        if self._actor is None:
            job = self._run.job
            self._actor = await self._surroundings.identities.actor_of_job(
                job.workspace_id, job.id, job.email, job.permissioned_as
            )
        return self._actor


async def flow_env_value(library: Library, job: FlowJob, flow: FlowValue, name: str) -> msgspec.Raw | None:
    """A value of `flow_env` as it is written: of the deployed flow around the job, else of the outermost one."""
    if job.flow_version is None and job.raw_flow is None:
        job, flow = await library.deployed_around(job)
    while True:
        if flow.flow_env is not None and name in flow.flow_env:
            return flow.flow_env[name]
        if not job.is_step or job.parent_job is None:
            return None
        around = await library.load(job.workspace_id, job.parent_job)
        if around is None:
            raise NotFound(f"Flow job {job.parent_job}, around {job.id}, was deleted")
        job, flow = await library.deployed_around(around.job)


_READERS = {
    "flow_input": Scope._flow_input,
    "previous_result": Scope._previous_result,
    "result": Scope._result,
    "all_iters": Scope._all_iters,
    "error": Scope._error,
    "resume": Scope._resume,
    "resumes": Scope._resumes,
    "approvers": Scope._approvers,
    "started_at": Scope._started_at,
    "flow_job_id": Scope._flow_job_id,
    "params": Scope._params,
    "WM_SCHEDULED_FOR": Scope._scheduled_for,
}
"""How each name is read; None: it stands for nothing here, and using it is an error of the expression's."""
