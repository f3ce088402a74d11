"""A program that tries each means of isolation in a child of its own and prints what worked, as JSON.

Trying is the only reliable answer: containers, security modules and sysctls each refuse in their own way.
Usage: python -I -S probe.py PACKAGE_ROOT USER_ID READABLE_FILE
"""

import functools
import json
import os
import signal
import sys
from collections.abc import Callable
from types import ModuleType


def _works(action: Callable[[], object]) -> bool:
    child = os.fork()
    if child == 0:
        try:
            action()
        except BaseException:  # noqa: BLE001 - a child whose exit code is the answer
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def _trials_of_mounts(namespaces: ModuleType, *, below: str) -> dict[str, Callable[[], object]]:
    def private_mounts() -> None:
        namespaces.enter_private_mounts(shared_memory_bytes=1024 * 1024)

    def own_root() -> None:
        private_mounts()
        namespaces.show_in_own_root("/proc", "/shared-probe", below=below)

    return {"mount_namespace": private_mounts, "own_root": own_root}


def main(package_root: str, user_id: int, readable_file: str) -> None:
    """Print the means that work here. `user_id` is 0 when no user may be switched to."""
    sys.path.insert(0, package_root)
    from millpond.runtimes.sandbox import kernel, landlock, namespaces, privileges, seccomp  # noqa: PLC0415

    def restrict_files() -> None:
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        landlock.Grants(landlock.abi(), readable=["/proc"], devices=[]).restrict(writable=["/dev/null"])

    def install_filter() -> None:
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        seccomp.Filter().install()

    def in_new_pid_namespace(action: Callable[[], object]) -> None:
        spaces = namespaces.PidNamespaces()
        keeper = spaces.open_new()
        try:
            if not _works(action):
                raise OSError("a process of a new PID namespace failed")
            spaces.return_to_own()
        finally:
            os.kill(keeper, signal.SIGKILL)

    def after_user_namespace(action: Callable[[], object]) -> Callable[[], object]:
        def action_and_reading() -> None:
            # Privileges of this user outside, such as reading below another's home, do not count within.
            with open(readable_file, "rb"):  # noqa: PTH123
                action()

        def run() -> None:
            namespaces.enter_user_namespace()
            if not _works(action_and_reading):
                raise OSError("a process of a new user namespace failed")

        return run

    def new_pid_namespace() -> None:
        in_new_pid_namespace(lambda: None)

    has_landlock = landlock.abi() > 0 and _works(restrict_files)
    has_seccomp = seccomp.supported() and _works(install_filter)

    def switch_user() -> None:
        privileges.become(user_id, keep_reading=has_landlock and has_seccomp)
        with open(readable_file, "rb"):  # noqa: PTH123
            pass

    pid_namespace = _works(new_pid_namespace)
    user_namespace = not pid_namespace and _works(after_user_namespace(new_pid_namespace))
    mounts = {}
    for name, trial in _trials_of_mounts(namespaces, below=os.path.dirname(readable_file)).items():  # noqa: PTH120
        contained = functools.partial(in_new_pid_namespace, trial)
        mounts[name] = _works(after_user_namespace(contained) if user_namespace else contained)
    answer = {
        "landlock_abi": landlock.abi() if has_landlock else 0,
        "seccomp": has_seccomp,
        "pid_namespace": pid_namespace or user_namespace,
        "user_namespace": user_namespace,
        **mounts,
        "user_switch": os.getuid() == 0 and user_id > 0 and _works(switch_user),
    }
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
