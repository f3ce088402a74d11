"""The directories that steps of `same_worker` flows share on this worker: made, lent to steps, removed after the flow.

What is in them belongs to the steps. The database knows which worker holds the directory of a flow; a step that comes
to another one fails by name rather than find it empty. Snapshots, by which a directory will move, are not made yet:
`_open_of` is where one will be restored.
"""

import asyncio
import socket
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from uuid import UUID

from millpond.base.errors import MillpondError, SharedDirectoryLost
from millpond.base.log import get_logger
from millpond.model.jobs import Claim
from millpond.runtimes.contract import Runtime
from millpond.runtimes.sandbox.directories import remove_tree
from millpond.store.shared_directories import FlowKey, Hold, SharingFlow
from millpond.worker.shared_directory import RuntimeInDirectory, SharedDirectory

log = get_logger()

SWEEP_EVERY_SECS = 60.0
FAILURE_STEP = "failure"
"""The step that handles a flow's failure must be able to say so: a directory that was lost does not stop it."""
KNOWN_FLOWS = 10_000


class Flows(Protocol):
    """What the database knows of the flows."""

    async def flow_of(self, workspace_id: str, flow_job: UUID) -> SharingFlow: ...

    async def hold(self, flow: FlowKey, pin: str) -> Hold: ...

    async def let_go(self, flow: FlowKey, pin: str) -> None: ...

    async def list_kept(self, flows: Iterable[FlowKey]) -> set[FlowKey]: ...


class SharedDirectories:
    """Below `root`, which is this worker's alone, a folder a workspace, and in it one a flow job.

    `pin` is what jobs are pinned to this worker by; `quota_bytes` is for flows that name no quota of their own, 0 sets
    no limit.
    """

    def __init__(self, root: Path, flows: Flows, *, pin: str, quota_bytes: int) -> None:
        self._root = root.resolve()
        self._flows = flows
        self._pin = pin
        self._quota_bytes = quota_bytes
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="shared-directories")
        self._open: dict[FlowKey, SharedDirectory] = {}
        self._owners: dict[FlowKey, FlowKey] = {}
        self._opening = asyncio.Lock()
        self._released: set[FlowKey] = set()
        self._woken = asyncio.Event()

    def path_of(self, flow: FlowKey) -> Path:
        """Where the directory of a flow is, if it has one here."""
        return self._root / flow.workspace_id / str(flow.flow_job)

    def existing(self) -> list[FlowKey]:
        """The flows that have a directory here."""
        found: list[FlowKey] = []
        for path in self._root.glob("*/*"):
            with suppress(ValueError):  # not ours: left alone
                found.append(FlowKey(path.parent.name, UUID(path.name)))
        return found

    async def open_for(self, claim: Claim) -> SharedDirectory | None:
        """The directory a claimed job runs in, made at its first use; None when its flow shares none.

        Raises SharedDirectoryLost when it is on another worker, or gone; NotFound when the flow was deleted; and what
        the database raises.
        """
        if not claim.same_worker or claim.flow_step_id is None or claim.parent_job is None:
            return None
        parent = FlowKey(claim.workspace_id, claim.parent_job)
        owner = self._owners.get(parent)
        if owner is None or owner not in self._open:
            async with self._opening:
                owner = await self._open_of(parent)
        directory = self._open[owner]
        if directory.lost_with is not None:
            if claim.flow_step_id != FAILURE_STEP:
                raise self._lost(directory.lost_with)
            self._make(directory.path)
        return directory

    async def equip(self, runtime: Runtime, claim: Claim) -> Runtime:
        """The runtime for a claimed job: with the directory it runs in, or as it is. Raises as `open_for`."""
        directory = await self.open_for(claim)
        return runtime if directory is None else RuntimeInDirectory(runtime, directory)

    async def path_for(self, claim: Claim) -> Path | None:
        """The path of the directory a claimed job runs in, as `open_for` makes it."""
        directory = await self.open_for(claim)
        return directory.path if directory else None

    def released(self, workspace_id: str, flow_job: UUID) -> None:
        """A flow job has ended, recorded in the database: its directory goes, soon, unless it is to be retained.

        Costs nothing when the flow has none here. Without this call the directory goes with the next sweep.
        """
        flow = FlowKey(workspace_id, flow_job)
        self._owners.pop(flow, None)
        if flow in self._open or self.path_of(flow).exists():
            self._released.add(flow)
            self._woken.set()

    async def run(self) -> None:
        """Remove what is not needed any more, until cancelled: of released flows at once, of others now and then."""
        sweeps_at = 0.0
        try:
            while True:
                self._woken.clear()
                with suppress(
                    MillpondError, OSError
                ):  # the database is away: the next sweep finds what is left
                    if time.monotonic() >= sweeps_at:
                        sweeps_at = time.monotonic() + SWEEP_EVERY_SECS
                        await self.sweep()
                    await self._remove_released()
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, sweeps_at - time.monotonic())):
                        await self._woken.wait()
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def sweep(self) -> None:
        """Remove the directories of all flows that have ended, whoever was told."""
        loop = asyncio.get_running_loop()
        await self._remove_unless_kept(await loop.run_in_executor(self._threads, self.existing))

    async def _remove_released(self) -> None:
        released = list(self._released)
        await self._remove_unless_kept(released)
        self._released.difference_update(released)

    async def _remove_unless_kept(self, flows: list[FlowKey]) -> None:
        if not flows:
            return
        kept = await self._flows.list_kept(flows)
        for flow in flows:
            if flow not in kept:
                await self._remove(flow)

    async def _remove(self, flow: FlowKey) -> None:
        directory = self._open.get(flow)
        if directory is not None and directory.borrowers:
            # A cancelled step whose process is just being ended: a removal would race it. The next sweep comes.
            return
        self._open.pop(flow, None)
        try:
            path = self.path_of(flow)
            await asyncio.get_running_loop().run_in_executor(self._threads, remove_tree, path)
        except OSError as error:
            log.warning("shared_directory_not_removed", flow_job=str(flow.flow_job), reason=str(error))
            return
        await self._flows.let_go(flow, self._pin)
        log.debug("shared_directory_removed", flow_job=str(flow.flow_job))

    async def _open_of(self, parent: FlowKey) -> FlowKey:
        """The flow whose directory the steps of a flow job share, with its directory open."""
        flow = await self._flows.flow_of(parent.workspace_id, parent.flow_job)
        owner = FlowKey(parent.workspace_id, flow.flow_job)
        if owner not in self._open:
            path = self.path_of(owner)
            is_here = path.exists()
            self._make(path)
            hold = await self._flows.hold(owner, self._pin)
            is_lost = not hold.is_new and (hold.held_by != self._pin or not is_here)
            quota = flow.settings.quota_bytes
            limit = quota if quota is not None else self._quota_bytes or None
            directory = SharedDirectory(path, limit, self._threads, hold.held_by if is_lost else None)
            if is_lost and not is_here:
                path.rmdir()  # a worker that starts anew must not take it for what was lost
            if is_here:  # this worker has started anew
                await directory.measured()
            self._open[owner] = directory
        if len(self._owners) >= KNOWN_FLOWS:
            self._owners.clear()
        self._owners[parent] = owner
        return owner

    def _make(self, path: Path) -> None:
        """Make a directory that only the worker reaches, until the runtime gives it to the flow's user.

        Those above let users of jobs pass, and list nothing.
        """
        try:
            for above in (self._root, path.parent):
                if not above.exists():
                    above.mkdir(parents=True, exist_ok=True)
                    above.chmod(0o711)
            path.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise MillpondError(f"The flow's shared directory could not be made: {error}") from error

    def _lost(self, holder: str) -> SharedDirectoryLost:
        if holder == self._pin:
            return SharedDirectoryLost(
                f"The ./shared of this flow is no longer on the worker '{holder}' that holds it"
            )
        return SharedDirectoryLost(
            f"The worker '{holder}' that holds ./shared of this flow is gone, and this is '{self._pin}'. "
            "Start the flow again, or restart it from a step before which ./shared is empty"
        )


def pin_of(worker_name: str) -> str:
    """What jobs are pinned to a worker by: a worker that starts anew under its name finds its directories."""
    return f"{worker_name}@{socket.gethostname()}"
