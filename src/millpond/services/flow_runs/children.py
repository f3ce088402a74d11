"""From a child the engine wants to the job that is pushed: what it runs, as whom, under which tag, with what arguments."""

from typing import NamedTuple
from uuid import UUID

import msgspec

from millpond.base.errors import InvalidInput, MillpondError, NotFound
from millpond.base.ids import hash_from_hex, new_job_id
from millpond.engine.definition import path_suffix
from millpond.engine.effects import FailAtOnce, FlowInputs, InputsOf, InputsOfJob, NewChild, PassOn, RunBody
from millpond.model.actors import Actor
from millpond.model.flow_modules import FlowModule, RawScript, ScriptStep, SubFlow
from millpond.model.flow_runs import FlowJob
from millpond.model.flows import FlowValue
from millpond.model.jobs import JobKind, NewJob
from millpond.model.permissions import can_read
from millpond.model.results import error_result
from millpond.model.scripts import RunnableScript
from millpond.services.concurrency_keys import concurrency_key_of
from millpond.services.flow_runs.library import Library
from millpond.services.flow_runs.run import Run
from millpond.services.flow_runs.values import Values, with_item
from millpond.services.identities import Identities
from millpond.services.job_tags import tag_of
from millpond.store import flows as flow_store
from millpond.store import scripts as script_store
from millpond.store.flows import Candidate as FlowCandidate
from millpond.store.pool import Database
from millpond.store.script_rows import Candidate as ScriptCandidate

FLOW_TAG = "flow"
STEP_PRIORITY = 1
DEEPEST = 100
"""Flows inside flows: one that calls itself ends here."""


class Child(NamedTuple):
    """A job to push, and how it ends if it never runs."""

    job: NewJob
    ended: tuple[str, str] | None = None


class Children:
    """Makes jobs of the engine's children, for one turn: what one child looked up is not looked up for the next."""

    def __init__(self, database: Database, library: Library, identities: Identities) -> None:
        self._database = database
        self._library = library
        self._identities = identities
        self._scripts: dict[tuple[str | None, str], ScriptCandidate | None] = {}
        self._flows: dict[str, FlowCandidate | None] = {}
        self._actors: dict[tuple[UUID, str, str], Actor] = {}

    def for_turn(self) -> "Children":
        """The same, knowing nothing yet."""
        return Children(self._database, self._library, self._identities)

    async def make(self, run: Run, child: NewChild, values: Values) -> Child:
        """The job of a child. One that cannot be made, since its script is missing say, is a job that has failed."""
        args = await self._args(run, child, values)
        job = _inherited(run, child, args)
        match child.work:
            case PassOn(result):
                passed = await values.text_of(result, run)
                return Child(
                    msgspec.structs.replace(job, kind="identity", tag="identity"), ("success", passed)
                )
            case FailAtOnce(message):
                return _failed(job, child, "ExecutionErr", message)
        try:
            return Child(_cached(child, await self._what(run, child, job)))
        except MillpondError as error:
            return _failed(job, child, "ExecutionErr", error.message)

    async def _args(self, run: Run, child: NewChild, values: Values) -> str:
        match child.inputs:
            case InputsOf(given):
                return msgspec.json.encode(given).decode()
            case InputsOfJob(place):
                return await values.args_at(run, place)
            case FlowInputs(item):
                if item is None:
                    return run.args
                loop = msgspec.structs.replace(child.place, index=None)
                (text,) = await values.items(run, loop, item, 1)
                return with_item(run.args, item, text)

    async def _what(self, run: Run, child: NewChild, job: NewJob) -> NewJob:
        value = child.module.value
        match child.work, value:
            case RunBody(branch), _:
                return _body(run, child, branch, job)
            case _, RawScript():
                return _inline(run, child, value, job)
            case _, ScriptStep():
                return await self._script(run, child, value, job)
            case _, SubFlow():
                return await self._sub_flow(run, value, job)
        raise InvalidInput(f"step '{child.module.id}' runs nothing")

    async def _script(self, run: Run, child: NewChild, step: ScriptStep, job: NewJob) -> NewJob:
        candidate = await self._script_of(job.workspace_id, step)
        if candidate is None or candidate.deleted:
            raise NotFound(f"Script not found at path {step.path}: not deployed, or archived")
        script = candidate.script
        actor = await self._actor(run.job)
        if not can_read(actor, script.path, script.extra_perms):
            raise NotFound(f"{actor.username} may not read the script at path {script.path}")
        if script.lock is None and candidate.lock_error_logs is not None:
            raise InvalidInput(
                f"Script {script.path} cannot run: its dependencies could not be resolved.\n"
                f"{candidate.lock_error_logs}"
            )
        return msgspec.structs.replace(
            job,
            kind="script",
            runnable_path=script.path,
            script_hash=script.hash,
            language=script.language,
            entrypoint="preprocessor" if child.place.module == "preprocessor" else None,
            tag=_tag(run, step.tag_override or script.tag, script.language, job),
            priority=_first(child.module.priority, script.priority, job.priority),
            timeout_s=_shortest(job.timeout_s, script.timeout),
            permissioned_as=f"u/{script.created_by}" if script.on_behalf_of_email else job.permissioned_as,
            email=script.on_behalf_of_email or job.email,
            cache_ttl_s=script.cache_ttl,
            delete_after_s=_given(job.delete_after_s, script.delete_after_s),
            concurrent_limit=script.concurrent_limit,
            concurrency_window_s=script.concurrency_time_window_s,
            concurrency_key=_own_key("script", script.path, script, job),
        )

    async def _sub_flow(self, run: Run, step: SubFlow, job: NewJob) -> NewJob:
        if run.job.depth >= DEEPEST:
            raise InvalidInput(
                f"Flows are nested deeper than {DEEPEST} levels: does {step.path} call itself?"
            )
        candidate = await self._flow_of(job.workspace_id, step)
        if candidate is None or candidate.archived:
            raise NotFound(f"Flow not found at path {step.path}: not deployed, or archived")
        found = candidate.flow
        actor = await self._actor(run.job)
        if not can_read(actor, found.path, found.extra_perms):
            raise NotFound(f"{actor.username} may not read the flow at path {found.path}")
        flow = await self._library.version(job.workspace_id, found.version_id)
        return msgspec.structs.replace(
            job,
            kind="flow",
            runnable_path=found.path,
            flow_path=found.path,
            flow_version=found.version_id,
            tag=_tag(run, found.tag, FLOW_TAG, job),
            same_worker=job.same_worker or flow.same_worker,
            permissioned_as=f"u/{found.created_by}" if found.on_behalf_of_email else job.permissioned_as,
            email=found.on_behalf_of_email or job.email,
            priority=_first(job.priority, found.priority),
            timeout_s=_shortest(job.timeout_s, found.timeout),
            cache_ttl_s=flow.cache_ttl,
            delete_after_s=_given(job.delete_after_s, flow.delete_after_secs),
            concurrent_limit=flow.concurrent_limit,
            concurrency_window_s=flow.concurrency_time_window_s,
            concurrency_key=_own_key("flow", found.path, flow, job),
        )

    async def _script_of(self, workspace_id: str, step: ScriptStep) -> ScriptCandidate | None:
        key = (step.hash, step.path)
        if key not in self._scripts:
            wanted = hash_from_hex(step.hash) if step.hash else None
            if step.hash and wanted is None:
                raise InvalidInput(f"{step.hash!r} is no script hash: it has 16 hex digits")
            async with self._database.statement() as connection:
                self._scripts[key] = (
                    await script_store.get_runnable_by_path(connection, workspace_id, step.path)
                    if wanted is None
                    else await script_store.get_runnable_by_hash(connection, workspace_id, wanted)
                )
        return self._scripts[key]

    async def _flow_of(self, workspace_id: str, step: SubFlow) -> FlowCandidate | None:
        if step.path not in self._flows:
            async with self._database.statement() as connection:
                self._flows[step.path] = await flow_store.head_version(connection, workspace_id, step.path)
        return self._flows[step.path]

    async def _actor(self, job: FlowJob) -> Actor:
        key = (job.id, job.email, job.permissioned_as)
        if key not in self._actors:
            self._actors[key] = await self._identities.actor_of_job(
                job.workspace_id, job.id, job.email, job.permissioned_as
            )
        return self._actors[key]


def _inherited(run: Run, child: NewChild, args: str) -> NewJob:
    """What every child takes over from its flow."""
    job, module = run.job, child.module
    return NewJob(
        id=new_job_id(),
        workspace_id=job.workspace_id,
        kind="identity",
        args=args,
        tag=job.tag,
        created_by=job.created_by,
        permissioned_as=job.permissioned_as,
        email=job.email,
        runnable_path=f"{job.runnable_path}/{module.id}" if job.runnable_path else None,
        priority=_first(module.priority, run.flow.priority, job.priority, STEP_PRIORITY),
        timeout_s=None if child.timeout_s is None else max(1, round(child.timeout_s)),
        parent_job=job.id,
        root_job=job.root,
        flow_step_id=module.id,
        step_place=child.place.module,
        step_attempt=child.place.attempt,
        step_index=child.place.index,
        schedule_path=job.schedule_path,
        visible_to_owner=job.visible_to_owner,
        flow_path=job.flow_path,
        depth=job.depth + 1,
        same_worker=job.same_worker or run.flow.same_worker,
        is_test=job.is_test,
        pinned_to=job.pinned_to,
        delete_after_s=_deletion(run, child),
    )


def _cached(child: NewChild, job: NewJob) -> NewJob:
    """How long the step says its result is kept; a body of a container is not what its settings mean."""
    if isinstance(child.work, RunBody):
        return job
    return msgspec.structs.replace(job, cache_ttl_s=child.module.cache_ttl or job.cache_ttl_s)


def _own_key(kind: str, path: str, limited: RunnableScript | FlowValue, job: NewJob) -> str | None:
    """The concurrency key of a deployed script or flow that is limited, wherever it runs."""
    if not limited.concurrent_limit:
        return None
    return concurrency_key_of(limited.concurrency_key, job.workspace_id, kind, path, job.args)


def _step_key(step: RawScript, job: NewJob) -> str | None:
    """The concurrency key of a step with code of its own: by default that step's in all runs of its flow, or of a test
    without a path, in this one."""
    if not step.concurrent_limit:
        return None
    path = step.path or f"{job.flow_path or job.root_job}/{job.flow_step_id}"
    return concurrency_key_of(
        step.custom_concurrency_key, job.workspace_id, "script", path, job.args, flow_path=job.flow_path
    )


def _deletion(run: Run, child: NewChild) -> int | None:
    """When what a step was given and returned is to be forgotten, by the step itself or by the loop it is all of."""
    container = next((module for module in run.flow.modules if module.id == child.place.module), None)
    return _given(_deletion_of(child.module), _deletion_of(container) if container else None)


def _deletion_of(module: FlowModule) -> int | None:
    return 0 if module.delete_after_use else module.delete_after_secs


def _given(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _inline(run: Run, child: NewChild, step: RawScript, job: NewJob) -> NewJob:
    kind: JobKind = "preview" if run.job.is_test else "flowscript"
    return msgspec.structs.replace(
        job,
        kind=kind,
        runnable_path=step.path or job.runnable_path,
        language=step.language,
        raw_code=step.content,
        raw_lock=step.lock,
        entrypoint="preprocessor" if child.place.module == "preprocessor" else None,
        tag=_tag(run, step.tag, step.language, job),
        concurrent_limit=step.concurrent_limit,
        concurrency_window_s=step.concurrency_time_window_s,
        concurrency_key=_step_key(step, job),
    )


def _body(run: Run, child: NewChild, branch: int | None, job: NewJob) -> NewJob:
    place, path = child.place, run.job.runnable_path
    if run.job.depth >= DEEPEST:
        raise InvalidInput(f"Flows are nested deeper than {DEEPEST} levels")
    suffix = path_suffix(child.module, branch=branch, index=place.index)
    return msgspec.structs.replace(
        job,
        kind="flowpreview" if run.job.is_test else "flownode",
        runnable_path=f"{path}/{suffix}" if path else None,
        flow_branch=branch,
    )


def _tag(run: Run, own: str | None, default: str, job: NewJob) -> str:
    """A flow with a tag of its own gives it to its steps, but for preprocessors and those that keep theirs."""
    own = (own or "").strip()
    is_default = run.job.tag in (FLOW_TAG, f"{FLOW_TAG}-{job.workspace_id}")
    keeps = job.step_place == "preprocessor" or (own and run.flow.preserve_step_tags)
    if not (is_default or keeps):
        return run.job.tag
    return tag_of(own or default, job.workspace_id, job.args)


def _failed(job: NewJob, child: NewChild, name: str, message: str) -> Child:
    return Child(job, ("failure", error_result(name, message, step_id=child.module.id)))


def _first(*given: int | None) -> int:
    return next((number for number in given if number), 0)


def _shortest(*given: int | None) -> int | None:
    return min((limit for limit in given if limit), default=None)
