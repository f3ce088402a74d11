"""What a script's comments ask for: requirement blocks, PEP 723 metadata and the Python version.

Only real comments count, found by the tokenizer, so text inside strings is never taken for a header; the
tokenizer also reads on where the grammar is broken. Imports are not read here.
"""

import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import msgspec

from millpond.base.errors import InvalidInput
from millpond.runtimes.python.dependencies.specifiers import check_python, requirement_name


class Comment(NamedTuple):
    """One comment, without its `#`; `alone` when it starts its line."""

    line: int
    text: str
    alone: bool


class Headers(msgspec.Struct, frozen=True, kw_only=True):
    """The requirements written in comments; `listed` is None when no header replaces the inferred imports."""

    listed: tuple[str, ...] | None = None
    extra: tuple[str, ...] = ()
    python: str | None = None


_LIST = re.compile(r"\s?(?P<extra>extra_)?requirements:(?P<rest>.*)")
_PYTHON = re.compile(r"\s?py(?:\s*:\s*(?P<constraint>\S.*)|(?P<major>3)(?P<minor>\d{1,2})\s*)")
# A line that is another directive ends a requirement block.
_DIRECTIVE = re.compile(
    r"\s?(?:(?:extra_)?requirements:|py\s*:|py3\d{1,2}\s*$|millpond:|py_select|workspace-dep| /// )"
)


class _Block(NamedTuple):
    extra: bool
    requirements: tuple[str, ...]


def comments_of(code: str) -> list[Comment]:
    """All comments of `code` up to the first place where it cannot be split into tokens."""
    return [
        Comment(token.start[0], token.string[1:], token.start[1] == 0)
        for token in _tokens(code)
        if token.type == tokenize.COMMENT
    ]


def _tokens(code: str) -> Iterator[tokenize.TokenInfo]:
    with suppress(tokenize.TokenError, SyntaxError, ValueError, RecursionError):
        yield from tokenize.generate_tokens(io.StringIO(code).readline)


def read_headers(comments: list[Comment]) -> Headers:
    """The headers among `comments`. Raises `InvalidInput`, naming the line, for a malformed one."""
    alone = [comment for comment in comments if comment.alone]
    blocks = [_requirement_block(alone, index, match) for index, match in _matches(alone, _LIST)]
    metadata = _script_metadata(alone)
    lists = [block.requirements for block in blocks if not block.extra]
    constraints = [_python_constraint(alone[index].line, match) for index, match in _matches(alone, _PYTHON)]
    if metadata is not None:
        lists.append(metadata.requirements)
        constraints += [metadata.python] if metadata.python else []
    return Headers(
        listed=tuple(item for items in lists for item in items) if lists else None,
        extra=tuple(item for block in blocks if block.extra for item in block.requirements),
        python=",".join(constraints) or None,
    )


def _matches(comments: list[Comment], pattern: re.Pattern[str]) -> Iterator[tuple[int, re.Match[str]]]:
    for index, comment in enumerate(comments):
        if match := pattern.fullmatch(comment.text):
            yield index, match


def _requirement_block(comments: list[Comment], index: int, match: re.Match[str]) -> _Block:
    """The comment lines directly below a header, to the first that is empty, missing or another directive."""
    if named := match["rest"].strip():
        raise InvalidInput(
            f"line {comments[index].line}: '{named[:100]}' names a file of dependencies, which is"
            " not supported: list the packages on the comment lines below"
        )
    found: list[str] = []
    for expected, comment in enumerate(comments[index + 1 :], comments[index].line + 1):
        requirement = without_remark(comment.text)
        if comment.line != expected or not requirement or _DIRECTIVE.match(comment.text):
            break
        found.append(check_at(comment.line, requirement))
    return _Block(match["extra"] is not None, tuple(found))


def without_remark(text: str) -> str:
    """A requirement without the remark after ` #`; the `#` of an address has no space before it."""
    return " ".join(re.split(r"(?:^|\s)#", text, maxsplit=1)[0].split())


def check_at(line: int, requirement: str) -> str:
    """`requirement` itself, when it is one; else `InvalidInput` naming the line."""
    try:
        requirement_name(requirement)
    except InvalidInput as error:
        raise InvalidInput(f"line {line}: {error.message}") from None
    return requirement


def _python_constraint(line: int, match: re.Match[str]) -> str:
    if match["constraint"] is None:
        return f"{match['major']}.{match['minor']}"
    return _check_python_at(line, without_remark(match["constraint"]))


def _check_python_at(line: int, constraint: str) -> str:
    try:
        check_python(constraint)
    except InvalidInput as error:
        raise InvalidInput(f"line {line}: {error.message}") from None
    return constraint


class _Metadata(NamedTuple):
    requirements: tuple[str, ...]
    python: str | None


def _script_metadata(comments: list[Comment]) -> _Metadata | None:
    """The `# /// script` block (PEP 723), of which a script may have one."""
    starts = [index for index, comment in enumerate(comments) if comment.text == " /// script"]
    if not starts:
        return None
    if len(starts) > 1:
        raise InvalidInput(
            f"line {comments[starts[1]].line}: a script has one '# /// script' block, this is the second"
        )
    first = comments[starts[0]].line
    lines: list[str] = []
    for expected, comment in enumerate(comments[starts[0] + 1 :], first + 1):
        if comment.line == expected and comment.text == " ///":
            return _parse_metadata(first, "".join(f"{line}\n" for line in lines))
        if comment.line != expected or not (comment.text == "" or comment.text.startswith(" ")):
            break
        lines.append(comment.text[1:])
    raise InvalidInput(f"line {first}: the '# /// script' block has no closing '# ///' line")


class _Document(msgspec.Struct, rename="kebab"):
    dependencies: list[str] = []
    requires_python: str | None = None


def _parse_metadata(first: int, text: str) -> _Metadata:
    try:
        document = msgspec.convert(tomllib.loads(text), _Document)
    except tomllib.TOMLDecodeError as error:
        # Before 3.14 the position is only in the message.
        inner = re.search(r"at line (\d+)", str(error))
        line = first + int(inner[1]) if inner else first
        raise InvalidInput(f"line {line}: the '# /// script' block is not TOML: {error}") from None
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidInput(f"line {first}: the '# /// script' block is not understood: {error}") from None
    python = document.requires_python
    return _Metadata(
        tuple(check_at(first, requirement.strip()) for requirement in document.dependencies),
        _check_python_at(first, python) if python is not None else None,
    )
