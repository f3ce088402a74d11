"""Results of whole flows used again (compat facts, storage 6.1): looked for as a flow begins, kept as it ends.

The key is made once and noted with the flow: a reference in its arguments may stand for something else by its end.
"""

from millpond.base.errors import MillpondError, Unavailable
from millpond.model.jobs import Claim
from millpond.services.flow_runs.run import Run
from millpond.services.flow_runs.scope import Surroundings
from millpond.services.result_cache import find_result, flow_key, keep_flow_result
from millpond.store import result_cache as store
from millpond.store.pool import Transaction
from millpond.store.result_cache import CachedResult


async def find_equal(surroundings: Surroundings, run: Run, claim: Claim) -> CachedResult | None:
    """The result of an equal run of a flow that begins; the key under which its own is kept stays with `run`.

    None also when the flow asks for none, or its arguments cannot be resolved: it then says so by running.
    """
    definition = _definition(run)
    if not claim.cache_ttl_s or definition is None:
        return None
    try:
        args = await _resolved(surroundings, run)
    except Unavailable:
        raise
    except MillpondError as error:
        run.lines.append(f"[millpond: the result is not cached: {error.message}]")
        return None
    key = flow_key(claim, definition, args.encode())
    async with surroundings.database.statement() as connection:
        found = await find_result(connection, claim, key)
    if found is None:
        run.cache_key = key
    return found


async def keep_key(transaction: Transaction, run: Run) -> None:
    """Note the key of a flow that begins in this turn, and does not end in it."""
    if run.cache_key is not None and run.finish is None:
        await store.note_flow_key(transaction, run.job.workspace_id, run.id, run.cache_key)


async def keep_result(transaction: Transaction, run: Run) -> None:
    """Keep the result of a flow that ends in this turn, if it asks for that and has succeeded."""
    if not run.job.cache_ttl_s or run.finish is None or run.finish.status != "success" or run.is_replay:
        return
    key = run.cache_key or await store.get_flow_key(transaction, run.job.workspace_id, run.id)
    if key is None:
        return
    refusal = await keep_flow_result(transaction, run.job, key, run.result or "null")
    if refusal is not None:
        run.lines.append(f"[millpond: {refusal}]")


def _definition(run: Run) -> str | int | None:
    """What stands for the flow in its key; None for parts of flows."""
    job = run.job
    if job.flow_version is None:
        return job.raw_flow
    # A preprocessor has yet to make the arguments: those it is given are no call of the flow without it.
    return job.flow_version if run.status.preprocessor is None else f"preprocessed {job.flow_version}"


async def _resolved(surroundings: Surroundings, run: Run) -> str:
    job = run.job
    if "$" not in run.args:
        return run.args
    actor = await surroundings.identities.actor_of_job(
        job.workspace_id, job.id, job.email, job.permissioned_as
    )
    return (await surroundings.interpolation.args(actor, run.args)).args
