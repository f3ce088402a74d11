"""One expression evaluated for many items in child processes: chunks, second tries, and what answers mean."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from millpond.expressions import wire
from millpond.expressions.child_process import Answer, ChildLostError, Limits, TookTooLongError
from millpond.expressions.errors import ExpressionError, evaluation_error, time_limit_error
from millpond.expressions.pool import Pool

CHUNK_ITEMS = 256
"""Items in one message. Small enough that a batch does not keep other expressions waiting."""

PATIENCE = 6
"""How often a batch may run into the time limit or lose its child; then what is left of it is given up."""

_TEXT_LINE = re.compile(r"<input>:(\d+):")
_LOST = "the process that evaluated it ended, twice"

Outcome = bytes | ExpressionError


class Program(msgspec.Struct, frozen=True):
    """An expression ready to be sent, with the bindings that all items share."""

    code: str
    javascript: str
    looks_up: bool
    shared: dict[str, bytes]


class Batch:
    """The evaluation of one program for its items."""

    def __init__(
        self, pool: Pool, limits: Limits, program: Program, asked: Callable[[str, str], Awaitable[bytes]]
    ) -> None:
        self._pool = pool
        self._limits = limits
        self._program = program
        self._asked = asked
        self._patience = PATIENCE
        self._last_failure: ExpressionError | None = None

    async def outcomes(self, items: Sequence[dict[str, bytes]]) -> list[Outcome]:
        """The outcome of each item, whose own bindings are given."""
        chunks = [items[at : at + CHUNK_ITEMS] for at in range(0, len(items), CHUNK_ITEMS)]
        if len(chunks) == 1:
            return await self._chunk(chunks[0])
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._chunk(chunk), name=f"evaluate-chunk-{number}")
                for number, chunk in enumerate(chunks)
            ]
        return [outcome for task in tasks for outcome in task.result()]

    async def _chunk(self, items: Sequence[dict[str, bytes]]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        one_by_one = False
        while len(outcomes) < len(items):
            if self._patience <= 0 and self._last_failure is not None:
                return outcomes + [self._last_failure] * (len(items) - len(outcomes))
            count = 1 if one_by_one else len(items) - len(outcomes)
            answers, failure = await self._tried(items[len(outcomes) : len(outcomes) + count])
            outcomes += [self._outcome(answer) for answer in answers]
            if failure is None:
                continue
            self._patience -= 1
            self._last_failure = failure
            if count == 1:
                outcomes.append(failure)
            # Which item of many it was is not known: some answers may have been on their way.
            one_by_one = count > 1
        return outcomes

    async def _tried(self, items: Sequence[dict[str, bytes]]) -> tuple[list[Answer], ExpressionError | None]:
        """The answers that came, and why no more did. A single item whose child is lost is tried twice."""
        answers: list[Answer] = []
        # Children may have died while they were idle, all of them; one that has just begun has not.
        for fresh in (False, True):
            try:
                async with self._pool.lend(fresh=fresh) as child:
                    await child.evaluate(self._request(items), len(items), self._asked, answers)
            except TookTooLongError:
                return answers, time_limit_error(self._program.code, round(self._limits.seconds * 1000))
            except ChildLostError:
                if len(items) > 1:
                    break
            else:
                return answers, None
        return answers, evaluation_error(self._program.code, _LOST)

    def _request(self, items: Sequence[dict[str, bytes]]) -> bytes:
        return wire.frame(
            wire.RUN,
            self._program.javascript.encode(),
            b"1" if self._program.looks_up else b"0",
            _bindings(self._program.shared),
            *(_bindings(item) for item in items),
        )

    def _outcome(self, answer: Answer) -> Outcome:
        if answer.kind != wire.VALUE:
            return evaluation_error(self._program.code, self._reason(answer))
        try:
            # A child that user code has taken over may send anything.
            msgspec.json.decode(answer.content.decode(), type=msgspec.Raw)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return evaluation_error(self._program.code, "its value holds text that is no Unicode")
        return answer.content

    def _reason(self, answer: Answer) -> str:
        text = answer.content.decode("utf-8", "replace")
        if answer.kind == wire.THROWN:
            text = _message(text)
        first, _, rest = text.partition("\n    at ")
        first = first.strip().removesuffix("\nundefined")
        # An engine that cannot even describe its error gives null.
        if first in {"null", ""} or "out of memory" in first:
            return out_of_memory(self._limits)
        line = _TEXT_LINE.search(rest)
        if line and first.startswith("SyntaxError") and "\n" in self._program.code:
            return f"{first} (line {int(line[1]) - 1})"
        return first


def out_of_memory(limits: Limits) -> str:
    """What is said of an expression that needs more than an engine may have."""
    return f"out of memory: an expression with the values it reads may use {limits.memory_bytes >> 20} MiB"


def _message(text: str) -> str:
    try:
        decoded = json.loads(text)
    except ValueError:
        return text
    return decoded if isinstance(decoded, str) else text


def _bindings(bindings: dict[str, bytes]) -> bytes:
    return wire.pack(part for name, value in bindings.items() for part in (name.encode(), value))
