"""Puts the means together: made once in the zygote, entered by each job before its code runs.

A process that is forked before its job is known can `prepare` what does not depend on it.
"""

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
        # Opened here: the user's other processes cannot be counted in the private /proc of a job.
        self._proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._is_prepared = False

    def prepare(self) -> None:
        """Do in this process what is the same for every job; raises `OSError` when any part is refused."""
        if self._settings["mount_namespace"]:
            namespaces.enter_private_mounts(shared_memory_bytes=_SHARED_MEMORY_BYTES)
        if self._grants or self._filter:
            kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        if self._grants:
            shared_memory = ["/dev/shm"] if self._settings["mount_namespace"] else []  # noqa: S108
            self._grants.prepare(readable=["/proc"], writable=shared_memory)
        self._is_prepared = True

    def enter(self, job: Job) -> None:
        """Confine this process, for good, and make the job's directory the current one.

        It also ends with its parent from here on.
        Raises `OSError` when any part is refused: a job never starts with less than was promised.
        """
        if not self._is_prepared:
            self.prepare()
        os.chdir(job.directory)
        self._limit(job)
        self._mount_directories(job)
        self._restrict_files(job)
        if job.user_id is not None:
            privileges.become(job.user_id, keep_reading=self._grants is not None and self._filter is not None)
        elif self._settings["user_namespace"] or self._grants is not None or self._filter is not None:
            # Also for root without another user to become: Landlock does not govern chmod and chown.
            privileges.give_up_capabilities()
        # Only now: a change of user clears it.
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        if self._filter:
            self._filter.install()

    def _limit(self, job: Job) -> None:
        # Steps that share a directory share a user, and may run at the same time.
        user_id = os.getuid() if job.user_id is None else job.user_id
        is_exclusive_user = job.user_id is not None and job.shared_directory is None
        rlimits.apply(
            processes=job.processes,
            file_size_bytes=job.file_size_bytes,
            open_files=job.open_files,
            memory_bytes=job.memory_bytes,
            tasks_already=0 if is_exclusive_user else rlimits.tasks_of_user(user_id, self._proc),
        )

    def _mount_directories(self, job: Job) -> None:
        if not self._settings["mount_namespace"]:
            return
        if self._settings["private_tmp"]:
            namespaces.show(f"{job.directory}/tmp", "/tmp")  # noqa: S108
        mount_point = self._settings["shared_mount_point"]
        if job.shared_directory is None or mount_point is None:
            return
        if os.path.isdir(mount_point):  # noqa: PTH112
            namespaces.show(job.shared_directory, mount_point)
        else:
            namespaces.show_in_own_root(job.shared_directory, mount_point, below=job.directory)
            os.chdir(job.directory)

    def _restrict_files(self, job: Job) -> None:
        if self._grants is None:
            return
        writable = [job.directory]
        if self._settings["mount_namespace"] and self._settings["private_tmp"]:
            # A bind mount is reached by its mount point, not by way of the job's directory: it needs its own
            # grant.
            writable.append(f"{job.directory}/tmp")  # noqa: S108
        if job.shared_directory:
            writable.append(job.shared_directory)
        self._grants.restrict(writable=writable)
