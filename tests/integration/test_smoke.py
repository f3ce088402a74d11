import httpx


async def test_the_instance_answers_version_and_health(client: httpx.AsyncClient) -> None:
    version = await client.get("/api/version")
    assert version.text.startswith("CE v1.850.0")
    health = await client.get("/api/health/status")
    assert health.status_code == 200, health.text
    assert (await client.get("/api/users/whoami")).json()["email"] == "admin@localhost"
    assert (await client.get("/api/openapi.json")).json()["openapi"].startswith("3.1")
