"""From the engine's references to JSON: results of children, arguments, constants."""

from uuid import UUID

import msgspec

from millpond.engine.references import (
    Constant,
    FlowInput,
    Place,
    Reference,
    ResultOf,
    ResultsOf,
    Span,
    StopError,
)
from millpond.services.flow_runs.run import Run
from millpond.store import flow_runs as store
from millpond.store.pool import Database

RECENT = 100
LARGEST_KEPT = 32 * 1024


class Values:
    """Looks references up. What children ended in within this turn is known before it is stored."""

    def __init__(self, database: Database, workspace_id: str, recent: dict[tuple[UUID, Place], str]) -> None:
        self._database = database
        self._workspace_id = workspace_id
        self._recent = recent
        self._fresh: dict[tuple[UUID, Place], str] = {}

    def add(self, flow_job: UUID, place: Place, result: str) -> None:
        """A child has just ended."""
        self._fresh[flow_job, place] = result

    def keep_recent(self) -> None:
        """The turn was stored: what it learned serves the next ones."""
        for key, result in self._fresh.items():
            if len(result) <= LARGEST_KEPT:
                self._recent[key] = result
        while len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]

    async def text_of(self, reference: Reference, run: Run) -> str:
        """The JSON a reference stands for, seen from a flow."""
        match reference:
            case FlowInput():
                return run.args
            case Constant(value):
                return bytes(value).decode()
            case ResultOf(place):
                return await self.result_at(run, place)
            case ResultsOf(module, spans):
                parts = [await self._span(run, module, span) for span in spans if span.count]
                return "[" + ",".join(parts) + "]"
            case StopError(message, result):
                inner = await self.text_of(result, run)
                text = msgspec.json.encode(message).decode()
                return f'{{"error":{{"name":"EarlyStopError","message":{text},"result":{inner}}}}}'

    async def result_at(self, run: Run, place: Place) -> str:
        """The result of the child at a place; `null` while it has none."""
        flow_job, place = place.origin or run.id, msgspec.structs.replace(place, origin=None)
        known = self._known(flow_job, place)
        if known is not None:
            return known
        async with self._database.statement() as connection:
            child = await store.get_child(
                connection, self._workspace_id, flow_job, place.module, place.attempt, place.index
            )
        return "null" if child is None or child.result is None else child.result

    async def args_at(self, run: Run, place: Place) -> str:
        """The arguments of an earlier attempt."""
        async with self._database.statement() as connection:
            child = await store.get_child(
                connection, self._workspace_id, run.id, place.module, place.attempt, place.index
            )
        return "{}" if child is None else child.args

    async def items(self, run: Run, place: Place, first: int, count: int) -> list[str | None]:
        """Items of a loop, JSON; None for each of one that goes over nothing."""
        kept = run.items.get((place.module, place.attempt))
        if kept is not None:
            return [bytes(item).decode() for item in kept[first : first + count]]
        async with self._database.statement() as connection:
            found = await store.get_items(
                connection, self._workspace_id, run.id, place.module, place.attempt, first, count
            )
        return [*found] or [None] * count

    def _known(self, flow_job: UUID, place: Place) -> str | None:
        return self._fresh.get((flow_job, place)) or self._recent.get((flow_job, place))

    async def _span(self, run: Run, module: str, span: Span) -> str:
        flow_job = span.origin or run.id
        places = [Place(module, span.attempt, span.first + n) for n in range(span.count)]
        known = {place.index: self._known(flow_job, place) for place in places}
        if all(text is not None for text in known.values()):
            return ",".join(text or "" for text in known.values())
        if not any((flow_job, place) in self._fresh for place in places):
            async with self._database.statement() as connection:
                return await store.join_results(
                    connection, self._workspace_id, flow_job, module, span.attempt, span.first, span.count
                )
        return ",".join(await self._mixed(flow_job, places))

    async def _mixed(self, flow_job: UUID, places: list[Place]) -> list[str]:
        """Results of which some are not stored yet: stretches of stored ones in one query each."""
        parts: list[str] = []
        start = 0
        for position in range(len(places) + 1):
            fresh = position < len(places) and self._fresh.get((flow_job, places[position]))
            if position < len(places) and not fresh:
                continue
            if position > start:
                first = places[start]
                async with self._database.statement() as connection:
                    parts.append(
                        await store.join_results(
                            connection,
                            self._workspace_id,
                            flow_job,
                            first.module,
                            first.attempt,
                            first.index or 0,
                            position - start,
                        )
                    )
            if fresh:
                parts.append(fresh)
            start = position + 1
        return parts


def with_item(args: str, index: int, item: str | None) -> str:
    """A flow's arguments for one turn of a loop: `iter` is added, an outer `iter` becomes `iter_parent`.

    A loop that goes over nothing counts: the item is the number.
    """
    inner = _outer_members(args) | {"iter": msgspec.Raw(iteration(index, item).encode())}
    return msgspec.json.encode(inner).decode()


def iteration(index: int, item: str | None) -> str:
    """`flow_input.iter` of one turn of a loop."""
    return f'{{"index":{index},"value":{index if item is None else item}}}'


def with_outer_iter(args: str) -> str:
    """A flow's arguments as its loops pass them on, but for the item."""
    return msgspec.json.encode(_outer_members(args)).decode() if '"iter' in args else args


def _outer_members(args: str) -> dict[str, msgspec.Raw]:
    members = msgspec.json.decode(args, type=dict[str, msgspec.Raw])
    return {_outer(name): value for name, value in members.items()}


def _outer(name: str) -> str:
    return name + "_parent" if name == "iter" or _is_outer_iter(name) else name


def _is_outer_iter(name: str) -> bool:
    head, *rest = name.split("_")
    return head == "iter" and bool(rest) and all(part == "parent" for part in rest)
