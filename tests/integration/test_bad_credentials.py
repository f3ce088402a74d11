"""Credentials that open nothing: garbled, expired, revoked, or of another workspace."""

from datetime import UTC, datetime, timedelta

import asyncpg
import httpx
import pytest

from millpond.services.identities import digest_of
from tests.conftest import ClientOf, Instance, client_with
from tests.refusals import refused

W = "/api/w/main"
NO_TOKENS = [
    b"",
    b"x",
    b"Bearer",
    "é".encode(),
    b"\xff\xfe",
    b"a\tb",
    b"mp_" + b"x" * 10_000,
    b"mpj_",
    b"mpj_.",
    b"mpj_x.y",
    b"mpj_" + b"a" * 100 + b"." + b"b" * 43,
]


async def test_a_token_that_is_none_opens_nothing(instance: Instance, subtests: pytest.Subtests) -> None:
    for token in NO_TOKENS:
        with subtests.test(token=repr(token)[:60]):
            async with client_with(instance, None) as stranger:
                for headers in ({b"authorization": b"Bearer " + token}, {b"cookie": b"token=" + token}):
                    for address in (f"{W}/resources/list", "/api/users/whoami"):
                        answer = await stranger.get(address, headers=headers)
                        refused(answer, 401, "token")
                        assert answer.headers["www-authenticate"] == "Bearer"
                refused(await stranger.get(f"{W}/resources/list", params={"token": token}), 401, "token")


async def test_an_unknown_scheme_is_no_token(instance: Instance) -> None:
    async with client_with(instance, None) as stranger:
        for header in ("Basic YWRtaW46YWRtaW4=", "Bearer", "Digest x"):
            refused(
                await stranger.get(f"{W}/resources/list", headers={"authorization": header}), 401, "no token"
            )


async def _token_of(client: httpx.AsyncClient, **facts: object) -> str:
    answer = await client.post("/api/users/tokens/create", json={"label": "test", **facts})
    assert answer.status_code == 201, answer.text
    return answer.text


async def test_an_expired_token_opens_nothing(instance: Instance, client_of: ClientOf) -> None:
    member = await client_of("henri")
    token = await _token_of(member, expiration=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    connection = await asyncpg.connect(instance.url)
    try:
        expire = "UPDATE token SET expires_at = now() - interval '1 second' WHERE token_hash = $1"
        assert await connection.execute(expire, digest_of(token)) == "UPDATE 1"
    finally:
        await connection.close()
    async with client_with(instance, token) as late:
        refused(await late.get(f"{W}/resources/list"), 401, "expired")


async def test_a_revoked_token_opens_nothing_at_once(instance: Instance, client_of: ClientOf) -> None:
    member = await client_of("henri")
    token = await _token_of(member)
    async with client_with(instance, token) as other:
        assert (await other.get(f"{W}/resources/list")).status_code == 200
        assert (await member.delete(f"/api/users/tokens/delete/{token[:10]}")).status_code == 200
        refused(await other.get(f"{W}/resources/list"), 401, "revoked")


async def test_a_token_of_one_workspace_opens_no_other(
    instance: Instance, client: httpx.AsyncClient, client_of: ClientOf
) -> None:
    assert (await client.post("/api/workspaces/create", json={"id": "other", "name": "o"})).status_code == 201
    member = await client_of("henri")
    token = await _token_of(member, workspace_id="main")
    async with client_with(instance, token) as bound:
        assert (await bound.get(f"{W}/resources/list")).status_code == 200
        refused(await bound.get("/api/w/other/resources/list"), 403, "main only")
    refused(await member.get("/api/w/other/resources/list"), 403, "no member of workspace other")
    refused(await member.get("/api/w/none/resources/list"), 403, "no member of workspace none")
