"""From requests to arguments, whatever is sent: a JSON object comes out, or an error the caller can read."""

import base64
import json
from typing import Any, cast
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Litestar, post
from litestar.connection import Request
from litestar.routes import HTTPRoute
from litestar.types import HTTPReceiveMessage

from millpond.api.arguments import event_json, read_arguments
from millpond.base.errors import InvalidInput

plain_text = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | plain_text
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain_text, inner, max_size=4),
    max_leaves=12,
)
objects = st.dictionaries(plain_text, values, max_size=5)


@post("/")
async def _accept() -> None:
    """A route, for the limits that a request looks up in it."""


APPLICATION = Litestar([_accept], openapi_config=None)


def request_of(
    body: bytes,
    content_type: str | None = "application/json",
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    method: str = "POST",
) -> "Request[Any, Any, Any]":
    """A request as the server hands it over."""
    given_headers = dict(headers or {}) | ({} if content_type is None else {"content-type": content_type})
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": "/",
        "query_string": urlencode(query or {}).encode(),
        "headers": [
            (name.lower().encode(), value.encode("latin-1")) for name, value in given_headers.items()
        ],
        "route_handler": cast("HTTPRoute", APPLICATION.routes[0]).route_handlers[0],
        "state": {},
    }

    async def receive() -> HTTPReceiveMessage:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request(scope, receive)  # type: ignore[arg-type]


async def arguments_of(body: bytes, content_type: str | None = "application/json", **query: str) -> str:
    return (await read_arguments(request_of(body, content_type, query))).as_json()


@given(objects)
async def test_an_object_is_the_arguments_in_its_own_order(args: dict[str, object]) -> None:
    text = json.dumps(args, ensure_ascii=False)
    given_args = await arguments_of(text.encode())
    assert list(json.loads(given_args).items()) == list(args.items())


@given(values.filter(lambda value: not isinstance(value, dict) and value is not None))
async def test_any_other_value_is_the_body(value: object) -> None:
    assert json.loads(await arguments_of(json.dumps(value).encode())) == {"body": value}


@given(objects)
async def test_a_body_is_wrapped_on_demand(args: dict[str, object]) -> None:
    given_args = await arguments_of(json.dumps(args).encode(), wrap_body="true")
    assert json.loads(given_args) == {"body": args}


@given(
    st.binary(max_size=60),
    st.sampled_from(
        [
            "application/json",
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/cloudevents+json",
            'multipart/form-data; boundary="b"',
            "",
            "image/png",
        ]
    ),
)
async def test_any_bytes_make_an_object_or_a_readable_error(body: bytes, content_type: str) -> None:
    try:
        given_args = await arguments_of(body, content_type)
    except InvalidInput as error:
        assert error.message  # noqa: PT017
        return
    assert isinstance(json.loads(given_args), dict)


@given(st.dictionaries(plain_text.filter(bool), plain_text, max_size=5))
async def test_a_form_is_a_map_of_strings(form: dict[str, str]) -> None:
    given_args = await arguments_of(urlencode(form).encode(), "application/x-www-form-urlencoded")
    assert json.loads(given_args) == form


@given(objects)
async def test_a_payload_is_the_arguments_of_a_get(args: dict[str, object]) -> None:
    payload = base64.urlsafe_b64encode(json.dumps(args).encode()).decode()
    for form in (payload, payload.rstrip("=")):
        request = request_of(b"", None, {"payload": form}, method="GET")
        assert json.loads((await read_arguments(request)).as_json()) == args


@given(plain_text.filter(lambda text: not text.isascii()))
async def test_a_payload_of_other_characters_is_refused(payload: str) -> None:
    with pytest.raises(InvalidInput):
        await read_arguments(request_of(b"", None, {"payload": payload}, method="GET"))


async def test_what_headers_and_query_add_replaces_nothing_of_the_body() -> None:
    query = {"include_header": "X-One, x-two", "include_query": "q,absent", "q": "7"}
    headers = {"X-One": "1", "X-Two": "2"}
    request = request_of(b'{"x_one":"mine"}', query=query, headers=headers)
    assert json.loads((await read_arguments(request)).as_json()) == {"x_one": "mine", "x_two": "2", "q": "7"}


async def test_an_event_shows_no_credentials() -> None:
    request = request_of(
        b'{"a": 1}',
        query={"token": "secret", "q": "1"},
        headers={"authorization": "Bearer secret", "cookie": "token=secret", "x": "y"},
    )
    text = event_json(request, await read_arguments(request))
    assert "secret" not in text
    event = json.loads(text)["event"]
    assert (event["kind"], event["body"], event["raw_string"]) == ("webhook", {"a": 1}, '{"a": 1}')
    assert (event["headers"]["x"], event["query"]) == ("y", {"q": "1"})
