"""The seccomp filter, run by a small interpreter of its instructions for both architectures."""

import struct

import pytest

from millpond.runtimes.sandbox import seccomp

ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NUMBERS = {
    "x86_64": {
        "ptrace": 101,
        "mount": 165,
        "unshare": 272,
        "bpf": 321,
        "keyctl": 250,
        "clone": 56,
        "read": 0,
    },
    "aarch64": {
        "ptrace": 117,
        "mount": 40,
        "unshare": 97,
        "bpf": 280,
        "keyctl": 219,
        "clone": 220,
        "read": 63,
    },
}


def verdict(machine: str, number: int, flags: int = 0, architecture: int | None = None) -> int:
    """What the kernel would answer to a system call."""
    code = seccomp.program(machine)
    instructions = [struct.unpack_from("=HBBI", code, at) for at in range(0, len(code), 8)]
    words = {0: number, 4: architecture or ARCHITECTURES[machine], 16: flags}
    accumulator = at = 0
    while True:
        operation, if_true, if_false, constant = instructions[at]
        at += 1
        if operation == 0x20:
            accumulator = words[constant]
        elif operation == 0x54:
            accumulator &= constant
        elif operation == 0x15:
            at += if_true if accumulator == constant else if_false
        elif operation == 0x35:
            at += if_true if accumulator >= constant else if_false
        else:
            assert operation == 0x06
            return int(constant)


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_attackers_calls_are_refused_and_others_allowed(machine: str) -> None:
    numbers = NUMBERS[machine]
    for name in ("ptrace", "mount", "unshare", "bpf", "keyctl"):
        assert verdict(machine, numbers[name]) == EPERM, name
    assert verdict(machine, numbers["read"]) == ALLOW
    assert verdict(machine, 425) == EPERM  # io_uring_setup
    assert verdict(machine, 435) == ENOSYS  # clone3


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_clone_is_allowed_for_threads_and_forks_only(machine: str) -> None:
    clone = NUMBERS[machine]["clone"]
    assert verdict(machine, clone, flags=0x01200011) == ALLOW  # fork
    assert verdict(machine, clone, flags=0x003D0F00) == ALLOW  # pthread_create
    for namespace in (0x00020000, 0x08000000, 0x10000000, 0x20000000, 0x40000000):
        assert verdict(machine, clone, flags=namespace | 17) == EPERM


def test_calls_of_another_architecture_are_refused() -> None:
    assert verdict("x86_64", 0, architecture=0x40000003) == EPERM  # 32-bit x86
    assert verdict("x86_64", 0x40000000 | 101) == ENOSYS  # x32
    assert not seccomp.supported("riscv64")
