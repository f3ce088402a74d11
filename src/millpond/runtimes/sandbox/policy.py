"""How much isolation the instance asks for, what this machine can give, and the settings that follow."""

import functools
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

import millpond
from millpond.base.errors import SandboxUnavailable
from millpond.runtimes.sandbox import probe
from millpond.runtimes.sandbox.confinement import Settings
from millpond.runtimes.sandbox.users import first_user_id

PACKAGE_ROOT = Path(millpond.__file__).resolve().parent.parent

_SYSTEM_PATHS = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib64", "/lib32", "/sys/devices/system/cpu", "/sys/fs/cgroup"),
    # Certificates, but not the private keys beside them: jobs of a root worker read without regard to modes.
    *("/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs", "/etc/pki/ca-trust"),
    *("/etc/ca-certificates", "/etc/ca-certificates.conf", "/etc/alternatives"),
    *("/etc/resolv.conf", "/etc/hosts", "/etc/host.conf", "/etc/nsswitch.conf", "/etc/gai.conf"),
    *("/etc/passwd", "/etc/group", "/etc/localtime", "/etc/timezone", "/etc/services", "/etc/protocols"),
    *("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/mime.types", "/etc/os-release"),
)
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty")
_PROBE_TIMEOUT_SECONDS = 30


class SandboxPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator asks for.

    `auto` uses all this machine permits and records it; `required` refuses to start without files, system
    calls and processes confined; `off` is for machines that run only what their operator wrote. `readable`
    names further paths every job may read.
    """

    mode: Literal["auto", "required", "off"] = "auto"
    readable: tuple[Path, ...] = ()
    shared_mount_point: Path = Path("/shared")


class SandboxLevel(msgspec.Struct, frozen=True, kw_only=True):
    """The isolation in force. `description` names its parts joined by `+`, or is `none`.

    `own_root` isolates nothing: it is how `/shared` is shown where the machine has no such folder.
    """

    landlock_abi: int = 0
    seccomp: bool = False
    pid_namespace: bool = False
    user_namespace: bool = False
    mount_namespace: bool = False
    user_switch: bool = False
    own_root: bool = False

    @property
    def description(self) -> str:
        """Such as `landlock+seccomp+pidns+mountns+users+rlimits`."""
        parts = {
            "landlock": self.landlock_abi > 0,
            "seccomp": self.seccomp,
            "pidns": self.pid_namespace,
            "mountns": self.mount_namespace,
            "users": self.user_switch,
        }
        present = [name for name, there in parts.items() if there]
        # Limits alone bound what a job uses, not what it reaches: that is no isolation and must not sound
        # like it.
        return "+".join([*present, "rlimits"]) if present else "none"

    @property
    def missing(self) -> list[str]:
        """What mode `required` insists on and this level lacks."""
        wanted = {
            "Landlock": self.landlock_abi > 0,
            "seccomp": self.seccomp,
            # Without privilege a job's processes are found by descent, which a kernel with Landlock ABI 6
            # makes safe enough: the job cannot signal its supervisor.
            "PID namespaces or Landlock ABI 6": self.pid_namespace or self.landlock_abi >= 6,
            "a change of user (the worker is root)": self.user_switch or os.getuid() != 0,
        }
        return [name for name, there in wanted.items() if not there]


@functools.cache
def detect() -> SandboxLevel:
    """Try what this machine permits, once per process; takes tens of milliseconds and blocks."""
    if sys.platform != "linux":
        return SandboxLevel()
    answer = subprocess.run(
        [sys.executable, "-I", "-S", probe.__file__, str(PACKAGE_ROOT), str(first_user_id()), os.__file__],
        env={"PATH": os.defpath},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_PROBE_TIMEOUT_SECONDS,
        check=False,
    )
    if answer.returncode != 0:
        reason = answer.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise SandboxUnavailable(f"What isolation this machine permits could not be found out: {reason}")
    return msgspec.json.decode(answer.stdout, type=SandboxLevel)


def settle(policy: SandboxPolicy) -> SandboxLevel:
    """The level in force; raises `SandboxUnavailable` when it is `required` and lacks something."""
    if policy.mode == "off":
        return SandboxLevel()
    level = detect()
    if policy.mode == "required" and level.missing:
        raise SandboxUnavailable(
            f"The sandbox is required, but this machine lacks {', '.join(level.missing)}. Run the "
            f"worker where they are permitted, or set the sandbox to 'auto' and accept '{level.description}'."
        )
    return level


def interpreter_paths() -> tuple[Path, ...]:
    """Where this Python and its standard library lie, links resolved."""
    named = {Path(sys.prefix), Path(sys.base_prefix), Path(sys.exec_prefix), Path(sys.base_exec_prefix)}
    named |= {Path(os.__file__).parent, Path(sys.executable).resolve().parent.parent}
    return tuple(sorted({path for name in named for path in (name, name.resolve())}))


def settings_for(
    policy: SandboxPolicy, level: SandboxLevel, *, readable: Iterable[Path], work_dir: Path
) -> Settings:
    """The confinement of jobs that work below `work_dir` and read `readable` beside the system and Python."""
    needed = [*interpreter_paths(), *policy.readable, *(path.resolve() for path in readable)]
    temporary = "/tmp"  # noqa: S108
    hidden_by_tmp = [path for path in (work_dir, *needed) if path.resolve().is_relative_to(temporary)]
    mount_point = policy.shared_mount_point
    return Settings(
        landlock_abi=level.landlock_abi,
        seccomp=level.seccomp,
        pid_namespace=level.pid_namespace,
        user_namespace=level.user_namespace,
        mount_namespace=level.mount_namespace,
        user_switch=level.user_switch,
        readable=[*map(str, needed), *_SYSTEM_PATHS],
        devices=list(_DEVICES),
        # A private /tmp would hide what lies below the real one.
        private_tmp=not hidden_by_tmp,
        shared_mount_point=str(mount_point) if level.own_root or mount_point.is_dir() else None,
    )
