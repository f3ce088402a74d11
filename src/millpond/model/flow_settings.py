"""The settings a step of a flow may carry: transforms, retries, stops, waits (compat facts, flows 1.3 and 1.5).

Every struct refuses members it does not know, so that nothing is accepted and then ignored.
"""

import msgspec

from millpond.model.carried import null_json

RETRY_DELAY_CAP_SECS = 6 * 3600
SUSPEND_TIMEOUT_SECS = 1800
LONGEST_SECS = 10 * 365 * 24 * 3600
"""Ten years: no time a flow names may be longer."""


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parts of a flow's definition."""


class StaticTransform(Strict, frozen=True, tag_field="type", tag="static"):
    """A value used as it is; references in it are resolved when the job starts."""

    value: msgspec.Raw = msgspec.field(default_factory=null_json)


class JavascriptTransform(Strict, frozen=True, tag_field="type", tag="javascript"):
    """An expression, evaluated when the step is about to start."""

    expr: str = ""


class AiTransform(Strict, frozen=True, tag_field="type", tag="ai"):
    """An input that an agent fills in; elsewhere it contributes nothing."""


InputTransform = StaticTransform | JavascriptTransform | AiTransform
Number = InputTransform | int


class StopAfterIf(Strict, frozen=True):
    """When to end the flow, or break the loop, after a step."""

    expr: str
    skip_if_stopped: bool = False
    error_message: str | None = None
    error_include_result: bool = False


class SkipIf(Strict, frozen=True):
    """When to pass over a step."""

    expr: str


class Mock(Strict, frozen=True):
    """A value that stands for the step's result while editing."""

    enabled: bool = False
    return_value: msgspec.Raw = msgspec.field(default_factory=null_json)


class ConstantRetry(Strict, frozen=True):
    """Retries at equal distances."""

    attempts: int = 0
    seconds: int = 0


class ExponentialRetry(Strict, frozen=True):
    """Retries `multiplier * seconds ** n` apart."""

    attempts: int = 0
    multiplier: int = 1
    seconds: int = 0
    random_factor: int | None = None


class RetryIf(Strict, frozen=True):
    """Which failures are worth a retry."""

    expr: str


class Retry(Strict, frozen=True):
    """First the constant retries, then the exponential ones."""

    constant: ConstantRetry = ConstantRetry()
    exponential: ExponentialRetry = ExponentialRetry()
    retry_if: RetryIf | None = None


class ResumeForm(Strict, frozen=True):
    """The form approvers fill in."""

    schema: msgspec.Raw = msgspec.field(default_factory=null_json)


class Suspension(Strict, frozen=True):
    """The wait for approvals between this step and the next."""

    required_events: int | None = None
    timeout: int | None = None
    resume_form: ResumeForm | None = None
    user_auth_required: bool | None = None
    user_groups_required: InputTransform | None = None
    self_approval_disabled: bool | None = None
    hide_cancel: bool | None = None
    continue_on_disapprove_timeout: bool | None = None
    skin: str | None = None


class Debouncing(Strict, frozen=True):
    """Read so that it can be refused by name; see `flow_refusals`."""

    debounce_delay_s: int | None = None
    debounce_key: str | None = None
    debounce_args_to_accumulate: list[str] | None = None
    max_total_debouncing_time: int | None = None
    max_total_debounces_amount: int | None = None
