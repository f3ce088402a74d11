"""What a deployment must obey, and what is derived from the script's content. No I/O."""

import hashlib
import re
from collections.abc import Iterable

import msgspec

from millpond.base.errors import InvalidInput
from millpond.base.paths import check_path
from millpond.model.actors import Actor
from millpond.model.scripts import LOCKED_LANGUAGES, NewScript, PreparedScript, ScriptSettings
from millpond.signatures import Signature, infer

MAX_CONTENT_CHARACTERS = 1024**2
MAX_TAG_CHARACTERS = 50
MAX_LABELS = 50
MAX_TIMEOUT_SECS = 2**31 - 1
MAX_SECS = 10 * 366 * 86_400
"""Of cache_ttl, delete_after_secs and the window of a concurrency limit: beyond lies a mistake, or out of the calendar."""

MAX_CONCURRENT = 1_000_000
MAX_KEY_CHARACTERS = 1000
MAX_PRIORITY = 100
MAX_ENVS = 100

_ENV = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=.*", re.DOTALL)
_RESERVED_ENV = re.compile(r"WM_.*|BASE_URL|BASE_INTERNAL_URL")
_NATIVE_HEADER = re.compile(r"\s*//\s*native\b")
_TYPESCRIPT = frozenset({"bun", "bunnative", "deno", "nativets"})


def prepare(actor: Actor, new: NewScript, languages: frozenset[str]) -> PreparedScript:
    """The version `new` asks for. Raises InvalidInput naming the field that breaks a rule.

    A syntax error in the content is none: the script can be deployed, and its runs report it.
    """
    check_path(new.path)
    _refuse_unsupported(new)
    _check_content(new)
    language = _language(new, languages)
    signature = infer(language, new.content)
    given_lock = new.lock if new.lock and new.lock.strip() else None
    return PreparedScript(
        path=new.path,
        summary=new.summary,
        description=new.description or "",
        content=new.content,
        language=language,
        kind=new.kind or "script",
        schema=_schema(new, signature),
        lock=given_lock or (None if language in LOCKED_LANGUAGES else ""),
        is_template=bool(new.is_template),
        has_preprocessor=signature.has_preprocessor,
        no_main=_lacks_main(language, signature),
        settings=_settings(actor, new),
        labels=_labels(new.labels),
        deployment_message=new.deployment_message or None,
    )


def hash_of(workspace_id: str, parent_hash: int | None, script: PreparedScript) -> int:
    """The version's identity, a signed 64-bit integer: the same for the same deployment, on every machine."""
    facts = (
        workspace_id,
        parent_hash,
        script.path,
        script.summary,
        script.description,
        script.content,
        script.language,
        script.kind,
        script.schema,
        script.lock,
        script.is_template,
        script.settings,
        script.labels,
    )
    digest = hashlib.sha256(msgspec.json.encode(facts)).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _refuse_unsupported(new: NewScript) -> None:
    names = new.asked_for()
    if names:
        raise InvalidInput(
            f"This version does not support the script setting {', '.join(names)}: nothing would act on it"
        )


def _check_content(new: NewScript) -> None:
    if len(new.content) > MAX_CONTENT_CHARACTERS:
        raise InvalidInput(
            f"The script is {len(new.content)} characters long, {MAX_CONTENT_CHARACTERS} are allowed"
        )
    texts = {
        "content": new.content,
        "summary": new.summary,
        "description": new.description,
        "lock": new.lock,
        "deployment_message": new.deployment_message,
        "tag": new.tag,
        "labels": "".join(new.labels or []),
        "envs": "".join(new.envs or []),
        "concurrency_key": new.concurrency_key,
    }
    for name, text in texts.items():
        if text and "\x00" in text:
            raise InvalidInput(f"The script's {name} holds a NUL character")


def _language(new: NewScript, languages: frozenset[str]) -> str:
    if new.language == "bun" and "bunnative" in languages and _NATIVE_HEADER.match(new.content):
        return "bunnative"
    if new.language not in languages:
        raise InvalidInput(
            f"Scripts in {new.language!r} cannot run here; supported are {', '.join(sorted(languages))}"
        )
    return new.language


def _schema(new: NewScript, signature: Signature) -> str:
    given = "null" if new.schema is msgspec.UNSET else bytes(new.schema).decode().strip()
    if given == "null":
        return msgspec.json.encode(signature.schema).decode()
    if not given.startswith("{"):
        raise InvalidInput("The script's schema must be a JSON object")
    return given


def _lacks_main(language: str, signature: Signature) -> bool:
    # A file that cannot be parsed is not hidden as a module without `main`: its author must find it.
    knows = language == "python3" or language in _TYPESCRIPT
    return knows and not signature.has_main and signature.error is None


def _settings(actor: Actor, new: NewScript) -> ScriptSettings:
    if new.on_behalf_of_email and new.on_behalf_of_email != actor.email:
        raise InvalidInput(
            "This version does not support the script setting on_behalf_of_email with another e-mail than "
            f"the deployer's own, {actor.email}"
        )
    if new.tag and len(new.tag) > MAX_TAG_CHARACTERS:
        raise InvalidInput(
            f"The script's tag is {len(new.tag)} characters long, {MAX_TAG_CHARACTERS} are allowed"
        )
    if new.concurrency_key and len(new.concurrency_key) > MAX_KEY_CHARACTERS:
        raise InvalidInput(
            f"The script's concurrency_key is {len(new.concurrency_key)} characters long, "
            f"{MAX_KEY_CHARACTERS} are allowed"
        )
    return ScriptSettings(
        tag=new.tag or None,
        timeout=_within("timeout", new.timeout, MAX_TIMEOUT_SECS),
        priority=_within("priority", new.priority, MAX_PRIORITY),
        envs=_envs(new.envs or []) or None,
        on_behalf_of_email=new.on_behalf_of_email or None,
        cache_ttl=_within("cache_ttl", new.cache_ttl, MAX_SECS),
        concurrent_limit=_within("concurrent_limit", new.concurrent_limit, MAX_CONCURRENT),
        concurrency_time_window_s=_within(
            "concurrency_time_window_s", new.concurrency_time_window_s, MAX_SECS
        ),
        concurrency_key=new.concurrency_key or None,
        delete_after_use=new.delete_after_use or None,
        # Zero seconds asks for something here: to forget at once.
        delete_after_secs=0
        if new.delete_after_secs == 0
        else _within("delete_after_secs", new.delete_after_secs, MAX_SECS),
        visible_to_runner_only=new.visible_to_runner_only or None,
    )


def _within(name: str, value: int | None, maximum: int) -> int | None:
    if value and not 0 < value <= maximum:
        raise InvalidInput(f"The script's {name} must be between 1 and {maximum}, not {value}")
    return value or None


def _envs(envs: Iterable[str]) -> list[str]:
    checked = list(envs)
    if len(checked) > MAX_ENVS:
        raise InvalidInput(f"The script has {len(checked)} envs, {MAX_ENVS} are allowed")
    for number, env in enumerate(checked):
        match = _ENV.fullmatch(env)
        # The text itself may be a secret: only the place is told.
        if match is None:
            raise InvalidInput(f"envs[{number}] is not of the form NAME=value")
        if _RESERVED_ENV.fullmatch(match[1]):
            raise InvalidInput(f"envs[{number}] sets {match[1]}, which the engine sets itself")
    return checked


def _labels(labels: list[str] | None) -> list[str] | None:
    if labels and (len(labels) > MAX_LABELS or any(not label or len(label) > 50 for label in labels)):
        raise InvalidInput(f"A script has up to {MAX_LABELS} labels of 1 to 50 characters")
    return labels or None
