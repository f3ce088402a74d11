"""Starting flows: deployed ones by path or version, tests, and runs that go on from an earlier one (compat facts, flows
2.9 and 3.2)."""

from typing import NamedTuple
from uuid import UUID

import msgspec

from millpond.base.errors import InvalidInput, NotFound, PermissionDenied
from millpond.base.ids import new_job_id
from millpond.base.paths import check_path
from millpond.engine.definition import runnable
from millpond.engine.restarting import PastRun, restarted_status
from millpond.engine.status import RestartedFrom
from millpond.model.actors import Actor
from millpond.model.flow_documents import RunnableFlow
from millpond.model.flow_launches import FlowPreview, Restart
from millpond.model.flow_runs import FlowJob
from millpond.model.flow_validation import read_flow
from millpond.model.flows import FlowValue
from millpond.model.jobs import NewJob
from millpond.services.authorization import authorize
from millpond.services.concurrency_keys import concurrency_key_of
from millpond.services.flow_runs.library import Library
from millpond.services.flows import Flows
from millpond.services.job_access import require_read_job
from millpond.services.job_tags import tag_of
from millpond.services.launch_options import (
    CHILD_PRIORITY,
    PREVIEW,
    LaunchOptions,
    args_text,
    cache_ttl_of,
    push_launch,
    shortest,
)
from millpond.services.launch_options import Restart as RestartedRun
from millpond.store import flow_runs as run_store
from millpond.store.pool import Database

FLOW_TAG = "flow"


class Launched(NamedTuple):
    """A flow job, and what it runs as tokens' scopes name it."""

    job_id: UUID
    runs: str


class FlowLaunches:
    """Use cases that start flows."""

    def __init__(self, database: Database, flows: Flows, library: Library) -> None:
        self._database = database
        self._flows = flows
        self._library = library

    async def flow_by_path(self, actor: Actor, path: str) -> RunnableFlow:
        """What a run by path would run. Raises NotFound, PermissionDenied."""
        authorize(actor, "jobs", "run", f"flows:{path}")
        return await self._flows.resolve_by_path(actor, path)

    async def flow_by_version(self, actor: Actor, version_id: int) -> RunnableFlow:
        """What a run by version would run. Raises NotFound, PermissionDenied."""
        authorize(actor, "jobs", "run", None)
        return await self._flows.resolve_by_version(actor, version_id)

    async def run_flow(self, actor: Actor, flow: RunnableFlow, args: str, options: LaunchOptions) -> UUID:
        """Push a run of a deployed flow; its id. Raises as `push_launch`."""
        authorize(actor, "jobs", "run", f"flows:{flow.path}")
        value = await self._library.version(actor.workspace_id, flow.version_id)
        return await push_launch(self._database, actor, _flow_job(actor, flow, value, args, options), options)

    async def run_preview(self, actor: Actor, preview: FlowPreview, options: LaunchOptions) -> UUID:
        """Push a run of a flow that is not deployed; its id. Raises InvalidInput naming the step and what is wrong."""
        authorize(actor, "jobs", "run", PREVIEW)
        _refuse_operators(actor)
        if bytes(preview.temp_script_refs) not in (b"null", b"{}"):
            raise InvalidInput("`temp_script_refs` is not supported: deploy the scripts that the flow runs")
        text = bytes(preview.value).decode()
        value = read_flow(text)
        job = _preview_job(actor, preview, value, text, options)
        if preview.restarted_from is None:
            return await push_launch(self._database, actor, job, options)
        past = await self._past(actor, preview.restarted_from.flow_job_id)
        restart = _restart(runnable(value), past, preview.restarted_from)
        job = msgspec.structs.replace(job, cache_ttl_s=None)
        return await push_launch(self._database, actor, job, options, restart)

    async def restart(self, actor: Actor, flow_job: UUID, point: Restart, options: LaunchOptions) -> Launched:
        """Push a run that goes on from a completed one at a step.

        Raises NotFound for a job that is no completed flow, InvalidInput when it cannot go on from there.
        """
        authorize(actor, "jobs", "run")
        past = await self._past(actor, flow_job)
        job = await self._job(actor, flow_job)
        if job.raw_flow is not None:
            authorize(actor, "jobs", "run", PREVIEW)
            _refuse_operators(actor)
            preview = FlowPreview(value=msgspec.Raw(job.raw_flow.encode()), path=job.runnable_path)
            value = read_flow(job.raw_flow)
            new = _preview_job(actor, preview, value, job.raw_flow, options)
            runs = PREVIEW
        elif job.flow_version is not None:
            flow = await self._flows.resolve_by_version(actor, point.flow_version or job.flow_version)
            if flow.path != job.runnable_path:
                raise InvalidInput(
                    f"Version {flow.version_id} is one of {flow.path}, not of {job.runnable_path}"
                )
            authorize(actor, "jobs", "run", f"flows:{flow.path}")
            value = await self._library.version(actor.workspace_id, flow.version_id)
            new = _flow_job(actor, flow, value, job.args, options)
            runs = f"flows:{flow.path}"
        else:
            raise InvalidInput(f"Job {flow_job} is a part of flow job {job.root}: restart that one")
        # What goes on from the middle is no run of the whole flow: no kept result answers it, and its own is not kept.
        new = msgspec.structs.replace(new, args=job.args, cache_ttl_s=None)
        restart = _restart(runnable(value), past, point)
        return Launched(await push_launch(self._database, actor, new, options, restart), runs)

    async def _past(self, actor: Actor, flow_job: UUID) -> PastRun:
        async with self._database.statement() as connection:
            await require_read_job(connection, actor, flow_job)
        loaded = await self._library.load(actor.workspace_id, flow_job)
        if loaded is None:
            raise NotFound(f"Flow job {flow_job} not found")
        if loaded.stored.is_live:
            raise InvalidInput(f"Flow job {flow_job} has not completed: only completed flows are restarted")
        return PastRun(flow_job, loaded.flow, loaded.status)

    async def _job(self, actor: Actor, flow_job: UUID) -> FlowJob:
        async with self._database.statement() as connection:
            stored = await run_store.get_run(connection, actor.workspace_id, flow_job)
        if stored is None:
            raise NotFound(f"Flow job {flow_job} not found")
        return msgspec.structs.replace(stored.job, args=stored.args)


def _restart(value: FlowValue, past: PastRun, point: Restart) -> RestartedRun:
    if point.nested_path:
        raise InvalidInput(
            "`nested_path` is not supported: restart from the outermost step, or from one of its iterations"
        )
    restarted_from = RestartedFrom(past.job, point.step_id, point.branch_or_iteration_n, point.flow_version)
    status = restarted_status(value, past, restarted_from)
    return RestartedRun(msgspec.json.encode(status).decode(), past.job)


def _refuse_operators(actor: Actor) -> None:
    if actor.is_operator:
        raise PermissionDenied(
            f"Operators only run what is deployed: {actor.username} is an operator of {actor.workspace_id}"
        )


def _flow_job(
    actor: Actor, flow: RunnableFlow, value: FlowValue, args: str, options: LaunchOptions
) -> NewJob:
    child = options.parent_job is not None or options.root_job is not None
    return NewJob(
        id=options.job_id or new_job_id(),
        workspace_id=actor.workspace_id,
        kind="flow",
        args=args,
        tag=tag_of(options.tag or flow.tag or FLOW_TAG, actor.workspace_id, args),
        created_by=actor.username,
        permissioned_as=f"u/{flow.created_by}" if flow.on_behalf_of_email else actor.permissioned_as,
        email=flow.on_behalf_of_email or actor.email,
        runnable_path=flow.path,
        flow_path=flow.path,
        flow_version=flow.version_id,
        entrypoint="preprocessor" if options.preprocess and flow.has_preprocessor else None,
        priority=flow.priority or value.priority or (CHILD_PRIORITY if child else 0),
        timeout_s=shortest(options.timeout_s, flow.timeout),
        cache_ttl_s=cache_ttl_of(options, value.cache_ttl),
        delete_after_s=value.delete_after_secs,
        concurrency_key=_concurrency_key(actor, value, flow.path, args),
        concurrent_limit=value.concurrent_limit,
        concurrency_window_s=value.concurrency_time_window_s,
        parent_job=options.parent_job,
        root_job=options.root_job,
        trigger_kind=options.trigger_kind,
        scheduled_for=options.scheduled_for,
        visible_to_owner=flow.visible_to_owner and not options.invisible_to_owner,
        same_worker=value.same_worker,
    )


def _preview_job(
    actor: Actor, preview: FlowPreview, value: FlowValue, text: str, options: LaunchOptions
) -> NewJob:
    args = args_text(preview.args)
    path = check_path(preview.path) if preview.path else None
    return NewJob(
        id=options.job_id or new_job_id(),
        workspace_id=actor.workspace_id,
        kind="flowpreview",
        args=args,
        tag=tag_of(options.tag or preview.tag or FLOW_TAG, actor.workspace_id, args),
        created_by=actor.username,
        permissioned_as=actor.permissioned_as,
        email=actor.email,
        runnable_path=path,
        flow_path=path,
        raw_flow=text,
        priority=value.priority or 0,
        timeout_s=shortest(options.timeout_s, None),
        cache_ttl_s=cache_ttl_of(options, value.cache_ttl),
        delete_after_s=value.delete_after_secs,
        concurrency_key=_concurrency_key(actor, value, path, args),
        concurrent_limit=value.concurrent_limit,
        concurrency_window_s=value.concurrency_time_window_s,
        parent_job=options.parent_job,
        root_job=options.root_job,
        scheduled_for=options.scheduled_for,
        visible_to_owner=not options.invisible_to_owner,
        same_worker=value.same_worker,
        is_test=True,
    )


def _concurrency_key(actor: Actor, value: FlowValue, path: str | None, args: str) -> str | None:
    """Under which key runs of a flow are counted; a test without a path and a key of its own is not."""
    if not value.concurrent_limit or not (path or value.concurrency_key):
        return None
    return concurrency_key_of(value.concurrency_key, actor.workspace_id, "flow", path, args)
