"""The OpenAPI 3.1 document: routes and parameters from the framework, bodies from the structs that decode them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

BODY = "request_body"
ANSWER = "answer"
FILTERS = "query_filters"
OTHER_ANSWERS = "other_answers"
FAILED_JOB = "422"
"""The one refusal that carries JSON: the error of a job that was waited for."""

Json = dict[str, Any]

_JSON: Json = {"application/json": {"schema": {}}}
_TEXT: Json = {"text/plain": {"schema": {"type": "string"}}}
_REFUSALS = {
    "400": "The request breaks a rule the text names.",
    "401": "No token, or one that is unknown, expired or revoked.",
    "403": "Known, but not allowed.",
    "404": "What is named does not exist, or is not visible.",
    "503": "The database cannot be reached just now; trying again is right.",
}
_TOO_LARGE = {"413": "The body is over the instance's limit."}
_TAIL = "A path such as `f/etl/load`, the rest of the address: its slashes stand as they are, or as `%2F`."


def accepts(shape: object) -> dict[str, object]:
    """Route option: the JSON body this route decodes; `object` for any JSON, which may be left out."""
    return {BODY: shape}


def answers(shape: object) -> dict[str, object]:
    """Route option: the JSON this route answers with."""
    return {ANSWER: shape}


def filtered_by(shape: object) -> dict[str, object]:
    """Route option: the struct whose fields this route takes from the query string; lists are comma-separated."""
    return {FILTERS: shape}


def may_answer(meanings: Mapping[int, str]) -> dict[str, object]:
    """Route option: statuses beside success and the refusals every route knows."""
    return {OTHER_ANSWERS: meanings}


@dataclass(frozen=True)
class _Route:
    """What is known of an operation beside the framework's description of it."""

    handler: HTTPRouteHandler
    tails: frozenset[str]
    body: Json | None
    answer: Json | None
    filters: Json | None


def document(app: Litestar) -> Json:
    """The whole document, as JSON-ready values."""
    described: Json = app.openapi_schema.to_schema()
    routes, components = _routes(app)
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            if (known := routes.get((path, method))) is not None:
                _describe(operation, known)
    described.setdefault("components", {}).setdefault("schemas", {}).update(components)
    described["components"]["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    described["security"] = [{"bearer": []}]
    return described


def _routes(app: Litestar) -> tuple[dict[tuple[str, str], _Route], Json]:
    """Every operation by path and method, and the schemas they refer to."""
    found = list(_handlers(app))
    shapes = [
        (path, method, option, handler.opt[option])
        for path, method, handler, _ in found
        for option in (BODY, ANSWER, FILTERS)
        if option in handler.opt
    ]
    schemas, components = msgspec.json.schema_components(
        [shape for *_, shape in shapes],
        ref_template="#/components/schemas/{name}",
        schema_hook=_any_json,
    )
    by_place = {place[:3]: schema for place, schema in zip(shapes, schemas, strict=True)}
    routes = {
        (path, method): _Route(
            handler,
            tails,
            body=by_place.get((path, method, BODY)),
            answer=by_place.get((path, method, ANSWER)),
            filters=_resolved(by_place.get((path, method, FILTERS)), components),
        )
        for path, method, handler, tails in found
    }
    return routes, components


def _handlers(app: Litestar) -> Iterator[tuple[str, str, HTTPRouteHandler, frozenset[str]]]:
    for route in app.routes:
        for handler in getattr(route, "route_handlers", []):
            path = route.path_format if route.path_format.startswith("/") else f"/{route.path_format}"
            tails = frozenset(
                name for name, kind in route.path_parameters.items() if kind.full.endswith(":path")
            )
            for method in handler.http_methods:
                yield path, method.lower(), handler, tails


def _any_json(_: type) -> Json:
    """The schema of a field whose type is `object`: the msgspec generator knows none for it."""
    return {"description": "Any JSON."}


def _resolved(schema: Json | None, components: Json) -> Json | None:
    return None if schema is None else components[schema["$ref"].rsplit("/", 1)[1]]


def _describe(operation: Json, route: _Route) -> None:
    _describe_parameters(operation, route)
    if route.body is not None:
        operation["requestBody"] = {
            "required": route.handler.opt[BODY] is not object,
            "content": {"application/json": {"schema": route.body}},
        }
    _describe_answers(operation, route)
    if not {"actor", "account"} & set(route.handler.parsed_fn_signature.parameters):
        operation["security"] = []


def _describe_parameters(operation: Json, route: _Route) -> None:
    parameters = operation.get("parameters", [])
    for parameter in parameters:
        if parameter["in"] == "query":
            parameter["schema"] = _without_null(parameter["schema"])
        elif parameter["name"] in route.tails:
            parameter["description"] = _TAIL
    if route.filters is not None:
        taken = {parameter["name"] for parameter in parameters}
        for name, schema in route.filters["properties"].items():
            if name not in taken:
                parameters.append(_filter(name, schema))
        operation["parameters"] = parameters


def _filter(name: str, schema: Json) -> Json:
    plain = _without_null(schema)
    described: Json = {"name": name, "in": "query", "required": False, "schema": plain}
    if plain.get("type") == "array":
        described |= {"schema": {"type": "string"}, "description": "Comma-separated."}
    return described


def _without_null(schema: Json) -> Json:
    """A query value is given or left out: it cannot be null."""
    for keyword in ("oneOf", "anyOf"):
        kept: list[Json] = [option for option in schema.get(keyword, ()) if option.get("type") != "null"]
        if len(kept) == 1:
            return kept[0]
    return {name: value for name, value in schema.items() if name != "default" or value is not None}


def _describe_answers(operation: Json, route: _Route) -> None:
    success = {
        status: answer for status, answer in operation.get("responses", {}).items() if status[0] in "23"
    }
    for answer in success.values():
        answer["content"] = _content(route)
    refusals = _REFUSALS | (_TOO_LARGE if route.body is not None else {})
    others = {str(status): text for status, text in route.handler.opt.get(OTHER_ANSWERS, {}).items()}
    operation["responses"] = success | {
        status: {"description": meaning, "content": _JSON if status == FAILED_JOB else _TEXT}
        for status, meaning in (refusals | others).items()
    }


def _content(route: _Route) -> Json:
    """What a success carries: handlers say it by the type of their response, JSON's shape by an option."""
    if route.answer is not None:
        return {"application/json": {"schema": route.answer}}
    (carried,) = route.handler.parsed_fn_signature.return_type.inner_types
    match carried.annotation:
        case annotation if annotation is str:
            return _TEXT
        case annotation if annotation is bytes:
            return _JSON
        case _:
            return {"text/event-stream": {}}
