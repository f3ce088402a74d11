"""Resource limits of a job's processes."""

import os
import resource


def _lower(which: int, value: int) -> None:
    # Only privilege can raise a hard limit, and a container may have taken even root's: never ask for more.
    hard = resource.getrlimit(which)[1]
    bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(which, (bounded, bounded))


def tasks_of_user(user_id: int) -> int:
    """Processes and threads that count against the user's RLIMIT_NPROC now, as far as /proc shows them."""
    total = 0
    for name in os.listdir("/proc") if os.path.isdir("/proc/self/task") else []:  # noqa: PTH112, PTH208
        if not name.isdigit():
            continue
        try:
            status = os.stat(f"/proc/{name}/task")  # noqa: PTH116
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
    user_is_exclusive: bool,
) -> None:
    """Limit this process and its children.

    `processes` counts per user: when the job shares its user with others (`user_is_exclusive` false), what
    runs already is added, which is the best a limit per user can do.

    Memory is limited as RLIMIT_DATA: it counts private writable memory, what a script allocates. RLIMIT_AS
    counts address space, and JIT compilers, allocators and thread pools reserve gigabytes they never touch.
    """
    already = 0 if user_is_exclusive else tasks_of_user(os.getuid())
    _lower(resource.RLIMIT_NPROC, processes + already)
    _lower(resource.RLIMIT_FSIZE, file_size_bytes)
    _lower(resource.RLIMIT_NOFILE, open_files)
    _lower(resource.RLIMIT_CORE, 0)
    if memory_bytes is not None:
        _lower(resource.RLIMIT_DATA, memory_bytes)
