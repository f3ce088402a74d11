"""Who a job is: an unprivileged user of its own, without capabilities."""

import os

from millpond.runtimes.sandbox import kernel

CAP_DAC_READ_SEARCH = 2
_LAST_CAPABILITY = 63


def drop_bounding_capabilities() -> None:
    """Take all capabilities but reading out of reach of any program this process's children may execute."""
    for capability in range(_LAST_CAPABILITY + 1):
        if capability == CAP_DAC_READ_SEARCH:
            continue
        try:
            kernel.prctl(kernel.PR_CAPBSET_DROP, capability)
        except OSError:  # beyond the kernel's last one, or bounded already by a container
            continue


def become(user_id: int, *, keep_reading: bool) -> None:
    """Turn this root process into `user_id`, for good.

    `keep_reading` retains CAP_DAC_READ_SEARCH, also across exec: the interpreter and the script's packages
    may lie below a directory like /root that only its owner may enter. It must be given only when Landlock
    confines the job, which then still decides what can be read; `open_by_handle_at`, the known way around, is
    refused by seccomp.
    """
    if keep_reading:
        kernel.prctl(kernel.PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(user_id, user_id, user_id)
    os.setresuid(user_id, user_id, user_id)
    if keep_reading:
        kernel.set_capabilities(1 << CAP_DAC_READ_SEARCH)
        kernel.prctl(kernel.PR_CAP_AMBIENT, kernel.PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH)
    # A change of user hides /proc/self from the process itself, which subprocess and many libraries read.
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)


def give_up_capabilities() -> None:
    """Drop every capability this process holds."""
    kernel.prctl(kernel.PR_CAP_AMBIENT, kernel.PR_CAP_AMBIENT_CLEAR_ALL)
    kernel.set_capabilities(0)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)
