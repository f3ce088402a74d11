"""Checks values of resources against the JSON Schema of their type, and schemas before they are stored.

A string that is a reference counts as valid wherever it stands: what it stands for is known only when it is
read. Schemas come from users, so nothing in them makes the server fetch a URL or read a file.
"""

import json
from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import NoReturn, Protocol, cast

import jsonschema_rs
import msgspec

from millpond.base.errors import InvalidInput
from millpond.base.log import get_logger
from millpond.model.resource_types import UNCHECKED_TYPES, ResourceType

log = get_logger()

MAX_COMPILED = 256

_REFERENCES = ("$var:", "$res:", "$jsonvar:")
_COMBINATIONS = frozenset({"anyOf", "oneOf", "not", "if", "then", "else", "contains", "dependentSchemas"})
_UNBUILDABLE = (ValueError, TypeError, OverflowError, RecursionError, jsonschema_rs.ReferencingError)


class _Finding(Protocol):
    """What the schema library says of one failure."""

    @property
    def message(self) -> str: ...

    @property
    def instance_path(self) -> Sequence[str | int]: ...

    @property
    def schema_path(self) -> Sequence[str | int]: ...


class ResourceValidation:
    """Compiled schemas, kept by workspace, type and the time of the type's last edit."""

    def __init__(self) -> None:
        self._compiled: OrderedDict[tuple[str, str, datetime | None], jsonschema_rs.Validator | None] = (
            OrderedDict()
        )

    def check(self, resource_type: ResourceType | None, value: msgspec.Raw) -> None:
        """Refuse a value that is none of its type; types unknown or without a schema take anything.

        Raises InvalidInput naming the type and the JSON pointer of the first place that fails.
        """
        if resource_type is None or resource_type.name in UNCHECKED_TYPES:
            return
        validator = self._validator(resource_type)
        if validator is None:
            return
        try:
            instance: object = json.loads(bytes(value))
            findings = [cast("_Finding", finding) for finding in validator.iter_errors(instance)]
        except _UNBUILDABLE as error:
            raise InvalidInput(
                f"The value cannot be checked against resource type {resource_type.name} ({error}); "
                "validate=false in the query stores it unchecked"
            ) from error
        for finding in findings:
            if not _is_excused(finding, instance):
                raise InvalidInput(
                    f"The value is no valid {resource_type.name}: {finding.message} "
                    f"at {_pointer(finding.instance_path)!r} (validate=false in the query skips this check)"
                )

    def _validator(self, resource_type: ResourceType) -> jsonschema_rs.Validator | None:
        key = (resource_type.workspace_id, resource_type.name, resource_type.edited_at)
        if key not in self._compiled:
            self._compiled[key] = _compile_stored(resource_type)
            while len(self._compiled) > MAX_COMPILED:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(key)
        return self._compiled[key]


def check_schema(name: str, schema: msgspec.Raw) -> None:
    """Refuse what is no JSON Schema, before it becomes a type. Raises InvalidInput."""
    try:
        _compile(json.loads(bytes(schema)))
    except _UNBUILDABLE as error:
        reason = getattr(error, "message", None) or str(error)
        raise InvalidInput(f"The schema of resource type {name} is no valid JSON Schema: {reason}") from error


def _compile_stored(resource_type: ResourceType) -> jsonschema_rs.Validator | None:
    # A stored schema that is broken must not make its resources unwritable for ever.
    try:
        return _compile(json.loads(bytes(resource_type.schema)))
    except _UNBUILDABLE:
        log.warning(
            "resource_type_schema_broken", workspace_id=resource_type.workspace_id, name=resource_type.name
        )
        return None


def _compile(schema: object) -> jsonschema_rs.Validator | None:
    if schema is None:
        return None
    if not isinstance(schema, dict | bool):
        raise TypeError("a schema is an object")
    # Values hold passwords: failures are described without them.
    return jsonschema_rs.validator_for(
        cast("dict[str, object] | bool", _without_nulls(schema)),
        validate_formats=False,
        retriever=_refuse_to_fetch,
        mask="the value",
    )


def _refuse_to_fetch(uri: str) -> NoReturn:
    raise ValueError(f"{uri} lies outside the schema")


def _without_nulls(schema: object) -> object:
    """Windmill's editors write null for a keyword that is not set."""
    if isinstance(schema, dict):
        return {
            key: inner if key in ("const", "default", "enum", "examples") else _without_nulls(inner)
            for key, inner in schema.items()
            if inner is not None or key in ("const", "default")
        }
    return [_without_nulls(inner) for inner in schema] if isinstance(schema, list) else schema


def _is_excused(finding: _Finding, instance: object) -> bool:
    place = instance
    for step in finding.instance_path:
        place = place[step]  # type: ignore[index]  # the path comes from the instance itself
    if _is_reference(place):
        return True
    # Whether one of several shapes fits cannot be told while a part of the value is still a reference.
    combined = any(step in _COMBINATIONS for step in finding.schema_path)
    return combined and _holds_reference(place)


def _is_reference(value: object) -> bool:
    return isinstance(value, str) and value.startswith(_REFERENCES)


def _holds_reference(value: object) -> bool:
    pending = [value]
    while pending:
        match pending.pop():
            case dict() as members:
                pending.extend(members.values())
            case list() as items:
                pending.extend(items)
            case inner if _is_reference(inner):
                return True
    return False


def _pointer(path: Sequence[str | int]) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
