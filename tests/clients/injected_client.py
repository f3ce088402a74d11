"""The `wmill` package that is put into Python jobs, loaded for a test: shared fixtures and constants."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from recorded_server import RecordedServer

PACKAGES = Path(__file__).parents[2] / "clients" / "python"
PROCESS_ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "PYTHONPATH": str(PACKAGES),
    "PYTHONDONTWRITEBYTECODE": "1",
}
STATE = "f/team/hello/henri"
JOB = "01890000-0000-7000-8000-000000000001"
ROOT = "01890000-0000-7000-8000-0000000000aa"
CHILD = "01890000-0000-7000-8000-0000000000cc"
CREATE = "POST /api/w/demo/resources/create?update_if_exists=true"
READ = f"GET /api/w/demo/resources/get_value/{STATE}"
LAUNCH = "POST /api/w/demo/jobs/run/p/f/team/hello"


@pytest.fixture
def server() -> Iterator[RecordedServer]:
    with RecordedServer() as running:
        yield running


@pytest.fixture
def wmill(server: RecordedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A fresh copy of the package in a job's environment, named otherwise: `wmill` may be installed."""
    for name in [name for name in os.environ if name.startswith("WM_")]:
        monkeypatch.delenv(name)
    for name, value in job_environment(server).items():
        monkeypatch.setenv(name, value)
    package = load_package()
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "injected_wmill"]:
        del sys.modules[name]


def job_environment(server: RecordedServer) -> dict[str, str]:
    return {
        "BASE_INTERNAL_URL": server.url,
        "WM_TOKEN": "job-token",
        "WM_WORKSPACE": "demo",
        "WM_JOB_ID": JOB,
        "WM_STATE_PATH": STATE,
    }


def load_package() -> Any:
    folder = PACKAGES / "wmill"
    spec = importlib.util.spec_from_file_location(
        "injected_wmill", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["injected_wmill"] = module
    spec.loader.exec_module(module)
    return module


def run_job(server: RecordedServer, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own, with the client under its real name."""
    env = {**PROCESS_ENVIRONMENT, **job_environment(server), **environment}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
