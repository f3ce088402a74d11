"""Resource limits of a job's processes."""

import os
import resource


def _lower(which: int, value: int) -> None:
    # Only privilege can raise a hard limit, and a container may have taken even root's: never ask for more.
    hard = resource.getrlimit(which)[1]
    bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (bounded, bounded))


def tasks_of_user(user_id: int, proc: int) -> int:
    """Processes and threads that count against the user's RLIMIT_NPROC now, as far as `proc` shows them.

    `proc` is an open /proc directory.
    """
    total = 0
    for name in os.listdir(proc):
        if not name.isdigit():
            continue
        try:
            status = os.stat(f"{name}/task", dir_fd=proc)
        except OSError:
            continue
        if status.st_uid == user_id:
            total += max(status.st_nlink - 2, 1)
    return total


def apply(
    *,
    processes: int,
    file_size_bytes: int,
    open_files: int,
    memory_bytes: int | None,
    tasks_already: int,
) -> None:
    """Limit this process and its children.

    `processes` counts per user: `tasks_already` is what runs as the job's user, when it shares that with
    others, and is added, which is the best a limit per user can do.

    Memory is limited as RLIMIT_DATA: it counts private writable memory, what a script allocates. RLIMIT_AS
    counts address space, and JIT compilers, allocators and thread pools reserve gigabytes they never touch.
    """
    _lower(resource.RLIMIT_NPROC, processes + tasks_already)
    _lower(resource.RLIMIT_FSIZE, file_size_bytes)
    _lower(resource.RLIMIT_NOFILE, open_files)
    _lower(resource.RLIMIT_CORE, 0)
    if memory_bytes is not None:
        _lower(resource.RLIMIT_DATA, memory_bytes)
