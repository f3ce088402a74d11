"""The system calls no script needs and an attacker does, refused by a seccomp filter.

Refused with EPERM rather than death, so that a library probing for a feature falls back. `clone3` answers
ENOSYS: its flags lie in memory where a filter cannot see them, and the C library then uses `clone`, whose
flags are checked.
"""

import ctypes
import os
import struct

from millpond.runtimes.sandbox import kernel

_EPERM, _ENOSYS = 1, 38
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD_WORD, _JUMP_EQUAL, _JUMP_AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_OFFSET_NUMBER, _OFFSET_ARCHITECTURE, _OFFSET_FLAGS = 0, 4, 16
_MODE_FILTER = 2
_X32_BIT = 0x40000000
# NEWTIME is left out: in clone() its bit belongs to the exit signal.
_NEW_NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000

# The same number on every architecture, as all calls added since Linux 5.1.
_SHARED = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "open_tree_attr": 467,
}
_CLONE3 = 435

_X86_64 = {
    "ptrace": 101,
    "syslog": 103,
    "vhangup": 153,
    "modify_ldt": 154,
    "pivot_root": 155,
    "chroot": 161,
    "acct": 163,
    "settimeofday": 164,
    "mount": 165,
    "umount2": 166,
    "swapon": 167,
    "swapoff": 168,
    "reboot": 169,
    "sethostname": 170,
    "setdomainname": 171,
    "iopl": 172,
    "ioperm": 173,
    "init_module": 175,
    "delete_module": 176,
    "quotactl": 179,
    "clock_settime": 227,
    "kexec_load": 246,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "unshare": 272,
    "perf_event_open": 298,
    "fanotify_init": 300,
    "open_by_handle_at": 304,
    "clock_adjtime": 305,
    "setns": 308,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "kcmp": 312,
    "finit_module": 313,
    "kexec_file_load": 320,
    "bpf": 321,
    "userfaultfd": 323,
}
_AARCH64 = {
    "umount2": 39,
    "mount": 40,
    "pivot_root": 41,
    "chroot": 51,
    "vhangup": 58,
    "quotactl": 60,
    "acct": 89,
    "unshare": 97,
    "kexec_load": 104,
    "init_module": 105,
    "delete_module": 106,
    "clock_settime": 112,
    "syslog": 116,
    "ptrace": 117,
    "reboot": 142,
    "sethostname": 161,
    "setdomainname": 162,
    "settimeofday": 170,
    "add_key": 217,
    "request_key": 218,
    "keyctl": 219,
    "swapon": 224,
    "swapoff": 225,
    "perf_event_open": 241,
    "fanotify_init": 262,
    "open_by_handle_at": 265,
    "clock_adjtime": 266,
    "setns": 268,
    "process_vm_readv": 270,
    "process_vm_writev": 271,
    "kcmp": 272,
    "finit_module": 273,
    "bpf": 280,
    "userfaultfd": 282,
    "kexec_file_load": 294,
}
# machine: (AUDIT_ARCH constant, number of clone, refused calls)
_MACHINES = {"x86_64": (0xC000003E, 56, _X86_64), "aarch64": (0xC00000B7, 220, _AARCH64)}


def supported(machine: str | None = None) -> bool:
    """Whether a filter exists for this machine's architecture."""
    return (machine or os.uname().machine) in _MACHINES


def _instruction(code: int, constant: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, constant)


def program(machine: str) -> bytes:
    """The filter as BPF instructions of eight bytes each."""
    architecture, clone, refused = _MACHINES[machine]
    lines = [
        _instruction(_LOAD_WORD, _OFFSET_ARCHITECTURE),
        _instruction(_JUMP_EQUAL, architecture, 1, 0),
        _instruction(_RETURN, _ERRNO | _EPERM),
        _instruction(_LOAD_WORD, _OFFSET_NUMBER),
        # The x32 calls of x86-64 repeat the ordinary ones under other numbers.
        _instruction(_JUMP_AT_LEAST, _X32_BIT, 0, 1),
        _instruction(_RETURN, _ERRNO | _ENOSYS),
        _instruction(_JUMP_EQUAL, _CLONE3, 0, 1),
        _instruction(_RETURN, _ERRNO | _ENOSYS),
    ]
    for number in [*refused.values(), *_SHARED.values()]:
        lines += [_instruction(_JUMP_EQUAL, number, 0, 1), _instruction(_RETURN, _ERRNO | _EPERM)]
    lines += [
        _instruction(_JUMP_EQUAL, clone, 0, 4),
        _instruction(_LOAD_WORD, _OFFSET_FLAGS),
        _instruction(_AND, _NEW_NAMESPACES),
        _instruction(_JUMP_EQUAL, 0, 1, 0),
        _instruction(_RETURN, _ERRNO | _EPERM),
        _instruction(_RETURN, _ALLOW),
    ]
    return b"".join(lines)


class Filter:
    """The filter of this machine, laid out in memory once so that installing it is a single system call."""

    def __init__(self, machine: str | None = None) -> None:
        code = program(machine or os.uname().machine)
        self._code = ctypes.create_string_buffer(code, len(code))
        # struct sock_fprog: an unsigned short, padding to pointer alignment, a pointer.
        header = struct.pack("@HP", len(code) // 8, ctypes.addressof(self._code))
        self._header = ctypes.create_string_buffer(header, len(header))

    def install(self) -> None:
        """Confine this process and its children, for good; needs no-new-privs."""
        kernel.prctl(kernel.PR_SET_SECCOMP, _MODE_FILTER, ctypes.cast(self._header, ctypes.c_void_p))
