"""Short ways to deploy and read flows in tests of what is deployed."""

from typing import Any, cast

from httpx import AsyncClient, Response

API = "/api/w/main/flows"
PATH = "u/admin/etl"
EMPTY: dict[str, object] = {"modules": []}


def body(path: str = PATH, **changes: object) -> dict[str, object]:
    return {"path": path, "summary": "Load", "value": EMPTY} | changes


async def create(client: AsyncClient, path: str = PATH, **changes: object) -> Response:
    return await client.post(f"{API}/create", json=body(path, **changes))


async def deploy(client: AsyncClient, path: str = PATH, **changes: object) -> None:
    response = await create(client, path, **changes)
    assert response.status_code == 201, response.text


async def update(client: AsyncClient, path: str = PATH, /, **changes: object) -> Response:
    return await client.post(f"{API}/update/{path}", json=body(path) | changes)


async def redeploy(client: AsyncClient, path: str = PATH, **changes: object) -> None:
    response = await update(client, path, **changes)
    assert response.status_code == 200, response.text


async def read(client: AsyncClient, path: str = PATH) -> dict[str, Any]:
    return cast("dict[str, Any]", await answer(client, f"get/{path}"))


async def answer(client: AsyncClient, route: str, **query: object) -> Any:
    response = await client.get(f"{API}/{route}", params=cast("dict[str, str]", query))
    assert response.status_code == 200, response.text
    return response.json()


async def names(client: AsyncClient, **query: object) -> list[str]:
    return [flow["path"] for flow in await answer(client, "list", **query)]


async def star(client: AsyncClient, path: str = PATH) -> None:
    favorite = {"favorite_kind": "flow", "path": path}
    response = await client.post("/api/w/main/favorites/star", json=favorite)
    assert response.is_success, response.text


async def make_folder(client: AsyncClient, name: str, **fields: object) -> None:
    response = await client.post("/api/w/main/folders/create", json={"name": name} | fields)
    assert response.is_success, response.text
