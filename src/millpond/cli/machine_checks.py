"""The checks of `millpond doctor` that need no database: the installation, the data folder, isolation, the server."""

import os
import platform
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from importlib.metadata import version as version_of
from pathlib import Path
from urllib.parse import urlsplit

import uv

from millpond import __version__
from millpond.base.settings import Settings
from millpond.cli.findings import Finding, Status
from millpond.cli.listening import internal_address
from millpond.runtimes.sandbox.policy import SandboxLevel, SandboxPolicy, settle

LITTLE_DISK_BYTES = 1024**3
NO_DISK_BYTES = 100 * 1024**2
ANSWER_TIMEOUT_SECS = 5
MAX_ANSWER_BYTES = 4096
SUPPORTED_PLATFORMS = ("linux", "darwin")
# From this version on, Landlock keeps a job from signalling processes outside its sandbox.
LANDLOCK_ABI_WITH_SIGNALS = 6


def check_version(_: Settings) -> list[Finding]:
    """Which Millpond this is."""
    return [Finding("ok", "version", f"Millpond {__version__}")]


def check_python(_: Settings) -> list[Finding]:
    """Which Python runs it, and runs the jobs."""
    return [
        Finding(
            "ok",
            "python",
            f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}",
        )
    ]


def check_platform(_: Settings) -> list[Finding]:
    """Whether this system is one Millpond runs on."""
    name = f"{platform.system()} {platform.release()} on {platform.machine()}, {os.cpu_count()} processors"
    if sys.platform in SUPPORTED_PLATFORMS:
        return [Finding("ok", "platform", name)]
    return [Finding("fail", "platform", f"{name}: only Linux and macOS are supported")]


def check_data_dir(settings: Settings) -> list[Finding]:
    """Whether the data folder can be written, or made."""
    folder = settings.data_dir.resolve()
    nearest = _nearest_existing(folder)
    if not nearest.is_dir():
        return [Finding("fail", "data folder", f"{folder} cannot be a folder: {nearest} is a file")]
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        return [Finding("fail", "data folder", f"{nearest} cannot be written: {error.strerror}")]
    if nearest != folder:
        return [Finding("ok", "data folder", f"{folder} does not exist yet, and can be made")]
    if stat.S_IMODE(folder.stat().st_mode) & stat.S_IWOTH:
        return [
            Finding(
                "warn",
                "data folder",
                f"{folder} can be written by every user of this machine: take that right away",
            )
        ]
    return [Finding("ok", "data folder", f"{folder} can be written")]


def check_disk(settings: Settings) -> list[Finding]:
    """Whether there is room for data."""
    free = shutil.disk_usage(_nearest_existing(settings.data_dir.resolve())).free
    text = f"{free / 1024**3:.1f} GiB free"
    if free < NO_DISK_BYTES:
        return [Finding("fail", "disk", f"{text}: PostgreSQL stops when there is none left")]
    return [Finding("warn" if free < LITTLE_DISK_BYTES else "ok", "disk", text)]


def check_sandbox(settings: Settings) -> list[Finding]:
    """How far jobs are isolated, and what each missing part means."""
    level = settle(SandboxPolicy(mode=settings.sandbox))
    if level.description == "none":
        why = "it is switched off" if settings.sandbox == "off" else "this machine permits no part of it"
        return [
            Finding(
                "warn",
                "sandbox",
                f"none, as {why}: jobs can read all that the worker can, the master key among it. Run only code you trust",
            )
        ]
    lacking = _lacking(level)
    return [
        Finding("warn" if lacking else "ok", "sandbox", level.description),
        *(Finding("warn", f"sandbox: {part}", f"missing: {meaning}") for part, meaning in lacking.items()),
    ]


def _lacking(level: SandboxLevel) -> dict[str, str]:
    is_root = os.getuid() == 0
    parts = {
        "landlock": (
            level.landlock_abi > 0,
            "jobs can read and change every file that the user they run as can",
        ),
        "seccomp": (level.seccomp, "jobs may use every system call of the kernel"),
        "pidns": (
            # Without privilege a job's processes are found by descent, which this kernel makes safe.
            level.pid_namespace or level.landlock_abi >= LANDLOCK_ABI_WITH_SIGNALS,
            "jobs see the other processes of their user, and can end them",
        ),
        "mountns": (
            level.mount_namespace,
            "jobs have no /tmp, /dev/shm and /shared of their own, only ./tmp and ./shared",
        ),
        "users": (level.user_switch or not is_root, "jobs run as root, as the worker does"),
    }
    return {name: meaning for name, (there, meaning) in parts.items() if not there}


def check_uv(_: Settings) -> list[Finding]:
    """Whether dependencies can be installed."""
    try:
        binary = uv.find_uv_bin()
    except FileNotFoundError:
        return [
            Finding(
                "fail",
                "uv",
                "its program is missing, and scripts with dependencies cannot run: install Millpond anew",
            )
        ]
    if not os.access(binary, os.X_OK):
        return [Finding("fail", "uv", f"{binary} cannot be executed")]
    return [Finding("ok", "uv", version_of("uv"))]


def check_server(settings: Settings) -> list[Finding]:
    """Whether the server answers where these settings say it is; `ok` means that it does."""
    if settings.port == 0 and not settings.internal_url:
        text = "not looked for: port 0 is no address; say with --port where it listens"
        return [Finding("warn", "server", text)]
    address = internal_address(settings, settings.port)
    try:
        return [Finding(*_ask_server(address))]
    except ConnectionRefusedError:
        text = f"nothing answers at {address}: start it with 'millpond serve', or say --port"
        return [Finding("warn", "server", text)]
    except HTTPException:
        return [Finding("fail", "server", _foreign(address))]
    except OSError as error:
        return [Finding("fail", "server", f"{address} cannot be reached: {error}")]


def _ask_server(address: str) -> tuple[Status, str, str]:
    status, version = _get(address, "/api/version")
    if status != 200 or "Millpond" not in version:
        return "fail", "server", _foreign(address)
    status, _ = _get(address, "/api/health/status")
    if status != 200:
        return "fail", "server", f"it answers at {address}, but is not healthy (status {status}): see its log"
    if f"(Millpond {__version__})" not in version:
        return "warn", "server", f"{address} runs another version, {version}: restart it"
    return "ok", "server", f"healthy at {address}"


def _foreign(address: str) -> str:
    return f"{address} is answered by another program: choose a free port with --port"


def _get(address: str, path: str) -> tuple[int, str]:
    # By hand: what follows proxy settings or redirects would tell of another server.
    parts = urlsplit(address)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=ANSWER_TIMEOUT_SECS)
    try:
        connection.request("GET", parts.path.rstrip("/") + path)
        answer = connection.getresponse()
        return answer.status, answer.read(MAX_ANSWER_BYTES).decode(errors="replace")
    finally:
        connection.close()


def _nearest_existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


MACHINE_CHECKS: Mapping[str, Callable[[Settings], list[Finding]]] = {
    "version": check_version,
    "python": check_python,
    "platform": check_platform,
    "data folder": check_data_dir,
    "disk": check_disk,
    "sandbox": check_sandbox,
    "uv": check_uv,
    "server": check_server,
}
