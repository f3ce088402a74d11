"""HEAD over HTTP, on a real server: as GET without its body, and never what acts."""

import asyncio

import pytest

from tests.integration.live_instance import Api, LiveInstance


@pytest.fixture
async def api(idle: LiveInstance) -> Api:
    return idle.api


@pytest.mark.parametrize(
    "path",
    [
        "/api/version",
        "/api/w/main/scripts/list",
        "/api/openapi.json",
        "/api/w/main/resources/get/u/admin/none",
    ],
)
async def test_head_answers_as_get_without_the_body(api: Api, path: str) -> None:
    asked, got = await api.http.head(path), await api.http.get(path)
    assert (asked.status_code, asked.content) == (got.status_code, b"")
    assert asked.headers["content-type"] == got.headers["content-type"]
    assert asked.headers["content-length"] == got.headers["content-length"] == str(len(got.content))


async def test_head_of_a_stream_does_not_wait_for_it(api: Api) -> None:
    job_id = await api.start("def main(): pass")
    asked = await asyncio.wait_for(api.http.head(f"/api/w/main/jobs_u/getupdate_sse/{job_id}"), 5)
    assert asked.status_code == 200
    assert asked.headers["content-type"].startswith("text/event-stream")
    # The connection is whole: it carries the next request.
    assert (await api.http.get("/api/version")).status_code == 200


async def test_head_needs_the_rights_of_get(idle: LiveInstance) -> None:
    assert (await idle.with_token("wrong").http.head("/api/w/main/scripts/list")).status_code == 401


async def test_head_starts_no_job_and_spends_no_link(idle: LiveInstance, api: Api) -> None:
    await api.deploy("u/admin/acts", "def main(): pass")
    assert (await api.http.head("/api/w/main/jobs/run_wait_result/p/u/admin/acts")).status_code == 405
    assert (await idle.execute("SELECT count(*) AS jobs FROM job WHERE kind = 'script'"))[0]["jobs"] == 0
    secret = await idle.services.accounts.create_login_link("admin@localhost")
    assert (await api.http.head(f"/api/auth/link/{secret}")).status_code == 405
    assert (await api.http.get(f"/api/auth/link/{secret}", follow_redirects=False)).status_code == 302


async def test_head_of_what_is_only_posted_is_refused(api: Api) -> None:
    assert (await api.http.head("/api/auth/login")).status_code == 405
