"""Callers that keep flows of all kinds running."""

import asyncio
import itertools
from collections.abc import Callable
from uuid import UUID

from tests.chaos.flow_client import FlowClient, ends
from tests.chaos.ledger import Ledger
from tests.chaos.sample_flows import KINDS, Sample, asker

CALLERS = 2


class FlowLoad:
    """Callers that start one flow of each kind and wait for those that end by themselves, again and again."""

    def __init__(self, client: FlowClient, ledger: Ledger) -> None:
        self._client = client
        self._ledger = ledger
        self.flows: dict[UUID, Sample] = {}
        self.links: dict[UUID, str] = {}
        self._numbers = itertools.count()
        self._ending = asyncio.Event()
        self._callers = [asyncio.create_task(self._call(), name=f"caller {n}") for n in range(CALLERS)]

    async def start(self, make: Callable[[Ledger, str], Sample]) -> UUID:
        """Start a flow of a kind."""
        name = f"flow{next(self._numbers)}"
        sample = make(self._ledger, name)
        job_id = await self._client.start(sample.value, {"flow": name, "n": 0})
        self.flows[job_id] = sample
        if make is asker:
            self.links[job_id] = await self._client.resume_link(job_id)
        return job_id

    async def grows_by(self, visits: int) -> None:
        """Return once so many more visits of steps were made."""
        goal = len(self._ledger.visits) + visits

        def grown() -> bool:
            for caller in self._callers:
                if caller.done():
                    caller.result()
            return len(self._ledger.visits) >= goal

        await self._ledger.comes_to(grown, f"{visits} more visits")

    async def end(self) -> None:
        """Start no more; returns once every start that was begun is acknowledged."""
        self._ending.set()
        await asyncio.gather(*self._callers)

    async def clear(self) -> None:
        """End the callers, wherever they are."""
        for caller in self._callers:
            caller.cancel()
        await asyncio.gather(*self._callers, return_exceptions=True)

    async def _call(self) -> None:
        while not self._ending.is_set():
            started = [await self.start(make) for make in KINDS]
            await ends(self._client, [job_id for job_id in started if job_id not in self.links])
