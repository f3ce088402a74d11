"""The code of deployed versions: immutable, so the worker keeps what it has read."""

from collections import OrderedDict

from millpond.model.jobs import Claim
from millpond.services.queue import Queue
from millpond.store.queue import ScriptSource

KEPT = 500


class ScriptSources:
    """Finds the code of claims."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._kept: OrderedDict[tuple[str, int], ScriptSource] = OrderedDict()

    async def source_of(self, claim: Claim) -> ScriptSource:
        """The code of a claim, its own or its script's. Raises NotFound when the version was deleted."""
        if claim.kind != "script" or claim.script_hash is None:
            return ScriptSource(claim.raw_code or "", claim.language or "", claim.raw_lock, {}, [])
        key = (claim.workspace_id, claim.script_hash)
        if (source := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return source
        source = await self._queue.script_source(*key)
        # A version whose lock is still being made is looked up again: the lock comes later.
        if source.lock is not None:
            self._kept[key] = source
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return source
