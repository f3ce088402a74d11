"""When a failed step is tried again."""

from millpond.model.flow_settings import RETRY_DELAY_CAP_SECS, Retry


def retry_delay(retry: Retry | None, failures: int) -> float | None:
    """Seconds before the next try when `failures` tries failed before this one did; None when it was the last."""
    if retry is None:
        return None
    if failures < retry.constant.attempts:
        return float(min(retry.constant.seconds, RETRY_DELAY_CAP_SECS))
    exponential = retry.exponential
    if failures - retry.constant.attempts >= exponential.attempts:
        return None
    # The exponent counts all failures, the constant retries' too. Beyond 64 every base above 1 is over the cap.
    delay = exponential.multiplier * exponential.seconds ** min(failures + 1, 64)
    return float(min(delay, RETRY_DELAY_CAP_SECS))


def jitter_percent(retry: Retry | None, failures: int) -> int:
    """By how much the delay varies; constant retries do not."""
    if retry is None or failures < retry.constant.attempts:
        return 0
    return retry.exponential.random_factor or 0


def jittered(seconds: float, percent: int, chance: float) -> float:
    """The delay of a `Sleep`, varied; `chance` is drawn evenly from 0 to 1 by the caller."""
    return min(seconds * (1 + (2 * chance - 1) * percent / 100), float(RETRY_DELAY_CAP_SECS))
