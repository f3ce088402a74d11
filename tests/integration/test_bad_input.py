"""Requests no client should send: each gets its status and a plain text that names what is wrong, and the server goes on."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.conftest import Instance
from tests.refusals import refused

JSON = {"content-type": "application/json"}
W = "/api/w/main"
CREATE = f"{W}/resources/create"
NOWHERE = "00000000-0000-0000-0000-000000000000"
TOO_MANY_BYTES = 20 * 1024**2


@pytest.fixture(autouse=True)
async def still_answers(client: httpx.AsyncClient) -> AsyncIterator[None]:
    """After each test: whatever was sent, the server and its database answer."""
    yield
    answer = await client.get("/api/health/status")
    assert answer.status_code == 200
    assert answer.json()["database_healthy"]


def nested(depth: int) -> bytes:
    return b'{"path":"u/admin/deep","resource_type":"x","value":' + b"[" * depth + b"]" * depth + b"}"


UNREADABLE_BODIES = [
    (b"", "needs a JSON body"),
    (b'{"path": ', "truncated"),
    (b"{} {}", "invalid json"),
    (b"[]", "Expected `object`, got `array`"),
    (b"null", "Expected `object`, got `null`"),
    (b'"text"', "Expected `object`, got `str`"),
    (b'{"path":1,"resource_type":"x"}', "Expected `str`, got `int` - at `$.path`"),
    (b'{"path":"f/a/b","resource_type":"x","labels":"no list"}', "`$.labels`"),
    (b'{"path":"f/a/b"}', "`resource_type`"),
    (b'{"path":"f/a/b","resource_type":"x","value":NaN}', "malformed"),
    (b'{"path":"f/a/b","resource_type":"x","value":01}', "malformed"),
    (b"path=f/a/b&resource_type=x", "malformed"),
    (b'\xef\xbb\xbf{"path":"f/a/b","resource_type":"x"}', "malformed"),
    ('{"path":"f/a/b","resource_type":"x"}'.encode("utf-16"), "not UTF-8 (byte 0)"),
    (b'{"path":"f/a/b\xff","resource_type":"x"}', "not UTF-8 (byte 14)"),
    (b'{"path":"f/a/b","resource_type":"x","value":"\x00"}', "NUL byte"),
    (b'{"path":"f/a/b\\u0000","resource_type":"x"}', "Invalid path 'f/a/b\\x00'"),
    (b'{"path":"u/admin/b","resource_type":"x\\u0000"}', "Invalid resource type name"),
    (b'{"path":"u/admin/b","resource_type":"x","description":"\\u0000"}', "NUL character"),
    (b'{"path":"u/admin/b","resource_type":"x","labels":["\\u0000"]}', "NUL character"),
    (b'{"path":"u/admin/b","resource_type":"x","value":"\\ud800"}', "\\ud800 is half a character"),
    (b'{"path":"u/admin/b","resource_type":"x","description":"\\udc00."}', "\\udc00 is half a character"),
    (b'{"path":"u/admin/\\ud800","resource_type":"x"}', "half a character"),
    (b'{"path":"f/a","resource_type":"x"}', "Invalid path 'f/a'"),
    (b'{"path":"f/a/../b","resource_type":"x"}', "Invalid path 'f/a/../b'"),
    (b'{"path":"/f/a/b","resource_type":"x"}', "Invalid path '/f/a/b'"),
    (b'{"path":"f/a/' + b"x" * 300 + b'","resource_type":"x"}', "304 characters long, 255 are allowed"),
    (nested(100_000), "nested too deep"),
    (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deep"),
]


async def test_a_body_that_does_not_fit_is_refused(
    client: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    for body, named in UNREADABLE_BODIES:
        with subtests.test(body=repr(body)[:60]):
            refused(await client.post(CREATE, content=body, headers=JSON), 400, named)
            assert (await client.get(f"{W}/resources/list")).json() == [], "nothing was stored"


ODD_VALUES = [
    b"[" * 60 + b"]" * 60,
    b'{"a":1,"a":2}',
    b"9" * 5_000,
    b"1e400",
    b"-0.0",
    b'"\\u0000"',
    b'"\\ud83d\\ude00 \\\\ud800"',
    b'{ "spaced" :  [ 1.0 , 1e2 ] }',
]


async def test_odd_but_valid_json_comes_back_byte_for_byte(
    client: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    for value in ODD_VALUES:
        with subtests.test(value=repr(value)[:60]):
            body = b'{"path":"u/admin/odd","resource_type":"x","value":' + value + b"}"
            answer = await client.post(f"{CREATE}?update_if_exists=true", content=body, headers=JSON)
            assert answer.status_code == 201
            assert (await client.get(f"{W}/resources/get_value/u/admin/odd")).content == value
            assert (await client.get(f"{W}/resources/get_value_interpolated/u/admin/odd")).content == value
            for lists in ("list", "list_search", "list_names/x", 'list?value={"a":1}'):
                assert (await client.get(f"{W}/resources/{lists}")).status_code == 200


async def test_of_a_key_given_twice_the_last_one_counts(client: httpx.AsyncClient) -> None:
    body = b'{"path":"u/admin/first","resource_type":"x","path":"u/admin/last"}'
    assert (await client.post(CREATE, content=body, headers=JSON)).text == "resource u/admin/last created"


async def test_a_body_over_the_limit_is_refused_with_the_setting(client: httpx.AsyncClient) -> None:
    refused(await client.post(CREATE, content=b" " * TOO_MANY_BYTES), 413, "MILLPOND_MAX_BODY_BYTES")


async def test_a_body_over_the_limit_that_hides_its_length_is_refused(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * (TOO_MANY_BYTES // 20)

    refused(await client.post(CREATE, content=chunks(), headers=JSON), 413, "MILLPOND_MAX_BODY_BYTES")


@pytest.mark.parametrize("path", ["jobs/run/p/u/admin/none", "jobs/run/preview", "scripts/create"])
async def test_the_limit_holds_wherever_a_body_is_read(
    client: httpx.AsyncClient, instance: Instance, path: str
) -> None:
    answer = await client.post(
        f"{W}/{path}", content=b" " * (instance.settings.max_body_bytes + 1), headers=JSON
    )
    # A script that is not there is looked for before the body is read.
    assert answer.status_code in (413, 404)
    assert "none" in path or answer.status_code == 413


WRONG_ADDRESSES = [
    (f"{W}/resources/get/f/none/x", 404, "Resource f/none/x not found"),
    (f"{W}/resources/get/bad", 404, "Resource bad not found"),
    (f"{W}/resources/get/f/a/{'x' * 300}", 404, "not found"),
    (f"{W}/resources/get/f%2Fa%2Fb", 404, "Resource f/a/b not found"),
    (f"{W}/resources/get/f/a/b%00c", 400, "NUL character"),
    (f"{W}/resources/get/f/a/%ff", 404, "not found"),
    (f"{W}/resources/get/f/a/..%2f..%2fb", 404, "not found"),
    (f"{W}/resources/list?path_start=%00", 400, "NUL character"),
    (f"{W}/resources/list?label=%00", 400, "NUL character"),
    (f"{W}/resources/list?per_page=-1", 400, "per_page"),
    (f"{W}/resources/list?page=-1", 400, "page"),
    (f"{W}/resources/list?page=1000000000000", 400, "page"),
    (f"{W}/resources/list?page=abc", 400, "page: Expected `int"),
    (f"{W}/resources/get_value/%00", 400, "NUL character"),
    (f"{W}/resources/type/get/%00", 400, "NUL character"),
    (f"{W}/variables/get/f/none/x", 404, "f/none/x"),
    (f"{W}/variables/get/%00", 400, "NUL character"),
    (f"{W}/variables/get/f/a/b?decrypt_secret=maybe", 400, "decrypt_secret: Expected `bool`"),
    (f"{W}/folders/get/none", 404, "none"),
    (f"{W}/folders/get/%00", 400, "NUL character"),
    (f"{W}/groups/get/%00", 400, "NUL character"),
    (f"{W}/users/get/nobody", 404, "nobody"),
    (f"{W}/acls/get/nokind/f/a/b", 400, "'nokind'"),
    (f"{W}/scripts/get/p/f/none/x", 404, "f/none/x"),
    (f"{W}/scripts/get/h/zz", 400, "'zz'"),
    (f"{W}/scripts/get/h/ffffffffffffffff", 404, "ffffffffffffffff"),
    (f"{W}/scripts/list?created_by=%00", 400, "NUL character"),
    (f"{W}/jobs_u/get/{NOWHERE}", 404, NOWHERE),
    (f"{W}/jobs_u/get/no-uuid", 404, "no endpoint GET"),
    (f"{W}/jobs_u/completed/get_result/{NOWHERE}", 404, NOWHERE),
    (f"{W}/jobs/list?created_after=nonsense", 400, "created_after"),
    (f"{W}/jobs/list?running=maybe", 400, "running"),
    (f"{W}/jobs/list?script_hash=zz", 400, "'zz'"),
    (f"{W}/jobs/list?args=%7B", 400, "args must be JSON"),
    (f"{W}/jobs/list?tag=%00", 400, "NUL character"),
    (f"{W}/jobs/queue/position/99999999999999999999999999", 400, "out of range"),
    (f"{W}/jobs/completed/count_jobs?completed_after_s_ago=99999999999999999", 400, ""),
    ("/api/w/none/resources/list", 404, "No workspace none"),
    ("/api/w/MAIN/resources/list", 404, "No workspace MAIN"),
    ("/api/w/%00/resources/list", 400, "NUL character"),
    (f"/api/w/{'x' * 5_000}/resources/list", 404, "No workspace"),
    ("/api/settings/global/%00", 400, "Invalid setting name"),
    ("/api/users/exists/%00", 400, "NUL character"),
    ("/api/auth/link/never", 401, "login link"),
    ("/api/auth/link/%00", 401, "login link"),
    ("/api/scripts_u/tokened_raw/main/never/f/a/b", 401, "the token is unknown"),
]


async def test_an_address_that_names_nothing_is_refused(
    client: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    for address, status, named in WRONG_ADDRESSES:
        with subtests.test(address=repr(address)[:60]):
            refused(await client.get(address), status, named)


BEYOND_THE_MAXIMUM = [f"{W}/resources/list?per_page=" + "9" * 26, "/api/workers/list?ping_since=9999999999"]


async def test_a_number_beyond_its_maximum_means_the_maximum(
    client: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    for address in BEYOND_THE_MAXIMUM:
        with subtests.test(address=repr(address)[:60]):
            assert (await client.get(address)).json() == []


NO_JSON = ["[" * 5_000 + "]" * 5_000, '"\\ud800"', "{", "NaN"]


async def test_a_filter_that_is_no_json_matches_nothing(
    client: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    for value in NO_JSON:
        with subtests.test(value=repr(value)[:60]):
            answer = await client.get(f"{W}/resources/list", params={"value": value})
            assert (answer.status_code, answer.json()) == (200, [])


ALL_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"]


UNKNOWN_ENDPOINTS = [
    "/api",
    "/api/",
    "/api/nothing",
    "/api/w",
    "/api/w/main",
    f"{W}/",
    f"{W}/nothing/at/all",
    "/api/w//resources/list",
]


async def test_an_unknown_endpoint_is_named_in_plain_text(
    client: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    for method in ALL_METHODS:
        for address in UNKNOWN_ENDPOINTS:
            with subtests.test(method=repr(method)[:60], address=repr(address)[:60]):
                answer = await client.request(method, address, headers={"accept": "text/html"})
                refused(answer, 404, *([] if method == "HEAD" else [f"no endpoint {method} {address}"]))


FRAMEWORK_PAGES = [
    "/internal-openapi",
    "/internal-openapi/openapi.json",
    "/internal-openapi/swagger",
    "/schema",
    "/docs",
]


async def test_the_framework_shows_no_pages_of_its_own(
    client: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    for address in FRAMEWORK_PAGES:
        with subtests.test(address=repr(address)[:60]):
            refused(await client.get(address, headers={"accept": "text/html"}), 404, "no endpoint")


OTHER_METHODS = ["POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"]


async def test_another_method_is_refused_with_those_there_are(
    client: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    for method in OTHER_METHODS:
        with subtests.test(method=repr(method)[:60]):
            answer = await client.request(method, f"{W}/resources/list")
            refused(answer, 405, f"Method not allowed: {method} {W}/resources/list")
            assert "GET" in answer.headers["allow"]


async def test_options_says_the_methods_and_head_carries_no_body(client: httpx.AsyncClient) -> None:
    answer = await client.options(f"{W}/resources/list")
    assert answer.status_code == 204
    assert "GET" in answer.headers["allow"]
    assert (await client.head(f"{W}/resources/list")).content == b""


async def test_percent_encoded_slashes_are_slashes(client: httpx.AsyncClient) -> None:
    body = {"path": "u/admin/here", "resource_type": "x", "value": 1}
    assert (await client.post(CREATE, json=body)).status_code == 201
    for path in ("u/admin/here", "u%2Fadmin%2Fhere", "u%2fadmin/here"):
        assert (await client.get(f"{W}/resources/get_value/{path}")).text == "1"


REFUSED_CALLS = [
    (
        "scripts/create",
        b'{"path":"u/admin/s","content":"\\u0000","language":"python3","summary":"","description":""}',
        "NUL",
    ),
    (
        "scripts/create",
        b'{"path":"u/admin/s","content":"x","language":"cobol","summary":"","description":""}',
        "cobol",
    ),
    (
        "variables/create",
        b'{"path":"u/admin/v","value":"\\u0000","is_secret":false,"description":""}',
        "NUL",
    ),
    (
        "resources/type/create",
        b'{"name":"deep","schema":' + b'{"items":' * 400 + b"{}" + b"}" * 400 + b"}",
        "deep",
    ),
    ("resources/type/create", b'{"name":"x","schema":{"type":"nonsense"}}', "no valid JSON Schema"),
    ("folders/create", b'{"name":"a/b"}', "a/b"),
    ("groups/create", b'{"name":""}', "group name"),
    ("jobs/add_batch_jobs/-1", b'{"kind":"noop"}', "-1"),
    ("jobs/add_batch_jobs/99999999999999999999", b'{"kind":"noop"}', "99999999999999999999"),
    ("jobs/add_batch_jobs/1", b'{"kind":"flight"}', "'flight'"),
    ("jobs/run/preview", b'{"content":"","language":"cobol","args":{}}', "cobol"),
    ("jobs/run/preview", b'{"content":"","language":"python3","args":[]}', "args"),
    ("jobs/queue/cancel_selection", b'["no-uuid"]', "$[0]"),
    ("resources/delete_bulk", b'{"paths":"f/a/b"}', "`$.paths`"),
]


async def test_what_a_noun_does_not_take_is_refused(
    client: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    for path, body, named in REFUSED_CALLS:
        with subtests.test(path=repr(path)[:60], body=repr(body)[:60]):
            method = "DELETE" if path.endswith("delete_bulk") else "POST"
            refused(await client.request(method, f"{W}/{path}", content=body, headers=JSON), 400, named)


DEFAULTS_NO_PARSER_FOLLOWS = ["(" * 5_000 + ")" * 5_000, "-" * 100_000 + "1", "[" * 5_000 + "]" * 5_000]


async def test_code_no_parser_can_follow_has_no_signature_and_harms_nothing(
    client: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    for default in DEFAULTS_NO_PARSER_FOLLOWS:
        with subtests.test(default=repr(default)[:60]):
            body = {"content": f"def main(x={default}): pass", "language": "python3"}
            answer = await client.post(f"{W}/scripts/infer_schema", json=body)
            assert answer.status_code in (200, 400)
            assert "text/html" not in answer.headers["content-type"]


async def test_a_schema_of_the_greatest_depth_can_be_deployed_twice(client: httpx.AsyncClient) -> None:
    """What one call can just read, the comparison with the version before cannot: it ends in no crash."""
    statuses = set()
    for depth in range(500, 1_000, 10):
        for space in ("", " "):
            schema = '{"a":' * depth + f"{space}1" + "}" * depth
            body = (
                f'{{"path":"u/admin/s{depth}","content":"def main(): pass","language":"python3","summary":"",'
                f'"description":"","schema":{schema}}}'
            )
            answer = await client.post(f"{W}/scripts/create", content=body, headers=JSON)
            statuses.add(answer.status_code)
    assert 500 not in statuses
    assert statuses >= {201, 400}


SENSELESS_LOGINS = [
    b'{"email":"\\u0000","password":"x"}',
    b'{"email":"a@example.com","password":1}',
    b'{"email":"a@example.com"}',
    b"email=a",
]


async def test_a_login_that_makes_no_sense_is_refused(
    client: httpx.AsyncClient, subtests: pytest.Subtests
) -> None:
    for body in SENSELESS_LOGINS:
        with subtests.test(body=repr(body)[:60]):
            refused(await client.post("/api/auth/login", content=body, headers=JSON), 400)


async def test_a_very_long_password_is_a_wrong_one(client: httpx.AsyncClient) -> None:
    body = {"email": "admin@localhost", "password": "x" * 100_000}
    refused(await client.post("/api/auth/login", json=body), 401, "wrong")
