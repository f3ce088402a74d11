"""Evaluating expressions: plain lookups in place, everything else in a child process.

Whatever an expression does, it ends in a value or in an `ExpressionError`; `Unavailable` means that it was not
evaluated and may be tried again.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from millpond.expressions.batch import Batch, Outcome, Program, out_of_memory
from millpond.expressions.bindings import bindings_of, start_of
from millpond.expressions.child_process import Limits
from millpond.expressions.errors import ExpressionError, evaluation_error
from millpond.expressions.javascript import program_of
from millpond.expressions.lookups import LOOKUP_KINDS, Lookup, Remembered, is_lookup
from millpond.expressions.plain import (
    Literal,
    NeedsJavaScriptError,
    NoSuchMemberError,
    Path,
    Plain,
    is_truthy,
    read_plain,
    value_at,
)
from millpond.expressions.pool import Pool
from millpond.expressions.references import names_used
from millpond.expressions.wrapping import function_of, settles

MEMORY_LIMIT_BYTES = 32 * 1024 * 1024
TIME_LIMIT = timedelta(seconds=20)
CHILDREN = 2


class Evaluator:
    """Evaluates expressions, many at once; owns the child processes that do."""

    def __init__(self, *, time_limit: timedelta = TIME_LIMIT, children: int = CHILDREN) -> None:
        self._limits = Limits(MEMORY_LIMIT_BYTES, time_limit.total_seconds())
        self._pool = Pool(children, self._limits)

    async def start(self) -> None:
        """Start the child processes ahead of the first expression; without it, that one waits for them."""
        await self._pool.start()

    async def aclose(self) -> None:
        """End the child processes; evaluations under way raise `Unavailable`."""
        await self._pool.aclose()

    async def evaluate(
        self, code: str, *, boolean: bool, names: Mapping[str, bytes], lookup: Lookup
    ) -> bytes:
        """The JSON of the expression's value; raises `ExpressionError`.

        `names` are the variables, as JSON; a name with a dot is a member: `flow_input.iter` is set in `flow_input`.
        With `boolean` the value is `true` or `false`.
        """
        (outcome,) = await self.evaluate_many(code, boolean=boolean, names=names, varying=[{}], lookup=lookup)
        if isinstance(outcome, ExpressionError):
            raise outcome
        return outcome

    async def evaluate_many(
        self,
        code: str,
        *,
        boolean: bool,
        names: Mapping[str, bytes],
        varying: Sequence[Mapping[str, bytes]],
        lookup: Lookup,
    ) -> list[Outcome]:
        """The value or the error of each item, whose own variables `varying` has.

        Every item has engine and time limit to itself. What is looked up is looked up once. When several items hang,
        those that are still to come fail with the same error.
        """
        if not varying:
            return []
        if "\0" in code or not _is_unicode(code):
            return [evaluation_error(code, "SyntaxError: it holds characters that are no text")] * len(
                varying
            )
        remembered = Remembered(lookup)
        plain = read_plain(code)
        if plain is not None and _is_bound(plain, {**names, **varying[0]}):
            try:
                return await _plain_outcomes(code, plain, names, varying, remembered, boolean=boolean)
            except NeedsJavaScriptError:
                pass
        return await self._evaluated(code, names, varying, remembered, boolean=boolean)

    async def _evaluated(
        self,
        code: str,
        names: Mapping[str, bytes],
        varying: Sequence[Mapping[str, bytes]],
        remembered: Remembered,
        *,
        boolean: bool,
    ) -> list[Outcome]:
        shared, items = bindings_of(code, names), [bindings_of(code, own) for own in varying]
        largest = sum(map(len, shared.values())) + max(sum(map(len, item.values())) for item in items)
        if largest > self._limits.memory_bytes:
            return [evaluation_error(code, out_of_memory(self._limits))] * len(varying)
        program = Program(
            code=code,
            javascript=program_of(function_of(code, boolean=boolean), settles=settles(code)),
            looks_up=not LOOKUP_KINDS.isdisjoint(names_used(code)),
            shared=shared,
        )
        asked = remembered.for_engine(self._limits.memory_bytes)
        return await Batch(self._pool, self._limits, program, asked).outcomes(items)


async def _plain_outcomes(
    code: str,
    plain: Plain,
    names: Mapping[str, bytes],
    varying: Sequence[Mapping[str, bytes]],
    remembered: Remembered,
    *,
    boolean: bool,
) -> list[Outcome]:
    if isinstance(plain, Literal) or not any(_decides(name, plain) for own in varying for name in own):
        return [await _plain_outcome(code, plain, names, remembered, boolean=boolean)] * len(varying)
    own_names = {name: value for name, value in names.items() if _is_of(name, plain.root)}
    return [
        await _plain_outcome(code, plain, {**own_names, **own}, remembered, boolean=boolean)
        for own in varying
    ]


async def _plain_outcome(
    code: str, plain: Plain, names: Mapping[str, bytes], remembered: Remembered, *, boolean: bool
) -> Outcome:
    try:
        value = plain.value if isinstance(plain, Literal) else await _found(plain, names, remembered)
    except NoSuchMemberError as error:
        return evaluation_error(code, str(error))
    if boolean:
        return b"true" if is_truthy(value) else b"false"
    return value


async def _found(path: Path, names: Mapping[str, bytes], remembered: Remembered) -> bytes:
    start = start_of(path, names)
    if start is not None:
        value, rest = start
        return value_at(value, rest.steps)
    assert is_lookup(path.root)
    value = await remembered(path.root, path.steps[0].key)
    # As Windmill, which reads results by a path in the database: what is not there is null, however deep.
    return value_at(value, path.steps[1:], lenient=path.root == "results")


def _is_bound(plain: Plain, names: Mapping[str, bytes]) -> bool:
    if isinstance(plain, Literal) or any(_is_of(name, plain.root) for name in names):
        return True
    return plain.root in {"results", "flow_env"} and bool(plain.steps)


def _decides(name: str, path: Path) -> bool:
    """Whether the lookup's value depends on the variable, which may be the member of one."""
    root, dot, member = name.partition(".")
    return root == path.root and (not dot or not path.steps or path.steps[0].key == member)


def _is_of(name: str, root: str) -> bool:
    return name == root or name.startswith(f"{root}.")


def _is_unicode(code: str) -> bool:
    return code.isascii() or not any("\ud800" <= character <= "\udfff" for character in code)
