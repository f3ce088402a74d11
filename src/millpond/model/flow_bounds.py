"""How large the numbers of a flow may be: what is beyond could not be stored."""

from collections.abc import Iterator, Mapping

from millpond.model.flow_modules import FlowModule, RawScript
from millpond.model.flow_settings import LONGEST_SECS, Retry, Suspension
from millpond.model.flows import FlowValue

MOST = 2**31 - 1
MOST_BYTES = 2**63 - 1
HIGHEST_PRIORITY = 100
PERCENT = 100

Bounded = Mapping[str, tuple[int | None, int]]
"""Numbers by name, each with the largest it may be."""


def beyond_bounds_of_flow(flow: FlowValue) -> Iterator[str]:
    """What is wrong with the numbers of the flow itself."""
    yield from _beyond(
        {
            "priority": (flow.priority, HIGHEST_PRIORITY),
            "cache_ttl": (flow.cache_ttl, LONGEST_SECS),
            "delete_after_secs": (flow.delete_after_secs, LONGEST_SECS),
            "concurrent_limit": (flow.concurrent_limit, MOST),
            "concurrency_time_window_s": (flow.concurrency_time_window_s, LONGEST_SECS),
        }
    )
    if flow.shared_directory is not None:
        yield from _beyond(
            {
                "shared_directory.retain_secs": (flow.shared_directory.retain_secs, LONGEST_SECS),
                "shared_directory.quota_bytes": (flow.shared_directory.quota_bytes, MOST_BYTES),
            }
        )


def beyond_bounds_of_module(module: FlowModule) -> Iterator[str]:
    """What is wrong with the numbers of a step."""
    yield from _beyond(
        {
            "priority": (module.priority, HIGHEST_PRIORITY),
            "cache_ttl": (module.cache_ttl, LONGEST_SECS),
            "delete_after_secs": (module.delete_after_secs, LONGEST_SECS),
        }
    )
    if isinstance(module.value, RawScript):
        yield from _beyond(
            {
                "value.concurrent_limit": (module.value.concurrent_limit, MOST),
                "value.concurrency_time_window_s": (module.value.concurrency_time_window_s, LONGEST_SECS),
            }
        )
    if module.suspend is not None:
        yield from _beyond(_of_suspension(module.suspend))
    if module.retry is not None:
        yield from _beyond(_of_retry(module.retry))


def _of_suspension(suspension: Suspension) -> Bounded:
    return {
        "suspend.required_events": (suspension.required_events, MOST),
        "suspend.timeout": (suspension.timeout, LONGEST_SECS),
    }


def _of_retry(retry: Retry) -> Bounded:
    constant, exponential = retry.constant, retry.exponential
    return {
        "retry.constant.attempts": (constant.attempts, MOST),
        "retry.constant.seconds": (constant.seconds, LONGEST_SECS),
        "retry.exponential.attempts": (exponential.attempts, MOST),
        "retry.exponential.multiplier": (exponential.multiplier, MOST),
        "retry.exponential.seconds": (exponential.seconds, LONGEST_SECS),
        "retry.exponential.random_factor": (exponential.random_factor, PERCENT),
    }


def _beyond(numbers: Bounded) -> Iterator[str]:
    for name, (value, most) in numbers.items():
        if value is not None and not 0 <= value <= most:
            yield f"`{name}` must be between 0 and {most}, not {value}"
