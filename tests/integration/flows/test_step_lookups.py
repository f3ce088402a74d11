"""What a turn looks up to make the jobs of its steps: each script, flow and user once, however many items a loop has."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from millpond.engine.effects import InputsOf, NewChild, RunModule
from millpond.engine.references import Place
from millpond.model.flow_modules import FlowModule
from millpond.services.flow_runs.children import Child, Children
from millpond.services.flow_runs.library import Library
from millpond.services.flow_runs.run import Run
from millpond.services.flow_runs.values import Values
from millpond.services.identities import Identities
from millpond.store.pool import Database, Transaction
from tests.integration.flow_trees import push_flow
from tests.integration.flows.building import Json, deploy_flow, flow, identity, script, step, sub_flow
from tests.integration.live_instance import LiveInstance

PATH = "u/admin/looked_up"
ITEMS = 20


class CountedDatabase(Database):
    """A database that knows how often it was asked."""

    asked = 0

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Transaction]:
        self.asked += 1
        async with super().statement() as connection:
            yield connection


@pytest.mark.parametrize(
    ("value", "asked"),
    [(script(PATH), 2), (sub_flow(PATH), 3)],
    ids=["a script and its reader", "a flow, its reader and its definition"],
)
async def test_one_turn_asks_once(idle: LiveInstance, value: Json, asked: int) -> None:
    await idle.api.deploy(PATH, "def main(): pass")
    await deploy_flow(idle.api, PATH, flow(step("a", identity())))
    database = await CountedDatabase.connect(idle.database_url, connections=1)
    assert isinstance(database, CountedDatabase)
    try:
        library = Library(database)
        loaded = await library.load("main", await push_flow(idle.database, [step("a", value)]))
        assert loaded is not None
        children = Children(database, library, Identities(database, idle.master_key, "secret"))
        # Another turn asks again, but for the definition of a version, which never changes.
        for expected in (asked, 2):
            database.asked = 0
            made = await _make(children.for_turn(), Run.of(loaded), database)
            assert database.asked == expected
            assert all(child.ended is None and child.job.runnable_path == PATH for child in made)
    finally:
        await database.aclose()


async def _make(children: Children, run: Run, database: Database) -> list[Child]:
    module: FlowModule = run.flow.modules[0]
    values = Values(database, "main", {})
    inputs = InputsOf({"n": msgspec.Raw(b"1")})
    return [
        await children.make(
            run, NewChild(place=Place("a", 0, index), module=module, work=RunModule(), inputs=inputs), values
        )
        for index in range(ITEMS)
    ]
