"""Loads a script, calls its entrypoint and turns what comes back, or up, into the bytes of a result file."""

import importlib.machinery
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from types import AsyncGeneratorType, CoroutineType, GeneratorType, ModuleType

from millpond.runtimes.python import protocol
from millpond.runtimes.python.wrapper import arguments, failures, results

_STREAM_PREFIX = "WM_STREAM: "


class ResultTooLarge(Exception):
    """The result has more bytes than the instance accepts."""


def run(
    code: bytes,
    args: bytes,
    *,
    file: str,
    entrypoint: str,
    package: str,
    result_bytes: int,
    step_id: str | None,
) -> bytes:
    """Run the script to its end; returns the contents of the result file, whatever happened."""
    try:
        module = _load(code, file, package)
        returned = arguments.call_with(_entrypoint(module, entrypoint), _parse(args))
        encoded = _within(result_bytes, results.encode(_finished(returned)))
    except BaseException as error:  # noqa: BLE001 - also SystemExit: whatever ends a script is its outcome
        return protocol.FAILURE + failures.describe(error, own_file=file, step_id=step_id)
    return protocol.SUCCESS + encoded


def _entrypoint(module: ModuleType, name: str) -> Callable[..., object]:
    function: object = getattr(module, name, None)
    if not callable(function):
        raise ValueError(f"{name} function is missing")  # noqa: TRY004 - Windmill's error
    return function


def _within(limit: int, encoded: bytes) -> bytes:
    if len(encoded) > limit:
        raise ResultTooLarge(
            f"The result has {len(encoded)} bytes, the limit is {limit}. Return less, or store the data "
            "elsewhere and return where it is."
        )
    return encoded


def _parse(args: bytes) -> dict[str, object]:
    parsed = json.loads(args)
    if not isinstance(parsed, dict):
        raise TypeError(f"The arguments of a script are a JSON object, not {type(parsed).__name__}")
    return parsed


def _load(code: bytes, file: str, package: str) -> ModuleType:
    module = ModuleType("script")
    module.__file__ = file
    # The package is what relative imports start from: the folder the script has in its workspace.
    module.__package__ = package
    module.__spec__ = importlib.machinery.ModuleSpec(
        f"{package}.script" if package else "script", None, origin=file
    )
    # Dataclasses and pickling look a class's module up by name.
    sys.modules["script"] = module
    compiled = compile(code, file, "exec", dont_inherit=True)
    exec(compiled, vars(module))  # noqa: S102 - running the user's script is what this process is for
    return module


def _finished(returned: object) -> object:
    """Wait for a coroutine, stream a generator (whose result is then null); anything else is the result."""
    if isinstance(returned, CoroutineType):
        return _finished(_run_async(returned))
    if isinstance(returned, AsyncGeneratorType):
        return _run_async(_stream_async(returned))
    if isinstance(returned, GeneratorType):
        for chunk in returned:
            _emit(chunk)
        return None
    return returned


def _run_async(coroutine: Coroutine[object, object, object]) -> object:
    # Imported only now: in the zygote it would double the memory, and with it the cost of each fork.
    import asyncio  # noqa: PLC0415

    run_to_end: Callable[..., object] = asyncio.run
    return run_to_end(coroutine)


async def _stream_async(chunks: AsyncIterator[object]) -> None:
    async for chunk in chunks:
        _emit(chunk)


def _emit(chunk: object) -> None:
    text = chunk if isinstance(chunk, str) else results.encode(chunk).decode()
    escaped = text.replace("\n", "\\n")
    sys.stdout.write(f"{_STREAM_PREFIX}{escaped}\n")
    sys.stdout.flush()
