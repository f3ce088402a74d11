"""File access by Landlock: a job reaches what it is granted, everything else is refused by the kernel.

Grants known beforehand are opened once in the zygote (`Grants`) and can be put into a rule set before the job
is known, so that confining it then costs a few short system calls. Network access is left open: scripts exist
to talk to services. Path-based unix sockets are not covered by Landlock; what listens on one needs a password.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from typing import NamedTuple, cast

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


def _outermost(paths: Iterable[str]) -> set[str]:
    """The paths, links resolved, without those that lie below others: a rule covers all that is beneath."""
    resolved = {os.path.realpath(path) for path in paths}
    return {path for path in resolved if not any(path.startswith(f"{other}/") for other in resolved)}


class _Rule(NamedTuple):
    descriptor: int
    attributes: "ctypes.Array[ctypes.c_char]"


class Grants:
    """The paths every job of a zygote may read, held open; paths that do not exist are left out."""

    def __init__(self, version: int, *, readable: Iterable[str], devices: Iterable[str]) -> None:
        self.version = version
        self._known = _known_accesses(version)
        self._attributes = _ruleset_attributes(version)
        read_write = _READ | _WRITE_FILE | _TRUNCATE | _IOCTL_DEVICE
        accesses = dict.fromkeys(_outermost(readable), _READ) | dict.fromkeys(devices, read_write)
        self._rules = [rule for path, access in accesses.items() if (rule := self._rule(path, access))]
        self._ruleset: int | None = None

    def prepare(self, *, readable: Iterable[str] = (), writable: Iterable[str] = ()) -> None:
        """Lay out a rule set of the grants and these paths for this process's own `restrict`."""
        size = len(self._attributes)
        attributes = ctypes.create_string_buffer(self._attributes, size)
        self._ruleset = kernel.syscall(_CREATE_RULESET, ctypes.cast(attributes, ctypes.c_void_p), size, 0)
        for rule in self._rules:
            self._add(self._ruleset, rule)
        self._add_paths(self._ruleset, readable, _READ)
        self._add_paths(self._ruleset, writable, self._everything)

    def restrict(self, *, writable: Iterable[str] = ()) -> None:
        """Confine this process, for good, to what was prepared and these paths.

        Needs no-new-privs or privilege.
        """
        if self._ruleset is None:
            self.prepare()
        ruleset = cast("int", self._ruleset)
        self._add_paths(ruleset, writable, self._everything)
        kernel.syscall(_RESTRICT_SELF, ruleset, 0)
        os.close(ruleset)
        self._ruleset = None

    @property
    def _everything(self) -> int:
        return self._known & ~(_MAKE_CHAR | _MAKE_BLOCK)

    def _add_paths(self, ruleset: int, paths: Iterable[str], access: int) -> None:
        for path in paths:
            rule = self._rule(path, access)
            if rule is not None:
                self._add(ruleset, rule)
                os.close(rule.descriptor)

    def _add(self, ruleset: int, rule: _Rule) -> None:
        kernel.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.cast(rule.attributes, ctypes.c_void_p), 0)

    def _rule(self, path: str, access: int) -> _Rule | None:
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return None
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            access &= _OF_A_FILE
        packed = struct.pack("=Qi", access & self._known, descriptor)
        return _Rule(descriptor, ctypes.create_string_buffer(packed, len(packed)))
