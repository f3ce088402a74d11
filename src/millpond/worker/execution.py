"""One job from its claim to how it ended: arguments resolved, process run, outcome turned into a completion."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple, TypeVar

import msgspec

from millpond.base.errors import LockFailed, MillpondError, Unavailable
from millpond.base.log import get_logger
from millpond.base.settings import Settings
from millpond.model.jobs import Cancellation, Claim, Completion
from millpond.model.results import canceled_result, error_result, labels_of
from millpond.runtimes.contract import Execution, Limits, Outcome, Runtime
from millpond.services.flow_locks import FlowLocks
from millpond.services.identities import Identities
from millpond.services.result_cache import ResultCache, cached_note
from millpond.store.queue import ScriptSource
from millpond.worker.arguments import Arguments, JobArguments
from millpond.worker.environment import Addresses, job_environment
from millpond.worker.job_log import JobLog
from millpond.worker.script_source import ScriptSources
from millpond.worker.shared_directories import SharedDirectories

log = get_logger()

Read = TypeVar("Read")

UNREACHABLE_SECS = 30.0
RETRY_SECS = 0.5


class Ending(NamedTuple):
    """How a job ended; for a dependency job also the lock it made, or those of a flow's steps, or the words of its
    failure."""

    completion: Completion
    lock: str | None = None
    step_locks: dict[str, str] | None = None
    lock_error: str | None = None


class Executor:
    """Runs claims. Knows nothing of slots, leases or how completions are written."""

    def __init__(
        self,
        settings: Settings,
        sources: ScriptSources,
        runtimes: Mapping[str, Runtime],
        arguments: JobArguments,
        identities: Identities,
        addresses: Addresses,
        shared_directories: SharedDirectories,
        flow_locks: FlowLocks,
        cache: ResultCache | None = None,
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._runtimes = runtimes
        self._arguments = arguments
        self._identities = identities
        self._addresses = addresses
        self._shared_directories = shared_directories
        self._cache = cache
        self._flow_locks = flow_locks

    async def run(self, claim: Claim, output: JobLog) -> Ending:
        """Run a claim to its end. Raises only when cancelled; whatever else goes wrong is a failed completion."""
        try:
            if claim.kind == "dependencies":
                return await self._lock(claim, output)
            if claim.kind == "flowdependencies":
                return await self._lock_steps(claim, output)
            return Ending(await self._run(claim, output))
        except MillpondError as error:
            return Ending(_failed(claim, _error_name(error), error.message), lock_error=error.message)
        except Exception as error:  # the door of a job's run: a bug of ours ends the job by name
            log.error("job_crashed_worker_code", job_id=str(claim.job_id), exc_info=error)
            message = f"{type(error).__name__} in the worker; see its log"
            return Ending(_failed(claim, "InternalErr", message), lock_error=message)

    async def _resolved(self, language: str, code: str, output: JobLog) -> str:
        limit = self._settings.job_timeout_secs
        try:
            async with asyncio.timeout(limit):
                return await self._runtime(language).lock(code, output)
        except TimeoutError:
            raise LockFailed(f"Resolving dependencies took longer than {limit} s") from None

    async def _lock_steps(self, claim: Claim, output: JobLog) -> Ending:
        assert claim.flow_version is not None
        version = claim.flow_version
        steps = await _once_reached(lambda: self._flow_locks.steps_to_lock(claim.workspace_id, version))
        locks: dict[str, str] = {}
        for step in steps:
            output.write(f"resolving the dependencies of step '{step.module_id}'\n".encode())
            try:
                locks[step.module_id] = await self._resolved(step.language, step.code, output)
            except MillpondError as error:
                raise LockFailed(f"step '{step.module_id}': {error.message}") from None
        result = msgspec.json.encode({"status": "Successful lock file generation", "locks": locks}).decode()
        return Ending(Completion(claim=claim, status="success", result=result), step_locks=locks)

    async def _lock(self, claim: Claim, output: JobLog) -> Ending:
        lock = await self._resolved(claim.language or "", claim.raw_code or "", output)
        result = msgspec.json.encode({"status": "Successful lock file generation", "lock": lock}).decode()
        return Ending(Completion(claim=claim, status="success", result=result), lock=lock)

    async def _run(self, claim: Claim, output: JobLog) -> Completion:
        source = await _once_reached(lambda: self._sources.source_of(claim))
        plain = self._runtime(source.language)
        token = self._identities.issue_job_token(claim.workspace_id, claim.job_id, claim.lease_token)
        arguments = await _once_reached(lambda: self._arguments.resolve(claim, token))
        output.mask.add(arguments.secrets)
        runtime = await _once_reached(lambda: self._shared_directories.equip(plain, claim))
        execution = self._execution(claim, source, arguments, token)
        if claim.entrypoint == "preprocessor":
            prepared = await runtime.run(
                msgspec.structs.replace(execution, entrypoint="preprocessor"), output
            )
            # The preprocessor of a flow is a step of its own: what it prepares is for the others.
            if not prepared.success or claim.step_place == "preprocessor":
                return _completion(claim, prepared, source.labels)
            execution = msgspec.structs.replace(
                execution,
                args=_as_arguments(prepared.result),
                # One timeout for both runs.
                limits=msgspec.structs.replace(execution.limits, spent=prepared.took),
            )
        return await self._run_or_reuse(claim, source, runtime, execution, output)

    async def _run_or_reuse(
        self, claim: Claim, source: ScriptSource, runtime: Runtime, execution: Execution, output: JobLog
    ) -> Completion:
        cache = self._cache
        if cache is None or not claim.cache_ttl_s:
            return _completion(claim, await runtime.run(execution, output), source.labels)
        cached = await _once_reached(lambda: cache.lookup(claim, source, execution.args))
        if cached is not None:
            output.note(cached_note(cached))
            return _completion(claim, Outcome(success=True, result=cached.result.encode()), source.labels)
        completion = _completion(claim, await runtime.run(execution, output), source.labels)
        if completion.status == "success":
            try:
                refusal = await cache.keep(claim, source, execution.args, completion.result)
            except MillpondError as error:  # the run itself went well
                refusal = f"the result could not be cached: {error.message}"
            if refusal is not None:
                output.note(f"[millpond: {refusal}]")
        return completion

    def _execution(self, claim: Claim, source: ScriptSource, arguments: Arguments, token: str) -> Execution:
        settings = self._settings
        timeout_secs = min(claim.timeout_s or settings.job_timeout_secs, settings.job_timeout_secs)
        environment = job_environment(
            claim, token, self._addresses, worker_group=settings.worker_group, timezone="UTC", own=source.envs
        )
        return Execution(
            job_id=claim.job_id,
            language=source.language,
            code=source.code,
            args=arguments.json.encode(),
            env=environment,
            lock=source.lock,
            limits=Limits(
                timeout=timedelta(seconds=timeout_secs),
                memory_bytes=settings.job_memory_bytes or None,
                processes=settings.job_processes,
                result_bytes=settings.job_result_bytes,
            ),
        )

    def _runtime(self, language: str) -> Runtime:
        runtime = self._runtimes.get(language)
        if runtime is None:
            raise MillpondError(
                f"This worker cannot run {language!r}; it runs {', '.join(sorted(self._runtimes))}"
            )
        return runtime


async def _once_reached(read: Callable[[], Awaitable[Read]]) -> Read:
    """What a job needs before it starts; a database that is away for a moment must not fail what never ran."""
    deadline = time.monotonic() + UNREACHABLE_SECS
    while True:
        try:
            return await read()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(RETRY_SECS)


def inline_completion(claim: Claim) -> Completion:
    """How a job without a process ends: `identity` returns its arguments, `noop` nothing."""
    return Completion(
        claim=claim, status="success", result=(claim.args if claim.kind == "identity" else None) or "null"
    )


def canceled_completion(claim: Claim, why: Cancellation) -> Completion:
    """How a job ends whose cancellation was asked for while it ran."""
    return Completion(
        claim=claim,
        status="canceled",
        result=canceled_result(why.by, why.reason),
        canceled_by=why.by,
        canceled_reason=why.reason,
    )


def masked(completion: Completion, output: JobLog) -> Completion:
    """A failed completion with secrets replaced in its error; results of successful jobs are data and stay."""
    if completion.status != "failure":
        return completion
    return msgspec.structs.replace(completion, result=output.mask.apply_to_error(completion.result))


def _completion(claim: Claim, outcome: Outcome, labels: Sequence[str]) -> Completion:
    return Completion(
        claim=claim,
        status="success" if outcome.success else "failure",
        result=outcome.result.decode(),
        memory_peak_bytes=outcome.memory_peak_bytes,
        labels=sorted({*labels, *(labels_of(outcome.result) or [] if outcome.success else [])}) or None,
    )


def _as_arguments(prepared: bytes) -> bytes:
    if prepared.startswith(b"{"):
        return prepared
    return b"{}" if prepared == b"null" else b'{"value":' + prepared + b"}"


def _failed(claim: Claim, name: str, message: str) -> Completion:
    return Completion(
        claim=claim, status="failure", result=error_result(name, message, step_id=claim.flow_step_id)
    )


def _error_name(error: MillpondError) -> str:
    return "ExecutionErr" if type(error) is MillpondError else type(error).__name__
