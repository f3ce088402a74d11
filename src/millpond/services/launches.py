"""Starting jobs: deployed scripts by path or version, previews, batches (compat facts, flows 3.2)."""

from uuid import UUID

import msgspec

from millpond.base.errors import InvalidInput, PermissionDenied
from millpond.base.ids import new_job_id
from millpond.base.paths import check_path
from millpond.model.actors import Actor
from millpond.model.jobs import NewJob, Preview
from millpond.services.authorization import authorize
from millpond.services.concurrency_keys import concurrency_key_of
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
from millpond.services.scripts import RunnableScript, Scripts
from millpond.store import queue as store
from millpond.store.pool import Database

MAX_BATCH = 100_000
BATCH_ROWS = 5_000


class Launches:
    """Use cases that start jobs."""

    def __init__(self, database: Database, scripts: Scripts, languages: frozenset[str]) -> None:
        self._database = database
        self._scripts = scripts
        self._languages = languages

    async def script_by_path(self, actor: Actor, path: str) -> RunnableScript:
        """What a run by path would run. Raises NotFound, PermissionDenied, InvalidInput when it was never locked."""
        authorize(actor, "jobs", "run", f"scripts:{path}")
        return await self._scripts.resolve_by_path(actor, path)

    async def script_by_hash(self, actor: Actor, script_hash: int) -> RunnableScript:
        """What a run by version would run. Tokens limited to paths run by path only. Raises NotFound, PermissionDenied."""
        authorize(actor, "jobs", "run", None)
        return await self._scripts.resolve_by_hash(actor, script_hash)

    async def run_script(
        self, actor: Actor, script: RunnableScript, args: str, options: LaunchOptions
    ) -> UUID:
        """Push a run of a deployed script; its id. Raises NotFound for an unknown parent, Conflict for a taken id."""
        authorize(actor, "jobs", "run", f"scripts:{script.path}")
        return await push_launch(self._database, actor, _script_job(actor, script, args, options), options)

    async def run_preview(self, actor: Actor, preview: Preview, options: LaunchOptions) -> UUID:
        """Push a run of code that is not deployed; its id. Raises InvalidInput for a language without a runtime."""
        # Not by the path the caller gives: a token for one script must not open arbitrary code under its name.
        authorize(actor, "jobs", "run", PREVIEW)
        if actor.is_operator:
            raise PermissionDenied(
                f"Operators only run what is deployed: {actor.username} is an operator of {actor.workspace_id}"
            )
        kind = preview.kind or "code"
        if kind == "code":
            self._check_preview(preview)
        path = check_path(preview.path) if preview.path else None
        args = args_text(preview.args)
        own_tag = preview.language if kind == "code" and preview.language else kind
        job = NewJob(
            id=options.job_id or new_job_id(),
            workspace_id=actor.workspace_id,
            kind="preview" if kind == "code" else kind,
            args=args,
            tag=tag_of(options.tag or preview.tag or own_tag, actor.workspace_id, args),
            created_by=actor.username,
            permissioned_as=actor.permissioned_as,
            email=actor.email,
            runnable_path=path,
            language=preview.language if kind == "code" else None,
            raw_code=preview.content if kind == "code" else None,
            raw_lock=preview.lock if kind == "code" else None,
            timeout_s=shortest(options.timeout_s, shortest(preview.timeout, None)),
            cache_ttl_s=cache_ttl_of(options, None) if kind == "code" else None,
            parent_job=options.parent_job,
            root_job=options.root_job,
            scheduled_for=options.scheduled_for,
            visible_to_owner=not options.invisible_to_owner,
        )
        return await push_launch(self._database, actor, job, options)

    async def run_batch(
        self, actor: Actor, count: int, script: RunnableScript | None, args: str
    ) -> list[UUID]:
        """Push `count` runs of one script, or of a no-op when it is None; their ids. Raises InvalidInput beyond 100,000."""
        authorize(actor, "jobs", "run", f"scripts:{script.path}" if script else None)
        if not 0 < count <= MAX_BATCH:
            raise InvalidInput(f"A batch holds 1 to {MAX_BATCH} jobs, not {count}")
        if script is None:
            first = NewJob(
                id=new_job_id(),
                workspace_id=actor.workspace_id,
                kind="noop",
                args=args,
                tag="noop",
                created_by=actor.username,
                permissioned_as=actor.permissioned_as,
                email=actor.email,
            )
        else:
            first = _script_job(actor, script, args, LaunchOptions())
        jobs = [msgspec.structs.replace(first, id=new_job_id()) for _ in range(count)]
        async with self._database.transaction() as transaction:
            for start in range(0, count, BATCH_ROWS):
                await store.push_jobs(transaction, jobs[start : start + BATCH_ROWS])
        return [job.id for job in jobs]

    def _check_preview(self, preview: Preview) -> None:
        if preview.language is None:
            raise InvalidInput("The preview names no language")
        if preview.language not in self._languages:
            raise InvalidInput(
                f"Scripts in {preview.language!r} cannot run here; supported are {', '.join(sorted(self._languages))}"
            )


def _script_job(actor: Actor, script: RunnableScript, args: str, options: LaunchOptions) -> NewJob:
    child = options.parent_job is not None or options.root_job is not None
    return NewJob(
        id=options.job_id or new_job_id(),
        workspace_id=actor.workspace_id,
        kind="script",
        args=args,
        tag=tag_of(options.tag or script.tag or script.language, actor.workspace_id, args),
        created_by=actor.username,
        permissioned_as=f"u/{script.created_by}" if script.on_behalf_of_email else actor.permissioned_as,
        email=script.on_behalf_of_email or actor.email,
        runnable_path=script.path,
        script_hash=script.hash,
        language=script.language,
        entrypoint="preprocessor" if options.preprocess and script.has_preprocessor else None,
        priority=script.priority or (CHILD_PRIORITY if child else 0),
        timeout_s=shortest(options.timeout_s, script.timeout),
        cache_ttl_s=cache_ttl_of(options, script.cache_ttl),
        delete_after_s=script.delete_after_s,
        concurrency_key=_concurrency_key(actor, script, args),
        concurrent_limit=script.concurrent_limit,
        concurrency_window_s=script.concurrency_time_window_s,
        parent_job=options.parent_job,
        root_job=options.root_job,
        trigger_kind=options.trigger_kind,
        scheduled_for=options.scheduled_for,
        visible_to_owner=not (options.invisible_to_owner or script.visible_to_runner_only),
    )


def _concurrency_key(actor: Actor, script: RunnableScript, args: str) -> str | None:
    if script.concurrent_limit is None:
        return None
    return concurrency_key_of(script.concurrency_key, actor.workspace_id, "script", script.path, args)
