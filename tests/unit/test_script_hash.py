"""What a version's hash depends on, and the rules a deployment must obey before anything is stored."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.base.errors import InvalidInput
from millpond.base.ids import hash_from_hex, hash_to_hex
from millpond.model.actors import Actor
from millpond.model.scripts import NewScript, PreparedScript, ScriptSettings, UnsupportedSettings
from millpond.services.script_preparation import MAX_CONTENT_CHARACTERS, hash_of, prepare

LANGUAGES = frozenset({"python3", "bash", "bun"})
HENRI = Actor(workspace_id="main", email="henri@localhost", username="henri")
CODE = "def main(n: int, name: str = 'x'):\n    return n\n"


def prepared(**changes: object) -> PreparedScript:
    body = {"path": "f/etl/load", "summary": "Load", "content": CODE, "language": "python3"}
    return prepare(HENRI, msgspec.json.decode(msgspec.json.encode(body | changes), type=NewScript), LANGUAGES)


def test_the_hash_of_a_version_is_the_same_on_every_machine() -> None:
    script = PreparedScript(
        path="f/etl/load",
        summary="Load",
        description="",
        content=CODE,
        language="python3",
        kind="script",
        schema="{}",
        lock=None,
        is_template=False,
        has_preprocessor=False,
        no_main=False,
        settings=ScriptSettings(tag="etl"),
        labels=None,
        deployment_message=None,
    )
    assert hash_to_hex(hash_of("main", None, script)) == "a1da691786f971df"


def test_the_hash_ignores_what_a_deployment_says_of_itself() -> None:
    assert hash_of("main", None, prepared(deployment_message="a")) == hash_of("main", None, prepared())


@pytest.mark.parametrize(
    "change",
    [
        {"path": "f/etl/store"},
        {"summary": "Store"},
        {"description": "Loads"},
        {"content": CODE + "\n"},
        {"language": "bash"},
        {"kind": "failure"},
        {"schema": {"type": "object"}},
        {"lock": "httpx==0.28.1"},
        {"is_template": True},
        {"tag": "gpu"},
        {"timeout": 5},
        {"priority": 5},
        {"envs": ["A=1"]},
        {"labels": ["nightly"]},
        {"on_behalf_of_email": "henri@localhost"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_hash_depends_on(change: dict[str, object]) -> None:
    assert hash_of("main", None, prepared(**change)) != hash_of("main", None, prepared())


def test_the_hash_depends_on_workspace_and_parent() -> None:
    script = prepared()
    hashes = {hash_of("main", None, script), hash_of("other", None, script), hash_of("main", 7, script)}
    assert len(hashes) == 3


@given(st.text(max_size=40), st.integers(-(2**63), 2**63 - 1))
def test_every_hash_fits_its_column_and_survives_the_wire(summary: str, parent: int) -> None:
    script = msgspec.structs.replace(prepared(), summary=summary)
    value = hash_of("main", parent, script)
    assert -(2**63) <= value < 2**63
    assert hash_from_hex(hash_to_hex(value)) == value


def test_a_python_script_without_a_lock_waits_for_one_and_others_need_none() -> None:
    assert prepared().lock is None
    assert prepared(lock="").lock is None
    assert prepared(lock=" \n").lock is None
    assert prepared(lock="# py: 3.11\n").lock == "# py: 3.11\n"
    assert prepared(language="bash", content="echo").lock == ""
    assert prepared(language="bun", content="export function main() {}", lock="{}").lock == "{}"


def test_the_schema_is_kept_as_given_or_inferred() -> None:
    body = msgspec.json.decode(
        b'{"path":"f/a/b","summary":"","content":"","language":"python3","schema": {"b": 1.0,  "a":[] }}',
        type=NewScript,
    )
    assert prepare(HENRI, body, LANGUAGES).schema == '{"b": 1.0,  "a":[] }'
    inferred = msgspec.json.decode(prepared().schema, type=dict[str, object])
    assert inferred["required"] == ["n"]
    assert inferred["order"] == ["n", "name"]
    assert prepared(schema=None).schema == prepared().schema


def test_entry_points_are_read_from_the_content() -> None:
    assert not prepared().no_main
    assert prepared(content="X = 1").no_main
    assert not prepared(content="def main(:").no_main
    assert not prepared(language="bash", content="echo").no_main
    assert prepared(content=CODE + "def preprocessor(event):\n    return {}\n").has_preprocessor


ASKING: dict[str, object] = {
    "cache_ignore_s3_path": True,
    "debounce_key": "k",
    "debounce_delay_s": 1,
    "debounce_args_to_accumulate": ["a"],
    "max_total_debouncing_time": 1,
    "max_total_debounces_amount": 1,
    "dedicated_worker": True,
    "ws_error_handler_muted": True,
    "restart_unless_cancelled": True,
    "codebase": "digest",
    "modules": {"a.py": {"content": ""}},
    "job_token_scopes": ["jobs:run"],
    "draft_only": True,
    "assets": [{}],
}


def test_every_unsupported_setting_is_among_those_tested() -> None:
    assert set(ASKING) == set(UnsupportedSettings.__struct_fields__)


@pytest.mark.parametrize("name", ASKING)
def test_an_unsupported_setting_is_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidInput, match=rf"does not support the script setting {name}:"):
        prepared(**{name: ASKING[name]})


def test_unsupported_settings_that_ask_for_nothing_are_dropped() -> None:
    nothing: dict[str, object] = {"delete_after_secs": None, "modules": {}, "codebase": "", "cache_ttl": 0}
    nothing |= {"dedicated_worker": False, "concurrency_key": "", "assets": [], "concurrent_limit": None}
    assert prepared(**nothing) == prepared()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": "load"}, "Invalid path"),
        ({"path": "f/" + "a" * 300 + "/b"}, "255 are allowed"),
        ({"language": "oracledb"}, "'oracledb' cannot run here; supported are bash, bun, python3"),
        ({"schema": [1]}, "schema must be a JSON object"),
        ({"schema": "text"}, "schema must be a JSON object"),
        ({"content": "a\x00b"}, "content holds a NUL"),
        ({"summary": "\x00"}, "summary holds a NUL"),
        ({"tag": "a\x00"}, "tag holds a NUL"),
        ({"tag": "t" * 51}, "tag is 51 characters long"),
        ({"content": "#" * (MAX_CONTENT_CHARACTERS + 1)}, "characters long"),
        ({"timeout": -1}, "timeout must be between 1 and"),
        ({"timeout": 2**31}, "timeout must be between 1 and"),
        ({"priority": 101}, "priority must be between 1 and 100"),
        ({"envs": ["A=1", "nope"]}, r"envs\[1\] is not of the form NAME=value"),
        ({"envs": ["1A=x"]}, r"envs\[0\] is not of the form"),
        ({"envs": ["WM_TOKEN=x"]}, "sets WM_TOKEN, which the engine sets itself"),
        ({"envs": ["BASE_INTERNAL_URL=x"]}, "which the engine sets itself"),
        ({"labels": [""]}, "labels of 1 to 50 characters"),
        ({"on_behalf_of_email": "admin@localhost"}, "setting on_behalf_of_email"),
    ],
)
def test_a_deployment_that_breaks_a_rule_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        prepared(**change)


def test_the_value_of_a_malformed_env_is_not_repeated() -> None:
    with pytest.raises(InvalidInput) as caught:
        prepared(envs=["hunter2"])
    assert "hunter2" not in caught.value.message


def test_settings_that_act_are_kept() -> None:
    settings = prepared(tag="gpu", timeout=5, priority=3, envs=["A=1=2", "B="]).settings
    assert settings == ScriptSettings(tag="gpu", timeout=5, priority=3, envs=["A=1=2", "B="])
    assert prepared(tag="", timeout=0, priority=0, envs=[]).settings == ScriptSettings()


def test_bun_with_the_native_header_is_bunnative_only_where_that_runs() -> None:
    body = {
        "path": "f/a/b",
        "summary": "",
        "language": "bun",
        "content": "//native\nexport function main() {}",
    }
    new = msgspec.convert(body, NewScript)
    assert prepare(HENRI, new, LANGUAGES).language == "bun"
    assert prepare(HENRI, new, LANGUAGES | {"bunnative"}).language == "bunnative"
