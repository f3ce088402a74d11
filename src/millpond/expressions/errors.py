"""How an expression fails: one error, whose text is shown to the flow's author."""

from millpond.base.errors import MillpondError


class ExpressionError(MillpondError):
    """An expression has no value: it is malformed, it threw, or it went over a limit."""


def evaluation_error(code: str, reason: str) -> ExpressionError:
    """The error of an expression that cannot be evaluated, in Windmill's words."""
    return ExpressionError(_storable(f"Error during isolated evaluation of expression `{code}`:\n{reason}"))


def time_limit_error(code: str, limit_ms: int) -> ExpressionError:
    """The error of an expression that was stopped, in Windmill's words."""
    return ExpressionError(
        _storable(f"The expression evaluation `{code}` took too long to execute (>{limit_ms}ms)")
    )


def _storable(text: str) -> str:
    """The text without what UTF-8 or the database cannot hold."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
