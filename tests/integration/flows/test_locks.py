"""The dependencies of code inside deployed flows, resolved by a job of their own (compat facts, flows 6.A 19)."""

import pytest

from tests.integration.flows.building import deploy_flow, flow, loop, raw, run_deployed, step
from tests.integration.live_instance import Api, eventually

NAMES = "import idna\n\ndef main():\n    return idna.__name__"


def unlocked(code: str) -> dict[str, object]:
    """Code whose dependencies nobody has resolved."""
    return {name: value for name, value in raw(code).items() if name != "lock"}


async def deployment_of(api: Api, path: str) -> dict[str, object]:
    """How far the locks of a flow are."""
    status: dict[str, object] = (await api.get(f"flows/deployment_status/p/{path}")).json()
    return status


@pytest.mark.needs_registry
async def test_19_every_step_gets_its_lock_at_any_depth(api: Api) -> None:
    path = "u/admin/locks_all"
    await deploy_flow(
        api, path, flow(step("a", unlocked(NAMES)), step("l", loop([1], step("b", unlocked(NAMES)))))
    )

    async def locks() -> bool:
        value = (await api.get(f"flows/get/{path}")).json()["value"]
        inner = value["modules"][1]["value"]["modules"][0]["value"]
        return all("idna==" in code.get("lock", "") for code in (value["modules"][0]["value"], inner))

    await eventually(locks, within_secs=60)
    assert (await run_deployed(api, path))["result"] == ["idna"]


@pytest.mark.needs_registry
async def test_a_step_that_cannot_be_locked_is_named(api: Api) -> None:
    path = "u/admin/locks_none"
    code = "#requirements:\n#no-such-package-of-millpond==1\n\ndef main():\n    return 1"
    await deploy_flow(
        api, path, flow(step("fine", unlocked("def main():\n    return 1")), step("odd", unlocked(code)))
    )

    async def has_failed() -> bool:
        return (await deployment_of(api, path))["lock_error_logs"] is not None

    await eventually(has_failed, within_secs=60)
    words = str((await deployment_of(api, path))["lock_error_logs"])
    assert "step 'odd'" in words
    assert "no-such-package-of-millpond" in words
