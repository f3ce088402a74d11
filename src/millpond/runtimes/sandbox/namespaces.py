"""A view of the machine of the job's own: its processes, its /proc, its shared memory, its /tmp.

A PID namespace is what makes cleaning up exact: when its first process ends, the kernel ends all others,
however often they forked or called setsid.
"""

import os

from millpond.runtimes.sandbox import kernel

_QUIET = kernel.MS_NOSUID | kernel.MS_NODEV


def enter_user_namespace() -> None:
    """Become root of a user namespace of this user alone: the way to the others without privilege.

    The next child is the first process of a PID namespace that belongs to it. Only there may a process open
    further ones and come back: returning needs privilege over the namespace one returns to.
    """
    user_id, group_id = os.getuid(), os.getgid()
    kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWPID)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user_id} {user_id} 1"),
        ("gid_map", f"{group_id} {group_id} 1"),
    ):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:  # noqa: PTH123
            file.write(text)


class PidNamespaces:
    """Switches between this process's own PID namespace and new ones for its children."""

    def __init__(self) -> None:
        self._own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

    def open_new(self) -> int:
        """Further children are born into a new namespace; returns the pid of its first process, its keeper.

        The keeper does nothing. When it is killed, the kernel kills all others in the namespace.
        """
        kernel.unshare(kernel.CLONE_NEWPID)
        return kernel.clone_paused()

    def return_to_own(self) -> None:
        """Further children are ordinary ones again."""
        kernel.setns(self._own, kernel.CLONE_NEWPID)


def enter_private_mounts(*, shared_memory_bytes: int) -> None:
    """Give this process mounts and IPC of its own: the /proc of its namespace and an empty /dev/shm.

    Without a private /dev/shm, `multiprocessing` would have to write where other jobs can read.
    """
    kernel.unshare(kernel.CLONE_NEWNS | kernel.CLONE_NEWIPC)
    kernel.mount("none", "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("proc", "/proc", "proc", _QUIET | kernel.MS_NOEXEC)
    if os.path.isdir("/dev/shm"):  # noqa: PTH112, S108
        size = f"size={shared_memory_bytes},mode=1777"
        kernel.mount("tmpfs", "/dev/shm", "tmpfs", _QUIET | kernel.MS_NOEXEC, size)  # noqa: S108


def show(directory: str, mount_point: str) -> None:
    """Have `mount_point` show `directory`, to a process in its own mounts and its children only."""
    kernel.mount(directory, mount_point, None, kernel.MS_BIND)


def show_in_own_root(directory: str, mount_point: str, *, below: str) -> None:
    """The same where the machine has no folder at `mount_point`, a name right below `/`, and nobody may make one.

    This process gets a root directory that holds all that the machine's does, and the mount point. `below` is any
    directory the process can do without while it is built. That is no confinement, only one more name.
    """
    kernel.mount("tmpfs", below, "tmpfs", _QUIET | kernel.MS_NOEXEC, "size=64k,mode=755")
    # Or what lies above `below` would be shown with the new root within.
    kernel.mount("none", below, None, kernel.MS_UNBINDABLE)
    with os.scandir("/") as entries:
        for entry in entries:
            _show_entry(entry, f"{below}/{entry.name}")
    own = f"{below}{mount_point}"
    os.mkdir(own)  # noqa: PTH102
    show(directory, own)
    os.chroot(below)


def _show_entry(entry: "os.DirEntry[str]", target: str) -> None:
    if entry.is_symlink():
        os.symlink(os.readlink(entry.path), target)  # noqa: PTH115, PTH211
    elif entry.is_dir(follow_symlinks=False):
        os.mkdir(target)  # noqa: PTH102
        # With all that is mounted within: to leave that out would uncover what it hides, and is refused.
        kernel.mount(entry.path, target, None, kernel.MS_BIND | kernel.MS_REC)
