"""Puts the means together: prepared once in the zygote, entered by each job before its code runs."""

import os
import signal
from typing import NamedTuple, TypedDict

from millpond.runtimes.sandbox import kernel, landlock, namespaces, privileges, rlimits, seccomp

_SHARED_MEMORY_BYTES = 256 * 1024**2


class Settings(TypedDict):
    """What to use, as the worker decided it; travels to the zygote as JSON."""

    landlock_abi: int
    seccomp: bool
    pid_namespace: bool
    user_namespace: bool
    mount_namespace: bool
    user_switch: bool
    readable: list[str]
    devices: list[str]
    private_tmp: bool
    shared_mount_point: str | None


class Job(NamedTuple):
    """What differs from job to job. Without `user_id` the job runs as the worker's user."""

    directory: str
    shared_directory: str | None
    user_id: int | None
    processes: int
    file_size_bytes: int
    open_files: int
    memory_bytes: int | None


class Confinement:
    """The sandbox of one zygote's jobs; with `user_namespace` its maker must be in one already."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        if settings["user_switch"]:
            privileges.drop_bounding_capabilities()
        self.pid_namespaces = namespaces.PidNamespaces() if settings["pid_namespace"] else None
        self._filter = seccomp.Filter() if settings["seccomp"] else None
        self._grants = (
            landlock.Grants(
                settings["landlock_abi"], readable=settings["readable"], devices=settings["devices"]
            )
            if settings["landlock_abi"]
            else None
        )

    def enter(self, job: Job) -> None:
        """Confine this process, for good, and make the job's directory the current one.

        It also ends with its parent from here on.
        Raises `OSError` when any part is refused: a job never starts with less than was promised.
        """
        os.chdir(job.directory)
        # Before the private /proc, where the user's other processes cannot be counted.
        rlimits.apply(
            processes=job.processes,
            file_size_bytes=job.file_size_bytes,
            open_files=job.open_files,
            memory_bytes=job.memory_bytes,
            user_is_exclusive=job.user_id is not None,
        )
        self._enter_private_mounts(job)
        if self._grants or self._filter:
            kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        self._restrict_files(job)
        if job.user_id is not None:
            privileges.become(job.user_id, keep_reading=self._grants is not None and self._filter is not None)
        elif self._settings["user_namespace"]:
            privileges.give_up_capabilities()
        # Only now: a change of user clears it.
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        if self._filter:
            self._filter.install()

    def _enter_private_mounts(self, job: Job) -> None:
        if not self._settings["mount_namespace"]:
            return
        binds = {}
        if self._settings["private_tmp"]:
            binds["/tmp"] = f"{job.directory}/tmp"  # noqa: S108
        if job.shared_directory and self._settings["shared_mount_point"]:
            binds[self._settings["shared_mount_point"]] = job.shared_directory
        namespaces.enter_private_mounts(binds=binds, shared_memory_bytes=_SHARED_MEMORY_BYTES)

    def _restrict_files(self, job: Job) -> None:
        if self._grants is None:
            return
        # A bind mount is reached by its mount point, not by way of the job's directory: it needs its own
        # grant.
        writable = [job.directory, f"{job.directory}/tmp"]  # noqa: S108
        if job.shared_directory:
            writable.append(job.shared_directory)
        if self._settings["mount_namespace"]:
            writable.append("/dev/shm")  # noqa: S108
        self._grants.restrict(readable=["/proc"], writable=writable)
