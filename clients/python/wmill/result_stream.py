"""Sending parts of a result while the job runs: lines on stdout which the worker takes out of the log."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def append_to_result_stream(text: str) -> None:
    """Show `text` to whoever follows the job, at once."""
    # One write and a flush: the line must not mix with another thread's, nor wait for the pipe's buffer to
    # fill.
    sys.stdout.write("WM_STREAM: {}\n".format(text.replace("\n", "\\n")))
    sys.stdout.flush()


def stream_result(stream: Iterable[str]) -> None:
    """Show each text of `stream` as it comes."""
    for text in stream:
        append_to_result_stream(text)
