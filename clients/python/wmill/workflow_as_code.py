"""The decorators of workflow-as-code, without its server side: everything runs in place, in the calling job.

Nothing is dispatched to child jobs and nothing is checkpointed, as when such a script is run outside of
Windmill. Results pass through JSON as they would between jobs, so that a script does not come to depend on
types that get lost there.
"""

# ruff: noqa: PLC0415  (imported when needed, see the package; parameters as in the original)
from __future__ import annotations

from .encoding import encode_json
from .unsupported import refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence
    from typing import Any, NoReturn


class TaskError(Exception):
    """A failed task or step; defined for `except` clauses, here tasks raise their own errors."""

    def __init__(
        self, message: str, *, step_key: str = "", child_job_id: str | None = None, result: Any = None
    ) -> None:
        super().__init__(message)
        self.step_key = step_key
        self.child_job_id = child_job_id
        self.result = result


def task(
    _func: Callable[..., Any] | None = None,
    *,
    path: str | None = None,
    tag: str | None = None,  # noqa: ARG001  (the options below belong to child jobs, which there are none of)
    timeout: int | None = None,  # noqa: ARG001
    cache_ttl: int | None = None,  # noqa: ARG001
    priority: int | None = None,  # noqa: ARG001
    concurrency_limit: int | None = None,  # noqa: ARG001
    concurrency_key: str | None = None,  # noqa: ARG001
    concurrency_time_window_s: int | None = None,  # noqa: ARG001
    retry: dict[str, Any] | None = None,  # noqa: ARG001
) -> Callable[..., Any]:
    """Mark a function as a task: calling it runs it in place, in a job (WM_JOB_ID set) as well as outside.

    The options, which describe the child job Windmill would start, are accepted and have no effect.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        import functools

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            return _round_trip_later(result) if hasattr(result, "__await__") else _round_trip(result)

        run._is_task = True  # type: ignore[attr-defined]
        run._task_path = path  # type: ignore[attr-defined]
        return run

    return decorate if _func is None else decorate(_func)


def workflow(func: Callable[..., Any]) -> Callable[..., Any]:
    """Mark an async function as a workflow. Awaiting it runs it in place."""
    func._is_workflow = True  # type: ignore[attr-defined]
    return func


async def step(name: str, fn: Callable[[], Any]) -> Any:  # noqa: ARG001
    """Run `fn` and return its result; it is not checkpointed."""
    result = fn()
    return _round_trip(await result if hasattr(result, "__await__") else result)


async def sleep(seconds: int) -> None:
    """Wait in this process; the worker is held meanwhile. A flow step can sleep without holding one."""
    import asyncio  # 25 ms, and only for scripts that are async anyway

    await asyncio.sleep(seconds)


async def parallel(
    items: Sequence[Any], fn: Callable[[Any], Awaitable[Any]], *, concurrency: int | None = None
) -> list[Any]:
    """The results of `fn(item)` for all items, in their order; `concurrency` at a time, by default all."""
    import asyncio

    size = concurrency if concurrency and concurrency > 0 else max(len(items), 1)
    results: list[Any] = []
    for start in range(0, len(items), size):
        results += await asyncio.gather(*(fn(item) for item in items[start : start + size]))
    return results


async def wait_for_approval(
    timeout: int = 1800,  # noqa: ARG001, ASYNC109
    form: dict[str, Any] | None = None,  # noqa: ARG001
    self_approval: bool = True,  # noqa: ARG001
    key: str | None = None,  # noqa: ARG001
    skin: str | None = None,  # noqa: ARG001
    description: str | dict[str, Any] | None = None,  # noqa: ARG001
) -> NoReturn:
    """Not part of Millpond outside flows: raises Unsupported."""
    raise refused(
        "wait_for_approval", "build a flow and set its step to suspend; get_resume_urls() gives the links"
    )


def _round_trip(value: Any) -> Any:
    import json

    return json.loads(encode_json(value))


async def _round_trip_later(pending: Coroutine[Any, Any, Any]) -> Any:
    return _round_trip(await pending)
