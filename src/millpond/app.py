"""The composition root: settings become a database, services, and from them a server, a worker or a scheduler."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from litestar import Litestar

import millpond
from millpond.api.application import build_application
from millpond.base.errors import MillpondError, StartupRefused
from millpond.base.log import get_logger
from millpond.base.sealing import MasterKey
from millpond.base.settings import Settings
from millpond.expressions.evaluator import Evaluator
from millpond.runtimes.contract import Runtime
from millpond.runtimes.python.dependencies.environments import Environments
from millpond.runtimes.python.runtime import PythonRuntime
from millpond.runtimes.sandbox.policy import SandboxPolicy
from millpond.scheduler.maintenance import Maintenance
from millpond.services.accounts import Accounts
from millpond.services.acls import Acls
from millpond.services.approval_pages import ApprovalPages
from millpond.services.approvals import Approvals
from millpond.services.cancellations import Cancellations
from millpond.services.concurrency import Concurrency
from millpond.services.dependency_jobs import DependencyJobs
from millpond.services.flow_launches import FlowLaunches
from millpond.services.flow_locks import FlowLocks
from millpond.services.flow_runs.library import Library
from millpond.services.flow_runs.runner import FlowRunner
from millpond.services.flow_runs.scope import Surroundings
from millpond.services.flow_user_states import FlowUserStates
from millpond.services.flow_views import FlowViews
from millpond.services.flows import Flows
from millpond.services.folders import Folders
from millpond.services.groups import Groups
from millpond.services.identities import Identities
from millpond.services.instance import open_master_key, prepare
from millpond.services.interpolation import Interpolation
from millpond.services.jobs import Jobs
from millpond.services.launches import Launches
from millpond.services.members import Members
from millpond.services.queue import Queue
from millpond.services.resource_types import ResourceTypes
from millpond.services.resources import Resources
from millpond.services.result_cache import ResultCache
from millpond.services.resume_links import ResumeLinks
from millpond.services.scripts import Scripts
from millpond.services.secrets_seen import newly_seen
from millpond.services.shared_directories import SharingFlows
from millpond.services.variables import Variables
from millpond.services.waiting import CompletionWatch
from millpond.services.workers import Workers
from millpond.services.workspace_keys import WorkspaceKeys
from millpond.services.workspaces import Workspaces
from millpond.store.migrate import migrate, verify
from millpond.store.pool import Database
from millpond.worker.arguments import JobArguments
from millpond.worker.environment import Addresses
from millpond.worker.execution import Executor
from millpond.worker.log_writer import LogWriter
from millpond.worker.script_source import ScriptSources
from millpond.worker.shared_directories import SharedDirectories, pin_of
from millpond.worker.wakeups import Wakeups
from millpond.worker.worker import Worker

log = get_logger()

LANGUAGES = frozenset({"python3"})
SERVER_CONNECTIONS = 20
WORKER_CONNECTIONS = 6
SCHEMA_WAIT_SECS = 60.0


@dataclass(frozen=True, kw_only=True)
class Services:
    """Every use case of the API; handlers get them by these names."""

    settings: Settings
    identities: Identities
    accounts: Accounts
    workspaces: Workspaces
    members: Members
    groups: Groups
    folders: Folders
    acls: Acls
    resources: Resources
    resource_types: ResourceTypes
    variables: Variables
    scripts: Scripts
    flows: Flows
    jobs: Jobs
    flow_user_states: FlowUserStates
    approvals: Approvals
    approval_pages: ApprovalPages
    launches: Launches
    flow_launches: FlowLaunches
    flow_views: FlowViews
    cancellations: Cancellations
    completions: CompletionWatch
    workers: Workers


def build_services(settings: Settings, database: Database, master_key: MasterKey) -> Services:
    """Wire the use cases."""
    identities = Identities(database, master_key, settings.superadmin_secret)
    keys = WorkspaceKeys(database, master_key)
    links, library = ResumeLinks(keys), Library(database)
    scripts = Scripts(database, DependencyJobs(), LANGUAGES)
    flows = Flows(database, LANGUAGES)
    interpolation = Interpolation(database, keys)
    return Services(
        settings=settings,
        identities=identities,
        accounts=Accounts(database, identities),
        workspaces=Workspaces(database, master_key, identities),
        members=Members(database, identities),
        groups=Groups(database, identities),
        folders=Folders(database, identities),
        acls=Acls(database, identities),
        resources=Resources(database, interpolation),
        resource_types=ResourceTypes(database),
        variables=Variables(database, keys),
        scripts=scripts,
        flows=flows,
        jobs=Jobs(database),
        flow_user_states=FlowUserStates(database),
        approvals=Approvals(database, links, library),
        approval_pages=ApprovalPages(database, links, library),
        launches=Launches(database, scripts, LANGUAGES),
        flow_launches=FlowLaunches(database, flows, library),
        flow_views=FlowViews(database, library, interpolation),
        cancellations=Cancellations(database),
        completions=CompletionWatch(database, identities.forget_job),
        workers=Workers(database),
    )


async def open_instance(settings: Settings, database: Database, *, create: bool) -> MasterKey:
    """The master key of a database whose schema fits this version; `create` brings both about first.

    Raises StartupRefused saying what is wrong.
    """
    if not create:
        await verify(database)
        return await open_master_key(settings, database, create=False)
    await migrate(database)
    master_key = await open_master_key(settings, database, create=True)
    services = build_services(settings, database, master_key)
    await prepare(services.accounts, services.workspaces, database)
    return master_key


def build_server(settings: Settings, database: Database, services: Services) -> Litestar:
    """The ASGI application, with what runs beside it: the completion watch and the maintenance leader."""
    maintenance = Maintenance(database, Queue(database))

    @asynccontextmanager
    async def background(_: Litestar) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(services.completions.run(), name="watch completions"),
            asyncio.create_task(maintenance.run(), name="maintenance"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await services.identities.aclose()

    lifespan: list[Callable[[Litestar], AbstractAsyncContextManager[None]]] = [background]
    named = {entry.name: getattr(services, entry.name) for entry in fields(services)}
    return build_application(named, max_body_bytes=settings.max_body_bytes, lifespan=lifespan)


async def connect_when_ready(settings: Settings, url: str) -> tuple[Database, MasterKey]:
    """For a worker that starts beside the server that prepares the instance: waits up to a minute for it."""
    deadline = asyncio.get_running_loop().time() + SCHEMA_WAIT_SECS
    while True:
        try:
            database = await Database.connect(
                url, connections=WORKER_CONNECTIONS, application="millpond worker"
            )
            try:
                return database, await open_instance(settings, database, create=False)
            except BaseException:
                await database.aclose()
                raise
        except MillpondError as error:
            if asyncio.get_running_loop().time() > deadline:
                raise
            log.debug("instance_not_ready", error=error.message)
            await asyncio.sleep(0.05)


def build_worker(
    settings: Settings, database: Database, master_key: MasterKey, addresses: Addresses, *, name: str
) -> Worker:
    """A worker with its runtimes. Raises SandboxUnavailable when isolation is required and cannot be had."""
    queue = Queue(database)
    keys = WorkspaceKeys(database, master_key)
    identities = Identities(database, master_key, settings.superadmin_secret)
    shared = SharedDirectories(
        settings.data_dir / "work" / name / "shared",
        SharingFlows(database),
        pin=pin_of(name),
        quota_bytes=settings.shared_dir_quota_bytes,
    )
    interpolation = Interpolation(database, keys)
    evaluator = Evaluator()
    python = python_runtime(settings, name, [shared.path_of(flow) for flow in shared.existing()])
    executor = Executor(
        settings,
        ScriptSources(queue),
        runtimes_by_language(python),
        JobArguments(identities, interpolation),
        identities,
        addresses,
        shared,
        FlowLocks(database),
        ResultCache(database),
    )
    flows = FlowRunner(
        Surroundings(
            database=database,
            library=Library(database),
            evaluator=evaluator,
            identities=identities,
            interpolation=interpolation,
        )
    )
    logs = LogWriter(queue, lambda workspace, jobs, known: newly_seen(database, keys, workspace, jobs, known))
    return Worker(
        settings,
        queue,
        Concurrency(database),
        executor,
        flows,
        logs,
        Wakeups(database),
        [python],
        shared,
        name=name,
        sandbox=python.level.description,
    )


def python_runtime(settings: Settings, name: str, shared_dirs: Iterable[Path] = ()) -> PythonRuntime:
    """The Python runtime of one worker; `shared_dirs` are those that flows have there already."""
    return PythonRuntime(
        work_dir=settings.data_dir / "work" / name,
        environments=Environments(settings.data_dir / "cache", builds=settings.source_builds),
        sandbox=SandboxPolicy(mode=settings.sandbox),
        client_path=client_path(),
        shared_dirs=shared_dirs,
    )


def runtimes_by_language(python: PythonRuntime) -> dict[str, Runtime]:
    """Which runtime runs which language."""
    return {"python3": python}


def client_path() -> Path:
    """The folder that holds the injected `wmill`: inside the wheel, or beside `src` in a checkout."""
    package = Path(millpond.__file__).parent
    for folder in (package / "_clients" / "python", package.parent.parent / "clients" / "python"):
        if (folder / "wmill" / "__init__.py").is_file():
            return folder
    raise StartupRefused(
        "The injected client 'wmill' is missing from this installation: install Millpond anew"
    )
