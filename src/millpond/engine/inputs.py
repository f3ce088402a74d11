"""What a step is given: which inputs are known at once, which are asked for, and what the answers mean."""

from collections.abc import Mapping
from math import inf

import msgspec

from millpond.engine.effects import Expression
from millpond.engine.events import Answer, Broken, Value
from millpond.model.flow_settings import (
    LONGEST_SECS,
    AiTransform,
    JavascriptTransform,
    Number,
    StaticTransform,
)

LONGEST_SHOWN = 100
"""Characters of a value that an error quotes."""

Settings = Mapping[str, Number | None]
NO_SETTINGS: Settings = {}


class Answers:
    """The values of a question's expressions together with what needed no asking."""

    def __init__(self, answers: Mapping[str, tuple[Answer, ...]], first: int = 0, count: int = 0) -> None:
        self._answers = answers
        self.first = first
        self.count = count

    def broken(self, position: int = 0) -> str | None:
        """Why one of the expressions came to nothing, if one did."""
        for answers in self._answers.values():
            answer = answers[position]
            if isinstance(answer, Broken):
                return answer.message
        return None

    def broken_at(self, key: str) -> str | None:
        """Why this expression came to nothing, if it did."""
        match self._answers.get(key):
            case (Broken(message), *_):
                return message
            case _:
                return None

    def value(self, key: str, position: int = 0) -> msgspec.Raw | None:
        """What an expression came to; None when it was not asked for, or is broken."""
        answers = self._answers.get(key)
        answer = answers[position] if answers else None
        return answer.json if isinstance(answer, Value) else None

    def is_true(self, key: str) -> bool:
        """Whether a condition came out true."""
        value = self.value(key)
        return value is not None and bytes(value) == b"true"

    def merged(self, settings: Settings, position: int = 0) -> dict[str, msgspec.Raw]:
        """All settings as values, those that contribute nothing left out."""
        merged: dict[str, msgspec.Raw] = {}
        for name, setting in settings.items():
            value = self.value(name, position) if isinstance(setting, JavascriptTransform) else known(setting)
            if value is not None:
                merged[name] = value
        return merged


def known(setting: Number | None) -> msgspec.Raw | None:
    """The value of a setting that is not an expression."""
    match setting:
        case StaticTransform(value=value):
            return value
        case None | JavascriptTransform() | AiTransform():
            return None
        case number:
            return msgspec.Raw(msgspec.json.encode(number))


def asked(settings: Settings) -> tuple[Expression, ...]:
    """The settings that are expressions."""
    return tuple(
        Expression(name, setting.expr)
        for name, setting in settings.items()
        if isinstance(setting, JavascriptTransform)
    )


class NotThat(Exception):
    """A value is not of the kind a setting takes; the text says what was expected and found."""


def seconds_from(value: msgspec.Raw | None) -> float | None:
    """A duration, None when there is none; raises `NotThat`, also for one too long to be stored."""
    seconds = _number_from(value)
    if seconds is not None and seconds > LONGEST_SECS:
        raise NotThat(f"Expected at most {LONGEST_SECS} seconds, found: {_shown(value)}")
    return seconds


def count_from(value: msgspec.Raw | None) -> int | None:
    """A count of at least one, None when there is none; raises `NotThat`."""
    number = _number_from(value)
    return None if number is None else max(1, int(number))


def _number_from(value: msgspec.Raw | None) -> float | None:
    if value is None or bytes(value) == b"null":
        return None
    number = msgspec.json.decode(value)
    if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number < inf:
        raise NotThat(f"Expected an integer, found: {_shown(value)}")
    return number


def _shown(value: msgspec.Raw | None) -> str:
    return bytes(value or b"null").decode()[:LONGEST_SHOWN]


def items_from(value: msgspec.Raw | None) -> tuple[msgspec.Raw, ...]:
    """What a loop goes over; raises `NotThat` with the text Windmill's users know."""
    found = bytes(value or b"null")
    if not found.lstrip().startswith(b"["):
        raise NotThat(
            "Expected an array value in the iterator expression, found: invalid type: "
            f"{_kind_of(found)}, expected a sequence at line 1 column 0"
        )
    return msgspec.json.decode(found, type=tuple[msgspec.Raw, ...])


def _kind_of(found: bytes) -> str:
    match msgspec.json.decode(found):
        case None:
            return "null"
        case bool() as truth:
            return f"boolean `{str(truth).lower()}`"
        case int() as number:
            return f"integer `{number}`"
        case float() as number:
            return f"floating point `{number}`"
        case str() as text:
            return f'string "{text}"'
        case _:
            return "map"
