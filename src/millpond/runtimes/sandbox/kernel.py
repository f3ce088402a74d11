"""The Linux system calls Python has no binding for, by way of ctypes; each raises `OSError` when refused.

Nothing here decides anything: what is called, when and with which flags is the business of the other modules.
"""

import ctypes
import os
import signal

CLONE_NEWNS = 0x00020000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4

MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_UNBINDABLE = 0x20000
MS_PRIVATE = 0x40000

_CLONE_VM = 0x100
_CLONE_FILES = 0x400
# Children of `clone_paused` never return and never take a signal: they can stand on the same stack.
_PAUSED_STACK_BYTES = 65536
_paused_stack = ctypes.create_string_buffer(_PAUSED_STACK_BYTES)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(number: int, *arguments: int | ctypes.c_void_p) -> int:
    """Make a system call by number; pointers come as `c_void_p` to memory the caller keeps alive."""
    # Variadic C functions take ints of 32 bits from ctypes unless told; every register here is a full word.
    words = [a if isinstance(a, ctypes.c_void_p) else ctypes.c_long(a) for a in arguments]
    return _checked(int(_libc.syscall(ctypes.c_long(number), *words)), f"syscall {number}")


def prctl(option: int, *arguments: int | ctypes.c_void_p) -> int:
    """Change an attribute of this process."""
    padded = [*arguments, 0, 0, 0, 0][:4]
    words = [a if isinstance(a, ctypes.c_void_p) else ctypes.c_ulong(a) for a in padded]
    return _checked(int(_libc.prctl(ctypes.c_int(option), *words)), f"prctl {option}")


def unshare(flags: int) -> None:
    """Move this process (for PID namespaces: its next children) into new namespaces."""
    _checked(int(_libc.unshare(ctypes.c_int(flags))), "unshare")


def setns(descriptor: int, kind: int) -> None:
    """Join the namespace behind an open `/proc/.../ns/` file."""
    _checked(int(_libc.setns(ctypes.c_int(descriptor), ctypes.c_int(kind))), "setns")


def clone_paused() -> int:
    """Make a child that does nothing but wait to be killed, and return its pid.

    It shares this process's memory and descriptors instead of copying them, runs `pause` of the C library on a
    stack of its own and hears no signal but SIGKILL. That makes it as cheap as a thread, and it keeps nothing
    open that this process has closed.
    """
    top = (ctypes.addressof(_paused_stack) + _PAUSED_STACK_BYTES) & ~15
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        child = _libc.clone(
            ctypes.cast(_libc.pause, ctypes.c_void_p),
            ctypes.c_void_p(top),
            ctypes.c_int(_CLONE_VM | _CLONE_FILES | signal.SIGCHLD),
            ctypes.c_void_p(None),
        )
        return _checked(int(child), "clone")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """Mount a file system, or bind or re-propagate one, in this process's mount namespace."""
    result = _libc.mount(
        os.fsencode(source),
        os.fsencode(target),
        None if kind is None else kind.encode(),
        ctypes.c_ulong(flags),
        None if options is None else options.encode(),
    )
    _checked(int(result), f"mount on {target}")


def set_capabilities(mask: int) -> None:
    """Make `mask` the permitted, effective and inheritable capabilities of this process."""
    version_3 = 0x20080522
    header = (ctypes.c_uint32 * 2)(version_3, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = (ctypes.c_uint32 * 6)(low, low, low, high, high, high)
    _checked(int(_libc.capset(header, data)), "capset")
