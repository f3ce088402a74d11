"""Calls of the script endpoints that the tests of scripts share."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from httpx import AsyncClient, Response

from millpond.base.ids import hash_from_hex
from millpond.model.actors import Actor
from millpond.store import scripts as store
from millpond.store.pool import Database

API = "/api/w/main/scripts"
CODE = "def main(n: int = 1):\n    return n\n"
ADMIN = Actor(workspace_id="main", email="admin@localhost", username="admin", is_admin=True)
UNKNOWN = "0123456789abcdef"

ClientOf = Callable[..., Awaitable[AsyncClient]]


def body(path: str = "u/admin/load", **changes: object) -> dict[str, object]:
    return {"path": path, "summary": "Load", "content": CODE, "language": "python3"} | changes


async def create(client: AsyncClient, path: str = "u/admin/load", **changes: object) -> Response:
    return await client.post(f"{API}/create", json=body(path, **changes))


async def deploy(client: AsyncClient, path: str = "u/admin/load", **changes: object) -> str:
    response = await create(client, path, **changes)
    assert response.status_code == 201, response.text
    return response.text


async def read(client: AsyncClient, path: str = "u/admin/load") -> dict[str, Any]:
    response = await client.get(f"{API}/get/p/{path}")
    assert response.status_code == 200, response.text
    return cast("dict[str, Any]", response.json())


async def names(client: AsyncClient, **query: object) -> list[str]:
    response = await client.get(f"{API}/list", params=cast("dict[str, str]", query))
    assert response.status_code == 200, response.text
    return [script["path"] for script in response.json()]


async def record(database: Database, script_hash: str, lock: str | None, error: str | None = None) -> None:
    number = hash_from_hex(script_hash)
    assert number is not None
    async with database.transaction() as transaction:
        await store.record_lock(transaction, "main", number, lock, error)


async def make_folder(client: AsyncClient, name: str, **fields: object) -> None:
    response = await client.post("/api/w/main/folders/create", json={"name": name} | fields)
    assert response.is_success, response.text
