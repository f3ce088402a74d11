"""References inside JSON text: `"$var:path"`, `"$jsonvar:path"` and `"$res:path"` as whole string values.

Everything works on the text, by splicing: what is no reference keeps its bytes, number format, key order and
spaces included. Keys are never references. What a reference stands for is fetched elsewhere and handed in as
`Sources`.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, cast

import msgspec

from millpond.base.errors import InvalidInput, NotFound

ReferenceKind = Literal["var", "jsonvar", "res", "encrypted"]

MAX_DEPTH = 50
MAX_REPLACEMENTS = 10_000
MAX_CHARACTERS = 16 * 1024**2

# The quick look: a string value that is a reference starts with '$', written as such or escaped.
_MAY_REFER = re.compile(r'"(?:\$|\\u0024)')
# Possessive, so that the time is linear in the text. A string followed by ':' is a key.
_TOKEN = re.compile(r'("(?:[^"\\]++|\\.)*+")(\s*+:)?+|([\[{])|([\]}])', re.DOTALL)
_REFERENCE = re.compile(r"\$(var|jsonvar|res|encrypted):(.*)", re.DOTALL)


class Reference(NamedTuple):
    """One reference:

    Where its string stands, how many objects and arrays are around it, and below which top-level key.
    """

    start: int
    end: int
    kind: ReferenceKind
    path: str
    depth: int
    argument: str


class ReferencedResource(NamedTuple):
    """What `$res:` stands for; an opaque value, a state, is content in which nothing is replaced."""

    value: str
    is_opaque: bool


class Sources(msgspec.Struct, frozen=True):
    """What the references stand for, by path; a path that is missing does not exist or is hidden."""

    variables: Mapping[str, str]
    resources: Mapping[str, ReferencedResource]


def find_references(text: str) -> list[Reference]:
    """The references of a valid JSON text, in order."""
    if not _MAY_REFER.search(text):
        return []
    found: list[Reference] = []
    depth, argument = 0, ""
    for token in _TOKEN.finditer(text):
        literal, colon, opening, _ = token.groups()
        if literal is None:
            depth += 1 if opening else -1
        elif colon is not None:
            if depth == 1:
                argument = literal
        elif literal.startswith(('"$', '"\\u0024')) and (match := _REFERENCE.fullmatch(json.loads(literal))):
            kind = cast("ReferenceKind", match[1])
            name = _as_text(json.loads(argument)) if argument else ""
            found.append(Reference(token.start(1), token.end(1), kind, _as_text(match[2]), depth, name))
    return found


def _as_text(decoded: str) -> str:
    # Half a surrogate pair is JSON but no text: it names nothing, and must not break the error that says so.
    return decoded.encode(errors="replace").decode()


def expand_resource(path: str, value: str, sources: Sources) -> str:
    """A resource's value with its references replaced.

    Raises NotFound for a missing target, InvalidInput for depth.
    """
    return _Expansion(sources, lambda holder, _: f", which resource {holder} refers to").expand(
        value, path, 0
    )


def expand_args(args: str, sources: Sources) -> str:
    """A job's arguments with their references replaced; errors name the argument.

    Raises NotFound, InvalidInput.
    """
    return _Expansion(sources, lambda _, argument: f" for `{argument}`").expand(args, "", 0)


def rename_variable_in(text: str, old_path: str, new_path: str) -> str:
    """The text with each reference to one variable replaced by a reference to its new path."""
    pieces = [
        (reference, json.dumps(f"${reference.kind}:{new_path}"))
        for reference in find_references(text)
        if reference.kind in ("var", "jsonvar") and reference.path == old_path
    ]
    return _splice(text, pieces)


class _Expansion:
    """One expansion of a text, with what it may cost:

    References fan out, so that depth alone bounds nothing.
    """

    def __init__(self, sources: Sources, place: Callable[[str, str], str]) -> None:
        self._sources = sources
        self._place = place
        self._replacements = 0
        self._characters = 0

    def expand(self, text: str, holder: str, depth: int, argument: str | None = None) -> str:
        """`depth` counts the objects, arrays and hops passed on the way here."""
        pieces = []
        for reference in find_references(text):
            if reference.kind == "encrypted":
                continue
            reached = depth + reference.depth
            if reached > MAX_DEPTH:
                raise InvalidInput(
                    f"Maximum resource/variable interpolation depth ({MAX_DEPTH}) exceeded at "
                    f"${reference.kind}:{reference.path}: do resources refer to each other in a circle?"
                )
            where = self._place(holder, reference.argument if argument is None else argument)
            replacement = self._replacement(reference, reached, where, argument)
            self._spend(replacement)
            pieces.append((reference, replacement))
        return _splice(text, pieces)

    def _replacement(self, reference: Reference, depth: int, where: str, argument: str | None) -> str:
        path = reference.path
        if reference.kind == "res":
            target = self._sources.resources.get(path)
            if target is None:
                raise NotFound(f"Resource {path} not found{where}")
            if target.is_opaque:
                return target.value
            return self.expand(
                target.value, path, depth + 1, reference.argument if argument is None else argument
            )
        value = self._sources.variables.get(path)
        if value is None:
            raise NotFound(f"Variable {path} not found{where}")
        if reference.kind == "var":
            return json.dumps(value, ensure_ascii=False)
        return _as_json(value, path, where)

    def _spend(self, replacement: str) -> None:
        self._replacements += 1
        self._characters += len(replacement)
        if self._replacements > MAX_REPLACEMENTS or self._characters > MAX_CHARACTERS:
            raise InvalidInput(
                f"The references grow too large: over {MAX_REPLACEMENTS} replacements "
                f"or {MAX_CHARACTERS} characters"
            )


def _as_json(value: str, path: str, where: str) -> str:
    try:
        msgspec.json.decode(value, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidInput(f"Variable {path} does not hold JSON, as $jsonvar: asks{where}") from None
    return value


def _splice(text: str, pieces: list[tuple[Reference, str]]) -> str:
    if not pieces:
        return text
    parts, position = [], 0
    for reference, replacement in pieces:
        parts += [text[position : reference.start], replacement]
        position = reference.end
    return "".join([*parts, text[position:]])
