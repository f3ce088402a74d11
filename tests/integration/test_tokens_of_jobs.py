"""Tokens that are made with other tokens: none is a way to stay for longer."""

from datetime import UTC, datetime, timedelta

from tests.integration.live_instance import Api, LiveInstance

ASKS = """
import datetime, wmill
def main():
    return wmill.Windmill().create_token(datetime.timedelta(days=365))
"""
WITHOUT_END = """
import wmill
def main():
    return wmill.Windmill().post("users/tokens/create", json={}).text
"""


async def ends_at(api: Api, token: str) -> datetime | None:
    """When a token ends, as its owner is told."""
    listed = (await api.http.get("/api/users/tokens/list", params={"per_page": 100})).json()
    (found,) = [entry["expiration"] for entry in listed if entry["token_prefix"] == token[:10]]
    return None if found is None else datetime.fromisoformat(found)


async def make(api: Api, **wanted: object) -> str:
    answer = await api.http.post("/api/users/tokens/create", json=wanted)
    assert answer.status_code == 201, answer.text
    return answer.text


async def test_a_token_made_by_a_job_ends_within_a_day(live: LiveInstance, api: Api) -> None:
    for code in (ASKS, WITHOUT_END):
        token = (await api.run(code))["result"]
        end = await ends_at(api, token)
        assert end is not None
        assert timedelta() < end - datetime.now(UTC) <= timedelta(days=1)
        lasting = live.with_token(token)
        assert (await lasting.get("users/whoami")).json()["username"] == "admin"
        # It makes no token that goes on after it.
        assert await ends_at(api, await make(lasting)) == end
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=5)
    sooner = await make(lasting, expiration=soon.isoformat())
    assert await ends_at(api, sooner) == soon


async def test_a_token_made_with_another_ends_with_it(live: LiveInstance, api: Api) -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=40)
    first = live.with_token(await make(api, expiration=end.isoformat()))
    assert await ends_at(api, await make(first)) == end
    endless = live.with_token(await make(api))
    assert await ends_at(api, await make(endless)) is None


async def test_a_session_makes_tokens_without_end(live: LiveInstance) -> None:
    session = await live.member("petra")
    assert await ends_at(session, await make(session)) is None
