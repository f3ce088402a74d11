"""What a Python script gets, and what comes back: arguments, results, errors, output."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from .runtime_harness import Harness, runtime_in


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def harness(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Harness]:
    async with runtime_in(tmp_path_factory.mktemp("python")) as started:
        yield started


async def test_a_result_keeps_the_order_of_its_keys(harness: Harness) -> None:
    outcome = await harness.run("def main(): return [{'b': 'first', 'a': 'second'}]")
    assert outcome.result == b'[{"b":"first","a":"second"}]'
    assert outcome.memory_peak_bytes is not None
    assert outcome.memory_peak_bytes > 1024**2


async def test_only_declared_parameters_are_passed_and_defaults_hold(harness: Harness) -> None:
    code = "def main(a, b=2, *, c=3): return [a, b, c]"
    assert await harness.value(code, {"c": 5, "unknown": 1, "a": 1}) == [1, 2, 5]
    assert await harness.value(code, {"a": 1, "b": "<function call>"}) == [1, 2, 3]
    assert await harness.value("def main(a, /, **rest): return [a, rest]", {"a": 1, "z": 2}) == [1, {"z": 2}]


async def test_a_missing_argument_is_the_type_error_of_python(harness: Harness) -> None:
    error = await harness.error("def main(a, b): pass", {"a": 1})
    assert error["name"] == "TypeError"
    assert error["message"] == "main() missing 1 required positional argument: 'b'"


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
async def test_dates_and_bytes_are_converted_by_annotation(harness: Harness, future: str) -> None:
    code = future + (
        "from datetime import datetime, date\n"
        "from typing import Optional\n"
        "def main(a: datetime, b: bytes, c: date | None, d: Optional[bytes], e: str,\n"
        "         f: datetime | None = None):\n"
        "    return isinstance(a, datetime), b, type(c).__name__, d.decode(), e, f\n"
    )
    args = {"a": "2024-01-02T03:04:05Z", "b": "aGk=", "c": "2024-01-02", "d": "eW8=", "e": "2024-01-02"}
    assert await harness.value(code, args) == [True, "aGk=", "date", "yo", "2024-01-02", None]


async def test_an_argument_that_is_no_date_is_named(harness: Harness) -> None:
    error = await harness.error("import datetime\ndef main(a: datetime.datetime): pass", {"a": "soon"})
    assert error["name"] == "ValueError"
    assert "argument 'a'" in str(error["message"])


async def test_every_kind_of_result_becomes_json(harness: Harness) -> None:
    code = """
        import dataclasses, datetime, decimal, enum, pathlib, uuid
        @dataclasses.dataclass
        class Point:
            x: int
            y: object
        class Color(enum.Enum):
            RED = "red"
        def main():
            return {
                "when": datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc),
                "blob": b"hi", "set": {1}, "tuple": (1, (2,)), "decimal": decimal.Decimal("1.10"),
                "uuid": uuid.UUID(int=1), "path": pathlib.Path("/a"),
                "point": Point(1, {2}), "enum": Color.RED,
                "nan": float("nan"), "infinities": [float("inf"), -float("inf")], 1: "int", None: "none",
                (1, 2): "tuple", "keys": {"a": 1}.keys(), "surrogate": "\\ud800",
            }
    """
    assert await harness.value(code) == {
        "when": "2024-01-02T00:00:00+00:00",
        "blob": "aGk=",
        "set": [1],
        "tuple": [1, [2]],
        "decimal": "1.10",
        "uuid": "00000000-0000-0000-0000-000000000001",
        "path": "/a",
        "point": {"x": 1, "y": [2]},
        "enum": "red",
        "nan": None,
        "infinities": [None, None],
        "1": "int",
        "null": "none",
        "(1, 2)": "tuple",
        "keys": ["a"],
        "surrogate": "?",
    }


async def test_a_result_without_json_form_names_its_type(harness: Harness) -> None:
    error = await harness.error("class Thing: pass\ndef main(): return {'a': [Thing()]}")
    assert error["name"] == "TypeError"
    assert error["message"] == "Object of type Thing is not JSON serializable"


async def test_a_result_that_contains_itself_is_refused(harness: Harness) -> None:
    error = await harness.error("def main():\n    a = []\n    a.append(a)\n    return a")
    assert "circular" in str(error["message"]).lower()


async def test_a_result_over_the_limit_fails_by_name(harness: Harness) -> None:
    error = await harness.error("def main(): return 'x' * 5000", result_bytes=1000)
    assert error["name"] == "ResultTooLarge"
    assert "5002 bytes" in str(error["message"])


async def test_what_an_async_main_awaits_is_the_result(harness: Harness) -> None:
    code = "import asyncio\nasync def main(n):\n    await asyncio.sleep(0)\n    return n"
    assert await harness.value(code, {"n": 7}) == 7


@pytest.mark.parametrize("prefix", ["", "async "])
async def test_a_generator_is_streamed_and_its_result_is_null(harness: Harness, prefix: str) -> None:
    assert await harness.value(f"{prefix}def main():\n    yield 'a\\nb'\n    yield {{'n': 1}}") is None
    assert harness.printed.text == 'WM_STREAM: a\\nb\nWM_STREAM: {"n":1}\n'


async def test_another_entrypoint_is_called(harness: Harness) -> None:
    code = "def preprocessor(event): return {'n': event['k']}\ndef main(n): return n"
    assert await harness.value(code, {"event": {"k": 3}}, entrypoint="preprocessor") == {"n": 3}


async def test_an_exception_is_described_from_the_script_on(harness: Harness) -> None:
    code = """
        class Refused(Exception):
            def __init__(self, message, code):
                super().__init__(message)
                self.code = code
        def helper():
            raise Refused("no", 42)
        def main():
            helper()
    """
    error = await harness.error(code, env={"WM_FLOW_STEP_ID": "b"})
    stack = str(error.pop("stack"))
    assert error == {"message": "no", "name": "Refused", "extra": {"code": 42}, "step_id": "b"}
    assert stack.startswith('  File "script.py", line 9, in main\n    helper()')
    assert 'File "script.py", line 7, in helper' in stack
    assert str(harness.root) not in stack
    assert "millpond" not in stack


@pytest.mark.parametrize(
    ("code", "name", "message"),
    [
        ("def main():\n    return 1 +", "SyntaxError", "line 2"),
        ("x = 1", "ValueError", "main function is missing"),
        ("import sys\ndef main(): sys.exit(3)", "SystemExit", "3"),
        ("import nothing_of_that_name\ndef main(): pass", "ModuleNotFoundError", "nothing_of_that_name"),
        ("def main(): raise KeyboardInterrupt", "KeyboardInterrupt", ""),
        ("def main():\n    main()", "RecursionError", "maximum recursion depth"),
        ("import os\ndef main(): os._exit(3)", "ExecutionErr", "exit code 3 without a result"),
        ("import os\ndef main(): os._exit(0)", "ExecutionErr", "exit code 0 without a result"),
        ("import ctypes\ndef main(): ctypes.string_at(0)", "ExecutionErr", "killed by signal SIGSEGV"),
        ("import os\ndef main(): os.kill(os.getpid(), 9)", "ExecutionErr", "out of memory"),
        ("import os\ndef main(): os.abort()", "ExecutionErr", "killed by signal SIGABRT"),
    ],
)
async def test_each_way_to_fail_is_an_outcome(harness: Harness, code: str, name: str, message: str) -> None:
    error = await harness.error(code)
    assert error["name"] == name
    assert message in str(error["message"])
    assert harness.leftovers() == []


async def test_a_syntax_error_shows_the_line(harness: Harness) -> None:
    error = await harness.error("def main():\n    return 1 +")
    assert "return 1 +" in str(error["stack"])
    assert str(error["stack"]).lstrip().startswith('File "script.py", line 2')


async def test_deeply_nested_arguments_and_results_do_no_harm(harness: Harness) -> None:
    def nested(depth: int) -> bytes:
        return b'{"a":' + b"[" * depth + b"]" * depth + b"}"

    assert (await harness.run("def main(a): return a", raw_args=nested(500))).success
    outcome = await harness.run("def main(a): return a", raw_args=nested(200_000))
    assert json.loads(outcome.result)["error"]["name"] == "RecursionError"


async def test_output_and_errors_arrive_merged_and_in_order(harness: Harness) -> None:
    code = """
        import os, subprocess, sys
        def main():
            print("one")
            print("two", file=sys.stderr)
            subprocess.run(["/bin/echo", "three"])
            print("four", end="")
    """
    await harness.run(code)
    assert harness.printed.text == "one\ntwo\nthree\nfour"


async def test_much_output_passes_in_small_chunks(harness: Harness) -> None:
    code = "def main():\n    line = 'x' * 999\n    for _ in range(100_000): print(line)"
    await harness.value(code, timeout_seconds=60)
    assert harness.printed.total_bytes == 100_000_000
    assert harness.printed.largest_chunk <= 65536


async def test_a_preview_resolves_its_dependencies_first(harness: Harness) -> None:
    assert await harness.value("def main(): return 1", lock=None) == 1
    assert harness.printed.text == "resolving\n"


async def test_packages_of_the_environment_win_over_the_injected_client(harness: Harness) -> None:
    code = "import wmill\ndef main(): return wmill.ORIGIN"
    assert await harness.value(code) == "injected"
    environment = harness.environments.root / "pinned"
    environment.mkdir(parents=True)
    (environment / "wmill").mkdir()
    (environment / "wmill" / "__init__.py").write_text("ORIGIN = 'pinned'\n")
    assert await harness.value(code, lock="pinned") == "pinned"
    assert await harness.value(code) == "injected"


async def test_the_environment_is_the_job_s_alone(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLPOND_SECRET", "do-not-leak")
    seen = await harness.value("import os\ndef main(): return dict(os.environ)", env={"MINE": "yes"})
    assert isinstance(seen, dict)
    assert seen["MINE"] == "yes"
    assert set(seen) == {"MINE", "HOME", "PATH", "TMPDIR"}


async def test_nothing_passes_from_one_run_to_the_next(harness: Harness) -> None:
    code = (
        "import json\ndef main():\n    old = getattr(json, 'left', None)\n    json.left = 1\n    return old"
    )
    assert await harness.value(code) is None
    assert await harness.value(code) is None


async def test_a_job_has_no_modules_of_ours_and_few_descriptors(harness: Harness) -> None:
    code = """
        import os, sys
        def main():
            ours = [name for name in sys.modules if name.startswith("millpond")]
            return ours, sorted(int(name) for name in os.listdir("/proc/self/fd"))
    """
    seen = await harness.value(code)
    assert isinstance(seen, list)
    assert seen[0] == []
    assert len(seen[1]) <= 5  # the three standard ones, the result, the listing


async def test_a_forked_child_that_returns_does_not_disturb_the_result(harness: Harness) -> None:
    code = "import os\ndef main():\n    if os.fork(): os.wait(); return 'parent'\n    return 'child'"
    assert await harness.value(code) == "parent"


async def test_exit_handlers_and_threads_finish(harness: Harness) -> None:
    code = """
        import atexit, threading
        def main():
            atexit.register(print, "at exit")
            started = threading.Event()
            def work():
                started.wait()
                print("thread done")
            threading.Thread(target=work).start()
            threading.Timer(0.05, started.set).start()
            return 1
    """
    assert await harness.value(code) == 1
    assert harness.printed.text == "thread done\nat exit\n"


async def test_multiprocessing_works(harness: Harness) -> None:
    code = """
        import multiprocessing
        def double(n): return 2 * n
        def main():
            with multiprocessing.get_context("fork").Pool(2) as pool:
                return pool.map(double, [1, 2, 3])
    """
    assert await harness.value(code) == [2, 4, 6]


async def test_steps_share_a_directory_that_outlives_them(harness: Harness, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    write = """
        import os
        def main(n):
            os.makedirs("shared/d", exist_ok=True)
            with open("shared/d/f", "a") as file:
                file.write(n)
            os.chmod("shared/d/f", 0o600)
    """
    await harness.value(write, {"n": "a"}, shared_dir=shared)
    await harness.value("def main(): return 1")
    await harness.value(write, {"n": "b"}, shared_dir=shared)
    assert (shared / "d" / "f").read_text() == "ab"
    assert (await harness.error("def main(): open('shared/d/f')"))["name"] == "FileNotFoundError"
