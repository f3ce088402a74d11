"""What must hold after flows have run through whatever happened to their instance."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from tests.chaos.eventually import eventually
from tests.chaos.ledger import Ledger
from tests.chaos.sample_flows import Sample
from tests.chaos.served_instance import ServedInstance

DRAIN_SECS = 90.0
STEP_KILLED = "ExecutionErr"
SIGNAL = "SIGKILL"

LEFT = """
SELECT (SELECT count(*) FROM job_queue) AS queued, (SELECT count(*) FROM flow_inbox) AS messages,
       (SELECT count(*) FROM flow_item) AS items
"""
TWO_AT_ONE_PLACE = """
SELECT workspace_id, parent_job, step_place, step_attempt, step_index, count(*) AS jobs FROM job
 WHERE parent_job IS NOT NULL AND step_attempt IS NOT NULL
 GROUP BY workspace_id, parent_job, step_place, step_attempt, step_index HAVING count(*) > 1
"""
NOT_ENDED_ONCE = """
SELECT j.id, j.kind, j.flow_step_id, count(c.job_id) AS ends
  FROM job j LEFT JOIN job_completed c ON c.workspace_id = j.workspace_id AND c.job_id = j.id
 GROUP BY j.workspace_id, j.id, j.kind, j.flow_step_id HAVING count(c.job_id) <> 1
"""
ENDS = """
SELECT job_id, status, result::text AS result FROM job_completed WHERE job_id = ANY ($1::uuid[])
"""
FAILED_STEPS = """
SELECT j.id, c.result::text AS result
  FROM job j JOIN job_completed c ON c.workspace_id = j.workspace_id AND c.job_id = j.id
 WHERE j.root_job = $1 AND c.status = 'failure' AND j.kind NOT IN ('flow', 'flowpreview', 'flownode')
"""


async def drained(served: ServedInstance) -> None:
    """Returns once no job is left in the queue."""

    async def empty() -> bool:
        return not await served.ask("SELECT 1 FROM job_queue LIMIT 1")

    await eventually(empty, DRAIN_SECS, "the queue is empty")


async def check_rows(served: ServedInstance) -> None:
    """No two jobs are at one place, each ended exactly once, and nothing is left of what only turns needed."""
    (left,) = await served.ask(LEFT)
    assert dict(left) == {"queued": 0, "messages": 0, "items": 0}
    for query in (TWO_AT_ONE_PLACE, NOT_ENDED_ONCE):
        assert [dict(row) for row in await served.ask(query)] == []


async def check_ends(served: ServedInstance, ledger: Ledger, flows: dict[UUID, Sample]) -> Counter[str]:
    """Each flow gave what an undisturbed run gives, or failed by the name of a step whose process was killed.

    How many ended in which way.
    """
    rows = {row["job_id"]: row for row in await served.ask(ENDS, list(flows))}
    assert rows.keys() == flows.keys(), "flows are missing"
    visits = ledger.by_place()
    endings: Counter[str] = Counter()
    for flow_job, sample in flows.items():
        result = json.loads(rows[flow_job]["result"])
        if rows[flow_job]["status"] == "success":
            assert result == sample.result, f"{sample.kind} {flow_job}: {result}, not {sample.result}"
            assert sample.places <= visits.keys(), f"{sample.kind} {flow_job} left out steps"
            endings["success"] += 1
        else:
            assert not sample.must_succeed, f"{sample.kind} {flow_job}: {result}"
            await _check_failure(served, flow_job, result)
            endings[STEP_KILLED] += 1
        for place in sample.places - sample.retried:
            assert len(set(visits.get(place, []))) <= 1, f"several jobs came to {place}"
    return endings


async def _check_failure(served: ServedInstance, flow_job: UUID, result: object) -> None:
    """The result of a loop that failed is that of all its turns: every error in it is of a step that was killed."""
    failed = [json.loads(row["result"])["error"] for row in await served.ask(FAILED_STEPS, flow_job)]
    killed = {error["message"] for error in failed if error["name"] == STEP_KILLED}
    errors = list(_errors_in(result))
    assert errors, f"{flow_job} failed with {result}"
    for error in errors:
        assert error["name"] == STEP_KILLED, f"{flow_job} failed with {result}"
        assert SIGNAL in error["message"]
        assert error["message"] in killed, f"{flow_job} failed with {error}, its steps with {failed}"


def _errors_in(result: object) -> Iterator[dict[str, Any]]:
    if isinstance(result, dict):
        yield result["error"]
    elif isinstance(result, list):
        for each in result:
            yield from _errors_in(each) if isinstance(each, dict | list) else ()
