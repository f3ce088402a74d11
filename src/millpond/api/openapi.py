"""The OpenAPI 3.1 document: routes and parameters from the framework, bodies from the structs that decode them."""

from typing import Any

import msgspec
from litestar import Litestar

BODY = "request_body"
ANSWER = "answer"


def accepts(shape: object) -> dict[str, object]:
    """Route option: the JSON body this route decodes."""
    return {BODY: shape}


def answers(shape: object) -> dict[str, object]:
    """Route option: the JSON this route answers with."""
    return {ANSWER: shape}


def document(app: Litestar) -> dict[str, Any]:
    """The whole document, as JSON-ready values."""
    described: dict[str, Any] = app.openapi_schema.to_schema()
    shapes = _shapes(app)
    schemas, components = msgspec.json.schema_components(
        list(shapes.values()), ref_template="#/components/schemas/{name}", schema_hook=_any_json
    )
    by_key = dict(zip(shapes, schemas, strict=True))
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            if not isinstance(operation, dict):
                continue
            if (schema := by_key.get((path, method, BODY))) is not None:
                operation["requestBody"] = {
                    "required": True,
                    "content": {"application/json": {"schema": schema}},
                }
            _describe_answer(operation, by_key.get((path, method, ANSWER)))
    described.setdefault("components", {}).setdefault("schemas", {}).update(components)
    described["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    described["security"] = [{"bearer": []}]
    return described


def _any_json(_: type) -> dict[str, Any]:
    """The schema of a field whose type is `object`: the msgspec generator knows none for it."""
    return {"description": "Any JSON."}


_REFUSALS = {
    "400": "The request breaks a rule the text names.",
    "401": "No token, or one that is unknown, expired or revoked.",
    "403": "Known, but not allowed.",
    "404": "What is named does not exist, or is not visible.",
}


def _describe_answer(operation: dict[str, Any], schema: object | None) -> None:
    success = {
        status: answer for status, answer in operation.get("responses", {}).items() if status.startswith("2")
    }
    for answer in success.values():
        if schema is not None:
            answer["content"] = {"application/json": {"schema": schema}}
        else:
            answer.pop("content", None)
    plain = {"text/plain": {"schema": {"type": "string"}}}
    refusals = {status: {"description": meaning, "content": plain} for status, meaning in _REFUSALS.items()}
    operation["responses"] = success | refusals


def _shapes(app: Litestar) -> dict[tuple[str, str, str], Any]:
    found: dict[tuple[str, str, str], Any] = {}
    for route in app.routes:
        for handler in getattr(route, "route_handlers", []):
            for option in (BODY, ANSWER):
                if option in handler.opt:
                    for method in handler.http_methods:
                        found[(_documented(route.path_format), method.lower(), option)] = handler.opt[option]
    return found


def _documented(path_format: str) -> str:
    return path_format if path_format.startswith("/") else f"/{path_format}"
