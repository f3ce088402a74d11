"""What a child process gives up before it sees the first expression.

The engine itself has no files, clock to set or network; this is for the day somebody breaks out of it. Where the kernel
or the architecture has no filter of system calls, the limits and the parent's death signal still hold.
"""

import ctypes
import os
import resource
import signal
import struct
import sys

ADDRESS_SPACE_BYTES = 512 * 1024 * 1024
"""For the interpreter, a message of the engine's memory limit and its copies as text, and the engine."""

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
_FILTER_MODE, _ALLOW, _REFUSE_EPERM = 2, 0x7FFF0000, 0x00050001
_LOAD, _IS, _RETURN = 0x20, 0x15, 0x06

# read write mmap munmap mremap brk madvise mprotect futex rt_sigreturn clock_gettime gettimeofday getrandom
# restart_syscall exit exit_group
_MACHINES = {
    "x86_64": (0xC000003E, (0, 1, 9, 11, 25, 12, 28, 10, 202, 15, 228, 96, 318, 219, 60, 231)),
    "aarch64": (0xC00000B7, (63, 64, 222, 215, 216, 214, 233, 226, 98, 139, 113, 169, 278, 128, 93, 94)),
}


def confine(parent: int, cpu_seconds: int) -> bool:
    """Limit this process for good; True when also its system calls are filtered.

    Ends the process when `parent` has ended already.
    """
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_CPU, cpu_seconds)
    if sys.platform != "linux":
        return False
    _limit(resource.RLIMIT_AS, ADDRESS_SPACE_BYTES)
    _limit(resource.RLIMIT_NOFILE, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    _prctl(libc, _PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)
    _prctl(libc, _PR_SET_DUMPABLE, 0)
    return _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1) and _filter_calls(libc)


def _limit(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _prctl(libc: ctypes.CDLL, option: int, argument: int | ctypes.c_void_p, pointer: object = 0) -> bool:
    words = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in (argument, pointer, 0, 0)]
    return int(libc.prctl(ctypes.c_int(option), *words)) == 0


def _filter_calls(libc: ctypes.CDLL) -> bool:
    """Refuse every system call but those of memory, the clock and the open socket."""
    if os.uname().machine not in _MACHINES:
        return False
    architecture, allowed = _MACHINES[os.uname().machine]
    lines = [(_LOAD, 0, 0, 4), (_IS, 1, 0, architecture), (_RETURN, 0, 0, _REFUSE_EPERM), (_LOAD, 0, 0, 0)]
    # From each line a jump over the rest of the list and the refusal after it.
    lines += [(_IS, len(allowed) - at, 0, number) for at, number in enumerate(allowed)]
    lines += [(_RETURN, 0, 0, _REFUSE_EPERM), (_RETURN, 0, 0, _ALLOW)]
    code = b"".join(struct.pack("=HBBI", *line) for line in lines)
    held = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog: an unsigned short, padding to pointer alignment, a pointer.
    header = ctypes.create_string_buffer(struct.pack("@HP", len(lines), ctypes.addressof(held)))
    return _prctl(libc, _PR_SET_SECCOMP, _FILTER_MODE, ctypes.cast(header, ctypes.c_void_p))
