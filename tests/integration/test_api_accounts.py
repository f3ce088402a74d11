"""Accounts over HTTP: logins, links, tokens, and what superadmins do."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from millpond.base.errors import NotFound
from millpond.store.pool import Database
from tests.conftest import ClientOf, Instance

ADMIN = "admin@localhost"
PASSWORD = "correct horse battery staple"


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


ANONYMOUS = {"authorization": ""}


async def statement(database: Database, query: Any, *values: object) -> Any:
    async with database.statement() as connection:
        return await connection.fetch_value(query, *values)


async def new_account(client: httpx.AsyncClient, email: str = "henri@localhost", **more: object) -> None:
    answer = await client.post("/api/users/create", json={"email": email, "password": PASSWORD, **more})
    assert answer.status_code == 201, answer.text
    assert answer.text == f"user created {email}"


async def login(
    client: httpx.AsyncClient, email: str = "henri@localhost", password: str = PASSWORD
) -> httpx.Response:
    answer = await client.post(
        "/api/auth/login", json={"email": email, "password": password}, headers=ANONYMOUS
    )
    client.cookies.clear()
    return answer


async def test_whoami_answers_what_the_command_line_reads(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/users/whoami")
    assert answer.status_code == 200
    facts = answer.json()
    assert facts["email"] == ADMIN
    assert facts["username"] == "admin"
    assert facts["super_admin"] is True
    recorded = {"login_type", "devops", "verified", "name", "company", "operator_only", "first_time_user"}
    assert recorded | {"role_source", "disabled"} <= set(facts)
    assert "password_hash" not in answer.text
    answer = await client.get("/api/users/email")
    assert (answer.text, answer.headers["content-type"].partition(";")[0]) == (ADMIN, "text/plain")


@pytest.mark.parametrize("token", ["nope", "mp_nope", "mpj_a.b", "mpj_", "", "x" * 5000, "émoi"])
async def test_an_unknown_token_is_refused(client: httpx.AsyncClient, token: str) -> None:
    for path in ("/api/users/whoami", "/api/w/main/users/whoami"):
        answer = await client.get(
            path, headers=httpx.Headers({"authorization": f"Bearer {token}"}, encoding="latin-1")
        )
        assert answer.status_code == 401
        assert answer.text.startswith("Unauthorized: ")
        assert answer.headers["content-type"].startswith("text/plain")


async def test_the_token_may_come_as_cookie_or_query_value(client: httpx.AsyncClient) -> None:
    token = client.headers["authorization"].removeprefix("Bearer ")
    by_query = await client.get("/api/users/whoami", params={"token": token}, headers=ANONYMOUS)
    by_cookie = await client.get("/api/users/whoami", headers={**ANONYMOUS, "cookie": f"token={token}"})
    assert (by_query.status_code, by_cookie.status_code) == (200, 200)


async def test_login_answers_a_session_token_in_text_and_cookie(client: httpx.AsyncClient) -> None:
    await new_account(client)
    answer = await login(client, "Henri@Localhost ")
    assert answer.status_code == 200
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"token={answer.text};")
    for attribute in ("HttpOnly", "Path=/", "SameSite=lax"):
        assert attribute.lower() in cookie.lower()
    assert "secure" not in cookie.lower(), "plain http on this machine would lose the cookie"
    whoami = await client.get("/api/users/whoami", headers=bearer(answer.text))
    assert whoami.json()["email"] == "henri@localhost"


async def test_the_cookie_is_secure_when_the_request_is(client: httpx.AsyncClient) -> None:
    await new_account(client)
    body = {"email": "henri@localhost", "password": PASSWORD}
    answer = await client.post("https://test/api/auth/login", json=body, headers=ANONYMOUS)
    assert "; secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    ("email", "password"),
    [("henri@localhost", "wrong"), ("nobody@localhost", PASSWORD), (ADMIN, ""), (ADMIN, "None"), ("", "")],
)
async def test_a_wrong_login_says_the_same_whoever_it_names(
    client: httpx.AsyncClient, email: str, password: str
) -> None:
    await new_account(client)
    answer = await login(client, email, password)
    assert answer.status_code == 401
    assert answer.text == "Unauthorized: the e-mail or the password is wrong"
    assert "set-cookie" not in answer.headers


async def test_many_wrong_logins_have_to_wait_even_with_the_right_password(client: httpx.AsyncClient) -> None:
    await new_account(client)
    for _ in range(5):
        await login(client, password="wrong")
    answer = await login(client)
    assert answer.status_code == 401
    assert "too many attempts, wait " in answer.text
    assert (await login(client, ADMIN, "wrong")).text.endswith("is wrong"), "others are not held up"


async def test_passwords_and_tokens_are_stored_as_digests(
    client: httpx.AsyncClient, database: Database
) -> None:
    await new_account(client)
    token = (await login(client)).text
    kept = await statement(database, "SELECT password_hash FROM account WHERE email = 'henri@localhost'")
    assert kept.startswith("$argon2id$")
    assert PASSWORD not in kept
    digest = hashlib.sha256(token.encode()).digest()
    assert await statement(database, "SELECT kind FROM token WHERE token_hash = $1", digest) == "session"


async def test_logout_ends_a_session_at_once_but_no_token(client: httpx.AsyncClient) -> None:
    await new_account(client)
    session = (await login(client)).text
    assert (await client.get("/api/users/whoami", headers=bearer(session))).status_code == 200
    answer = await client.post("/api/auth/logout", headers={**ANONYMOUS, "cookie": f"token={session}"})
    assert answer.status_code == 200
    assert "max-age=0" in answer.headers["set-cookie"].lower()
    assert (await client.get("/api/users/whoami", headers=bearer(session))).status_code == 401
    assert (await client.post("/api/auth/logout")).status_code == 200
    assert (await client.get("/api/users/whoami")).status_code == 200
    assert (await client.post("/api/auth/logout", headers=ANONYMOUS)).status_code == 200


async def test_another_site_cannot_use_the_session_cookie(client: httpx.AsyncClient) -> None:
    token = client.headers["authorization"].removeprefix("Bearer ")
    headers = {**ANONYMOUS, "cookie": f"token={token}", "sec-fetch-site": "cross-site"}
    answer = await client.post("/api/users/tokens/create", json={}, headers=headers)
    assert answer.status_code == 401


async def test_a_login_link_works_once(client: httpx.AsyncClient, instance: Instance) -> None:
    secret = await instance.services.accounts.create_login_link(ADMIN)
    answer = await client.get(f"/api/auth/link/{secret}", headers=ANONYMOUS, follow_redirects=False)
    assert answer.status_code == 302
    assert answer.headers["location"] == "/"
    session = answer.cookies["token"]
    client.cookies.clear()
    assert (await client.get("/api/users/whoami", headers=bearer(session))).json()["email"] == ADMIN
    again = await client.get(f"/api/auth/link/{secret}", headers=ANONYMOUS, follow_redirects=False)
    assert again.status_code == 401
    assert "set-cookie" not in again.headers


async def test_a_login_link_ends_after_an_hour(
    client: httpx.AsyncClient, instance: Instance, database: Database
) -> None:
    secret = await instance.services.accounts.create_login_link(ADMIN)
    assert (
        await statement(database, "SELECT count(*) FROM login_link WHERE token_hash = $1", secret.encode())
        == 0
    )
    left = await statement(database, "SELECT expires_at - now() FROM login_link")
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    await statement(database, "UPDATE login_link SET expires_at = now() - interval '1 second'")
    answer = await client.get(f"/api/auth/link/{secret}", headers=ANONYMOUS, follow_redirects=False)
    assert answer.status_code == 401


async def test_login_links_are_for_accounts(instance: Instance) -> None:
    with pytest.raises(NotFound, match="nobody@localhost"):
        await instance.services.accounts.create_login_link("nobody@localhost")


async def test_the_first_superadmin_is_made_once(instance: Instance, client: httpx.AsyncClient) -> None:
    assert await instance.services.accounts.ensure_superadmin("second@localhost", "second") is False
    assert (await client.get("/api/users/exists/second@localhost")).json() is False


async def test_a_new_password_ends_the_other_sessions(client: httpx.AsyncClient) -> None:
    await new_account(client)
    mine, other = (await login(client)).text, (await login(client)).text
    token = (await client.post("/api/users/tokens/create", json={}, headers=bearer(mine))).text
    answer = await client.post("/api/users/setpassword", json={"password": "another"}, headers=bearer(mine))
    assert answer.status_code == 200
    statuses = [
        (await client.get("/api/users/email", headers=bearer(each))).status_code
        for each in (mine, other, token)
    ]
    assert statuses == [200, 401, 200]
    assert (await login(client)).status_code == 401
    assert (await login(client, password="another")).status_code == 200


async def test_a_token_is_shown_once_and_listed_by_its_prefix(client: httpx.AsyncClient) -> None:
    expiration = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    answer = await client.post("/api/users/tokens/create", json={"label": "x", "expiration": expiration})
    assert answer.status_code == 201
    token = answer.text
    assert not token.startswith("-"), "a command line would take it for an option"
    listed = await client.get("/api/users/tokens/list", params={"exclude_ephemeral": "true"})
    assert token not in listed.text
    entry = next(each for each in listed.json() if each["token_prefix"] == token[:10])
    assert entry["label"] == "x"
    assert entry["expiration"] == expiration
    assert entry["scopes"] is None
    assert datetime.fromisoformat(entry["created_at"]) <= datetime.fromisoformat(entry["last_used_at"])
    assert (await client.get("/api/users/email", headers=bearer(token))).text == ADMIN


async def test_sessions_are_the_ephemeral_tokens(client: httpx.AsyncClient) -> None:
    await new_account(client)
    session = (await login(client)).text
    everything = await client.get("/api/users/tokens/list", headers=bearer(session))
    assert [each["token_prefix"] for each in everything.json()] == [session[:10]]
    lasting = await client.get("/api/users/tokens/list?exclude_ephemeral=true", headers=bearer(session))
    assert lasting.json() == []


async def test_a_revoked_token_opens_nothing_from_then_on(client: httpx.AsyncClient) -> None:
    token = (await client.post("/api/users/tokens/create", json={})).text
    assert (await client.get("/api/w/main/users/whoami", headers=bearer(token))).status_code == 200
    answer = await client.delete(f"/api/users/tokens/delete/{token[:10]}")
    assert answer.status_code == 200
    assert (await client.get("/api/w/main/users/whoami", headers=bearer(token))).status_code == 401
    assert (await client.delete(f"/api/users/tokens/delete/{token[:10]}")).status_code == 404


async def test_an_expired_token_opens_nothing(client: httpx.AsyncClient, database: Database) -> None:
    token = (await client.post("/api/users/tokens/create", json={})).text
    digest = hashlib.sha256(token.encode()).digest()
    await statement(database, "UPDATE token SET expires_at = now() WHERE token_hash = $1", digest)
    assert (await client.get("/api/users/whoami", headers=bearer(token))).status_code == 401
    assert (await client.get("/api/w/main/users/whoami", headers=bearer(token))).status_code == 401
    late = {"expiration": "2020-01-01T00:00:00Z"}
    assert (await client.post("/api/users/tokens/create", json=late)).status_code == 400


async def test_nobody_revokes_or_sees_the_tokens_of_others(
    client: httpx.AsyncClient, client_of: ClientOf
) -> None:
    henri = await client_of("henri")
    token = (await client.post("/api/users/tokens/create", json={})).text
    assert (await henri.delete(f"/api/users/tokens/delete/{token[:10]}")).status_code == 404
    listed = (await henri.get("/api/users/tokens/list")).json()
    assert token[:10] not in [each["token_prefix"] for each in listed]
    assert (await client.get("/api/users/email", headers=bearer(token))).status_code == 200


async def test_last_use_is_noted_within_the_minute(
    client: httpx.AsyncClient, instance: Instance, database: Database
) -> None:
    token = (await client.post("/api/users/tokens/create", json={})).text
    await statement(database, "UPDATE token SET last_used_at = now() - interval '61 seconds'")
    await client.get("/api/users/whoami", headers=bearer(token))
    await instance.services.identities.aclose()
    digest = hashlib.sha256(token.encode()).digest()
    age = await statement(database, "SELECT now() - last_used_at FROM token WHERE token_hash = $1", digest)
    assert age < timedelta(seconds=30)


async def test_superadmins_create_list_change_and_delete_accounts(client: httpx.AsyncClient) -> None:
    await new_account(client, name="H", company="C", super_admin=False)
    assert (await client.get("/api/users/exists/henri@localhost")).json() is True
    listed = (
        await client.get("/api/users/list_as_super_admin", params={"page": "0", "per_page": "10"})
    ).json()
    assert [each["email"] for each in listed if each["email"] == "henri@localhost"]
    entry = next(each for each in listed if each["email"] == "henri@localhost")
    assert (entry["name"], entry["company"], entry["super_admin"], entry["username"]) == (
        "H",
        "C",
        False,
        "henri",
    )
    session = (await login(client)).text
    change = {"is_super_admin": True, "name": None, "password": "changed"}
    assert (await client.post("/api/users/update/henri@localhost", json=change)).status_code == 200
    assert (await client.get("/api/users/email", headers=bearer(session))).status_code == 401
    session = (await login(client, password="changed")).text
    facts = (await client.get("/api/users/whoami", headers=bearer(session))).json()
    assert (facts["super_admin"], facts["name"], facts["company"]) == (True, None, "C")
    assert (await client.delete("/api/users/delete/henri@localhost")).status_code == 200
    assert (await client.get("/api/users/email", headers=bearer(session))).status_code == 401
    assert (await client.delete("/api/users/delete/henri@localhost")).status_code == 404


async def test_accounts_that_exist_or_cannot_are_refused(client: httpx.AsyncClient) -> None:
    await new_account(client)
    for body, message in [
        ({"email": "HENRI@localhost"}, "already exists"),
        ({"email": "no e-mail"}, "Invalid e-mail"),
        ({"email": "a@b", "password": ""}, "password"),
        ({"email": "a@b", "username": "a b"}, "Invalid user name"),
        ({"password": "x"}, "email"),
    ]:
        answer = await client.post("/api/users/create", json=body)
        assert answer.status_code == 400
        assert message in answer.text
    assert (await client.post("/api/users/update/nobody@localhost", json={"name": "x"})).status_code == 404


async def test_the_last_superadmin_stays(client: httpx.AsyncClient) -> None:
    demote = {"is_super_admin": False}
    assert (await client.post(f"/api/users/update/{ADMIN}", json=demote)).status_code == 400
    assert "last superadmin" in (await client.delete(f"/api/users/delete/{ADMIN}")).text
    await new_account(client, super_admin=True)
    session = bearer((await login(client)).text)
    assert (await client.get("/api/users/list_as_super_admin", headers=session)).status_code == 200
    assert (await client.post(f"/api/users/update/{ADMIN}", json=demote)).status_code == 200
    assert (await client.post("/api/users/update/henri@localhost", json=demote)).status_code == 400
    assert (await client.post(f"/api/users/update/{ADMIN}", json={"is_super_admin": True})).status_code == 200
    assert (await client.post("/api/users/update/henri@localhost", json=demote)).status_code == 200
    assert (await client.get("/api/users/list_as_super_admin", headers=session)).status_code == 403, "at once"


async def test_only_superadmins_manage_accounts(client_of: ClientOf) -> None:
    admin = await client_of("henri", role="admin")
    answers = [
        await admin.post("/api/users/create", json={"email": "x@localhost"}),
        await admin.post(f"/api/users/update/{ADMIN}", json={"password": "taken over"}),
        await admin.delete(f"/api/users/delete/{ADMIN}"),
        await admin.get("/api/users/list_as_super_admin"),
        await admin.get(f"/api/users/exists/{ADMIN}"),
        await admin.post("/api/workspaces/create", json={"id": "mine", "name": "Mine"}),
        await admin.get("/api/workspaces/list_as_superadmin"),
    ]
    assert [answer.status_code for answer in answers] == [403] * len(answers)


async def test_the_setting_the_command_line_asks_for_is_null(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/settings/global/automate_username_creation")
    assert (answer.status_code, answer.json()) == (200, None)
    assert answer.headers["content-type"].startswith("application/json")
    assert (await client.get("/api/settings/global/x", headers=ANONYMOUS)).status_code == 401
