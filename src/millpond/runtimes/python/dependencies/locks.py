"""Lock texts: made from requirements by `uv pip compile`, and checked when they come from elsewhere.

A lock is the text of a requirements file: `# py: 3.11`, then one exact version a line. It names no address
but those its author asked for. Without packages it is "".
"""

import re
import sys
from collections.abc import Iterator
from datetime import timedelta

import msgspec

from millpond.base.errors import InvalidInput, LockFailed
from millpond.runtimes.python.dependencies.requirements import Requirements
from millpond.runtimes.python.dependencies.specifiers import python_satisfies, requirement_name
from millpond.runtimes.python.dependencies.uv_process import Uv

_RESOLVE_TIMEOUT = timedelta(minutes=5)
_HASH = re.compile(r"\s--hash=[a-z0-9]+:[0-9a-f]+(?=\s|$)")
_PYTHON_LINE = re.compile(r"#\s*py(?::\s*(?P<dotted>\d+\.\d+)[\d.]*|(?P<major>3)(?P<minor>\d+))\s*")


class Lock(msgspec.Struct, frozen=True):
    """A checked lock: its requirements with their hashes, and the Python (`3.11`) it says it was made for."""

    requirements: tuple[str, ...]
    python: str | None


def running_python() -> str:
    """The minor version of the interpreter that runs the jobs: `3.11`."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


async def resolve(requirements: Requirements, uv: Uv) -> str:
    """The lock of `requirements` for this interpreter and platform; "" when there are no packages.

    Raises `LockFailed` when the script asks for another Python, or with uv's own words.
    """
    check_interpreter(requirements)
    if not requirements.packages:
        return ""
    compiled = await uv.run(
        [
            "compile",
            "-",
            *("--python", sys.executable, "--no-header", "--no-annotate", "--quiet"),
            *("--no-emit-index-url", "--no-emit-find-links"),
        ],
        stdin="".join(f"{package}\n" for package in requirements.packages),
        time_limit=_RESOLVE_TIMEOUT,
    )
    lines = [line.strip() for line in compiled.splitlines() if line.strip()]
    return "\n".join([f"# py: {running_python()}", *lines]) if lines else ""


def check_interpreter(requirements: Requirements) -> None:
    """Raise `LockFailed` unless this interpreter is one the script accepts."""
    constraint = requirements.python
    version = sys.version_info
    if constraint is None or python_satisfies((version.major, version.minor, version.micro), constraint):
        return
    ours = ".".join(str(part) for part in version[:3])
    raise LockFailed(f"The script asks for Python {constraint}, and this worker has Python {ours}")


def read_lock(text: str) -> Lock:
    """Check and take apart a lock text, which may come from a user.

    The same lines are accepted as in a script's headers, with hashes and comments; anything else raises
    `LockFailed` naming the line.
    """
    python = None
    requirements = []
    for number, line in _logical_lines(text):
        if match := _PYTHON_LINE.fullmatch(line):
            python = match["dotted"] or f"{match['major']}.{match['minor']}"
        elif requirement := re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip():
            requirements.append(_checked(number, requirement))
    return Lock(tuple(requirements), python)


def _checked(number: int, requirement: str) -> str:
    try:
        requirement_name(_HASH.sub("", requirement).strip())
    except InvalidInput as error:
        raise LockFailed(f"line {number} of the lock: {error.message}") from None
    return requirement


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Numbered lines with continuations joined: hashes stand below their requirement after a backslash."""
    joined, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first or number
        stripped = line.strip()
        if stripped.endswith("\\") and not stripped.startswith("#"):
            joined += stripped[:-1] + " "
            continue
        yield first, " ".join((joined + stripped).split())
        joined, first = "", 0
    if joined:
        yield first, joined.strip()
