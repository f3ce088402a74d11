"""The real `wmill` from the package index, driving a running instance: what the tests of it share.

A script of a test has a `main` and returns what it saw; a `Place` runs it with one version of the client, in a process
outside the instance or as a job inside it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from served_instance import WORKSPACE, Api, ServedInstance, unique

OLD, NEW = "1.297.0", "1.850.0"
SCRIPT_SECS = 60

# The script comes by stdin and its result goes to a file, so that what it prints stays its own.
OUTSIDE = """
import json, sys
path, args = sys.argv[1], json.loads(sys.argv[2])
scope = {"__name__": "script"}
exec(compile(sys.stdin.read(), "script.py", "exec"), scope)
result = scope["main"](**args)
with open(path, "w") as file:
    json.dump(result, file)
"""


@dataclass(frozen=True)
class Ran:
    """How a script went: what `main` returned, and what it printed."""

    result: Any
    printed: str
    job_id: str | None = None


class Place(Protocol):
    """Where scripts of tests run, with which client."""

    @property
    def is_new(self) -> bool:
        """Whether the client has what came after 1.297.0."""

    def run(self, code: str, **args: Any) -> Ran:
        """Run a script as henri; fails when it raises."""


@dataclass(frozen=True)
class Outside:
    """A process outside the instance, with the real client of one version on its path."""

    version: str
    packages: Path
    served: ServedInstance
    token: str

    @property
    def is_new(self) -> bool:
        return self.version != OLD

    def run(self, code: str, **args: Any) -> Ran:
        return self.run_with({}, code, **args)

    def run_with(self, environment: dict[str, str], code: str, **args: Any) -> Ran:
        """The same, with more environment variables; an empty one is left out."""
        given = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(self.packages),
            "PYTHONDONTWRITEBYTECODE": "1",
            "BASE_INTERNAL_URL": self.served.url,
            "WM_TOKEN": self.token,
            "WM_WORKSPACE": WORKSPACE,
            "WM_STATE_PATH": unique("outside"),
            **environment,
        }
        with tempfile.TemporaryDirectory(dir=self.served.folder) as folder:
            result = Path(folder) / "result.json"
            ended = subprocess.run(
                [sys.executable, "-c", OUTSIDE, str(result), json.dumps(args)],
                env={name: value for name, value in given.items() if value},
                input=textwrap.dedent(code),
                capture_output=True,
                text=True,
                timeout=SCRIPT_SECS,
                check=False,
            )
            assert ended.returncode == 0, ended.stderr
            # An error in what the client does at exit shows here and nowhere else.
            assert "Traceback" not in ended.stderr, ended.stderr
            return Ran(json.loads(result.read_text()), ended.stdout)


@dataclass(frozen=True)
class Inside:
    """A job of the instance; `version` None takes the client that every job finds."""

    version: str | None
    api: Api

    @property
    def is_new(self) -> bool:
        return self.version != OLD

    def run(self, code: str, **args: Any) -> Ran:
        job = self.api.preview(with_client(code, self.version), args)
        assert job["success"], f"{job['result']}\n{job['logs']}"
        return Ran(job.get("result"), job["logs"], job["id"])

    def deploy(self, path: str, code: str) -> None:
        """Deploy a script that uses this client."""
        self.api.deploy(path, with_client(code, self.version))


def with_client(code: str, version: str | None) -> str:
    """A script that asks for the real client of a version, or for none."""
    header = "" if version is None else f"#requirements:\n#wmill=={version}\n"
    return header + textwrap.dedent(code)
