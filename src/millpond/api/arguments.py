"""From a request's body to a run's arguments: every form of compat facts, flows 3.3."""

import base64
import binascii
import re
from urllib.parse import parse_qsl

import msgspec

from millpond.api.auth import AnyRequest
from millpond.api.bodies import check_json_text, decode
from millpond.base.errors import InvalidInput, UnsupportedMedia

Members = dict[str, msgspec.Raw]

_CREDENTIAL_HEADERS = frozenset({"authorization", "cookie"})
"""Never handed to a job: whoever may read the job would have the caller's credentials."""

_CLOUDEVENT_METADATA = "WEBHOOK__METADATA__"
_XML_TYPES = frozenset({"text/plain", "application/xml", "text/xml"})


class GivenArguments(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller gave: the body's members, those added from headers and query, and the text of the body."""

    members: Members
    extra: Members
    raw_text: str | None

    def as_json(self) -> str:
        """The arguments of a run without a preprocessor; what was added does not replace what the body names."""
        return _encode(self.extra | self.members)


async def read_arguments(request: AnyRequest) -> GivenArguments:
    """The arguments of a run request. Raises InvalidInput, UnsupportedMedia."""
    query = request.query_params
    extra = _from_headers(request, query.get("include_header")) | _from_query(
        request, query.get("include_query")
    )
    if request.method == "GET":
        return GivenArguments(members=_from_payload(query.get("payload")), extra=extra, raw_text=None)
    body = await request.body()
    members = _from_body(request.headers.get("content-type", ""), body, wrap=_is_true(query.get("wrap_body")))
    raw_text = _text(body)
    if _is_true(query.get("raw")):
        members = members | {"raw_string": _raw(raw_text)}
    return GivenArguments(members=members, extra=extra, raw_text=raw_text)


def event_json(request: AnyRequest, given: GivenArguments) -> str:
    """The arguments of a run whose preprocessor is applied: one `event` with all that the request held."""
    event = {
        "kind": _raw("webhook"),
        "body": _raw_json(_encode(given.members)),
        "raw_string": _raw(given.raw_text),
        "headers": _raw(
            {name: value for name, value in request.headers.items() if name not in _CREDENTIAL_HEADERS}
        ),
        "query": _raw({name: value for name, value in request.query_params.items() if name != "token"}),
    }
    return _encode({"event": _raw_json(_encode(event))})


def _from_body(content_type: str, body: bytes, *, wrap: bool) -> Members:
    kind = content_type.partition(";")[0].strip().lower()
    if kind in ("", "application/json") or (kind.endswith("+json") and "cloudevents" not in kind):
        return _from_json(body, wrap=wrap)
    if kind in _XML_TYPES:
        return {"raw_string": _raw(_text(body))}
    if kind == "application/x-www-form-urlencoded":
        return {name: _raw(value) for name, value in parse_qsl(_text(body), keep_blank_values=True)}
    if kind == "application/cloudevents+json":
        return _from_cloudevent(body)
    if kind == "application/cloudevents-batch+json":
        raise InvalidInput("CloudEvents batches are not supported: send one event a request")
    if kind == "multipart/form-data":
        return _from_multipart(content_type, body)
    raise UnsupportedMedia(
        f"{kind} has no meaning as arguments: send JSON, text, XML, a form or a CloudEvent"
    )


def _from_json(body: bytes, *, wrap: bool) -> Members:
    stripped = body.strip()
    if stripped in (b"", b"null"):
        return {}
    check_json_text(stripped)
    if wrap or not stripped.startswith(b"{"):
        return {"body": _value(stripped)}
    return _members(stripped)


def _from_cloudevent(body: bytes) -> Members:
    event = _from_json(body, wrap=False)
    data = event.pop("data", None)
    carried = (
        {} if data is None else _members(bytes(data)) if bytes(data).startswith(b"{") else {"body": data}
    )
    return carried | {_CLOUDEVENT_METADATA: _raw_json(_encode(event))}


def _from_multipart(content_type: str, body: bytes) -> Members:
    match = re.search(r'boundary="?([^";]+)"?', content_type)
    if match is None:
        raise InvalidInput("The multipart body names no boundary")
    found: Members = {}
    for part in body.split(b"--" + match[1].encode())[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        disposition = re.search(rb'name="([^"]*)"', head)
        if disposition is None:
            raise InvalidInput("A part of the multipart body has no name")
        if b"filename=" in head:
            raise InvalidInput(
                "Uploaded files need an object store, which this instance does not have: send their content as text"
            )
        found[_text(disposition[1])] = _raw(_text(value.removesuffix(b"\r\n")))
    return found


def _from_payload(payload: str | None) -> Members:
    if not payload:
        return {}
    try:
        text = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    except (binascii.Error, ValueError):
        raise InvalidInput("payload must be URL-safe base64 of a JSON object") from None
    check_json_text(text)
    if not text.strip().startswith(b"{"):
        raise InvalidInput("payload must be URL-safe base64 of a JSON object")
    return _members(text)


def _from_headers(request: AnyRequest, names: str | None) -> Members:
    found: Members = {}
    for name in (part.strip().lower() for part in (names or "").split(",")):
        value = request.headers.get(name) if name and name not in _CREDENTIAL_HEADERS else None
        if value is not None:
            found[name.replace("-", "_")] = _raw(value)
    return found


def _from_query(request: AnyRequest, names: str | None) -> Members:
    wanted = [name.strip() for name in (names or "").split(",") if name.strip() not in ("", "token")]
    return {name: _raw(request.query_params[name]) for name in wanted if name in request.query_params}


def _members(text: bytes) -> Members:
    return decode(text, Members)


def _value(text: bytes) -> msgspec.Raw:
    return decode(text, msgspec.Raw)


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"The body is not UTF-8 (byte {error.start})") from None


def _encode(members: Members) -> str:
    return msgspec.json.encode(members).decode()


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _raw_json(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def _is_true(value: str | None) -> bool:
    return value is not None and value.lower() in ("true", "1", "")
