"""File access by Landlock: a job reaches what it is granted, everything else is refused by the kernel.

Grants known beforehand are opened once in the zygote (`Grants`), so that confining a job costs a few dozen
short system calls and no path look-up. Network access is left open: scripts exist to talk to services.
Path-based unix sockets are not covered by Landlock; what listens on one needs a password.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

from millpond.runtimes.sandbox import kernel

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION_FLAG = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK = 1 << 6, 1 << 11
_TRUNCATE, _IOCTL_DEVICE = 1 << 14, 1 << 15
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
_READ = _EXECUTE | _READ_FILE | _READ_DIR

# How many of the file access bits each ABI knows: REFER came with 2, TRUNCATE with 3, IOCTL_DEV with 5.
_ACCESS_BITS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_SCOPE_ABSTRACT_SOCKETS, _SCOPE_SIGNALS = 1, 2


def abi() -> int:
    """The Landlock version of the running kernel; 0 when it has none or it is switched off."""
    try:
        return kernel.syscall(_CREATE_RULESET, 0, 0, _VERSION_FLAG)
    except (OSError, AttributeError):
        return 0


def _known_accesses(version: int) -> int:
    return (1 << _ACCESS_BITS[min(version, max(_ACCESS_BITS))]) - 1


def _ruleset_attributes(version: int) -> bytes:
    handled = _known_accesses(version)
    if version >= 6:
        return struct.pack("=QQQ", handled, 0, _SCOPE_ABSTRACT_SOCKETS | _SCOPE_SIGNALS)
    return struct.pack("=QQ", handled, 0) if version >= 4 else struct.pack("=Q", handled)


class Grants:
    """The paths every job of a zygote may read, held open; paths that do not exist are left out."""

    def __init__(self, version: int, *, readable: Iterable[str], devices: Iterable[str]) -> None:
        self.version = version
        self._known = _known_accesses(version)
        self._attributes = _ruleset_attributes(version)
        self._rules = [rule for path in readable if (rule := self._rule(path, _READ))]
        read_write = _READ | _WRITE_FILE | _TRUNCATE | _IOCTL_DEVICE
        self._rules += [rule for path in devices if (rule := self._rule(path, read_write))]

    def _rule(self, path: str, access: int) -> bytes | None:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return None
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            access &= _OF_A_FILE
        return struct.pack("=Qi", access & self._known, descriptor)

    def restrict(self, *, readable: Iterable[str] = (), writable: Iterable[str] = ()) -> None:
        """Confine this process, for good, to the grants plus these paths; needs no-new-privs or privilege."""
        attributes = ctypes.create_string_buffer(self._attributes, len(self._attributes))
        ruleset = kernel.syscall(
            _CREATE_RULESET, ctypes.cast(attributes, ctypes.c_void_p), len(self._attributes), 0
        )
        everything = self._known & ~(_MAKE_CHAR | _MAKE_BLOCK)
        own = [rule for path in readable if (rule := self._rule(path, _READ))]
        own += [rule for path in writable if (rule := self._rule(path, everything))]
        for rule in (*self._rules, *own):
            buffer = ctypes.create_string_buffer(rule, len(rule))
            kernel.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.cast(buffer, ctypes.c_void_p), 0)
        kernel.syscall(_RESTRICT_SELF, ruleset, 0)
        os.close(ruleset)
        for rule in own:
            os.close(struct.unpack("=Qi", rule)[1])
