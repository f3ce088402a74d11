"""Starts an instance, loads the example workspace, runs the temperature watcher day by day, and stays up.

Uses the HTTP API as any client would. The state lives in the data folder: run it twice, and the second time goes on
where the first one ended.
"""

import argparse
import json
import os
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml

from weather_feed import WeatherFeed

HERE = Path(__file__).resolve().parent
RUNS = 5
START_TIMEOUT_SECS = 90


class Api:
    """The instance's HTTP API."""

    def __init__(self, token: str) -> None:
        self.address = ""
        self._token = token

    def call(self, method: str, path: str, body: object = None) -> str:
        """One call; the answer's text. Exits with the server's words when it refuses."""
        request = urllib.request.Request(
            f"{self.address}/api{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"authorization": f"Bearer {self._token}", "content-type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            raise SystemExit(f"{method} {path}: {error.code} {error.read().decode()}") from None


def main() -> None:
    """Run the demo until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", default="8000")
    parser.add_argument("--data-dir", default=".millpond")
    parser.add_argument("--runs", type=int, default=RUNS, help="how often the watcher runs")
    parser.add_argument("--once", action="store_true", help="stop after the runs instead of staying up")
    options = parser.parse_args()
    api = Api(secrets.token_urlsafe(32))
    serving = start(api, options.port, options.data_dir)
    try:
        load_workspace(api)
        watch(api, options.runs)
        if not options.once:
            stay_up(serving, api)
    except KeyboardInterrupt:
        pass
    finally:
        serving.terminate()
        serving.wait()


def start(api: Api, port: str, data_dir: str) -> subprocess.Popen[str]:
    """Start everything; returns when the server says that it is up, with its lines shown."""
    api_token = api._token
    serving = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "millpond",
            "serve",
            "--port",
            port,
            "--data-dir",
            data_dir,
            "--log-level",
            "warning",
        ],
        env={**os.environ, "MILLPOND_SUPERADMIN_SECRET": api_token},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert serving.stdout is not None
    deadline = time.monotonic() + START_TIMEOUT_SECS
    for line in serving.stdout:
        print(line, end="", flush=True)
        if line.startswith("Millpond is up at "):
            api.address = line.removeprefix("Millpond is up at ").strip()
            return serving
        if time.monotonic() > deadline:
            break
    serving.terminate()
    raise SystemExit("The instance did not start; it said why above")


def load_workspace(api: Api) -> None:
    """Deploy what lies in `examples/workspace`, the layout of the `wmill` CLI; what is there already stays as it is."""
    root = HERE / "workspace"
    for meta in sorted(root.glob("f/*/folder.meta.yaml")):
        if json.loads(api.call("GET", f"/w/main/folders/exists/{meta.parent.name}")) is False:
            api.call(
                "POST",
                "/w/main/folders/create",
                {"name": meta.parent.name, **yaml.safe_load(meta.read_text())},
            )
    for meta in sorted(root.rglob("*.script.yaml")):
        code = meta.with_name(meta.name.replace(".script.yaml", ".py"))
        path = str(code.relative_to(root).with_suffix(""))
        script = {
            "path": path,
            "content": code.read_text(),
            "language": "python3",
            **yaml.safe_load(meta.read_text()),
        }
        api.call("POST", "/w/main/scripts/create?skip_if_noop=true", {**script, "auto_parent": True})
        print(f"Deployed {path}", flush=True)


def watch(api: Api, runs: int) -> None:
    """Run the watcher; each run compares with what the one before kept in its state."""
    feed = WeatherFeed(first_day=days_seen(api))
    feed.start()
    for number in range(1, runs + 1):
        said = api.call(
            "POST", "/w/main/jobs/run_wait_result/p/f/weather/watch_temperature", {"feed": feed.address}
        )
        state = api.call("GET", "/w/main/resources/get_value/f/weather/watch_temperature/admin")
        print(f"run {number}: {json.loads(said)} (state: {state})", flush=True)


def days_seen(api: Api) -> int:
    """How many days earlier runs of the watcher have seen: the feed goes on from there."""
    query = "script_path_exact=f/weather/watch_temperature&job_kinds=script&success=true&per_page=1000"
    return len(json.loads(api.call("GET", f"/w/main/jobs/completed/list?{query}")))


def stay_up(serving: subprocess.Popen[str], api: Api) -> None:
    """Keep the instance running until Ctrl-C, its lines shown."""
    print(f"Millpond stays up at {api.address} until Ctrl-C.", flush=True)
    assert serving.stdout is not None
    for line in serving.stdout:
        print(line, end="", flush=True)


if __name__ == "__main__":
    main()
