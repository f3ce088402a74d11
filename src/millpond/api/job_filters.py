"""From a query string to the filters of a job list."""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from millpond.api.bodies import decode, split_list
from millpond.base.errors import InvalidInput
from millpond.base.ids import hash_from_hex
from millpond.model.jobs import JobFilters

_LISTS = frozenset({"job_kinds"})
_JSON = frozenset({"args", "result"})


def filters_of(query: Mapping[str, str]) -> JobFilters:
    """The filters a query string names; parameters that are no filter are left alone. Raises InvalidInput."""
    given: dict[str, object] = {}
    for name in JobFilters.__struct_fields__:
        value = query.get(name)
        if value is None or value == "":
            continue
        given[name] = _value(name, value)
    try:
        found = msgspec.convert(given, JobFilters, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"A filter does not fit: {error}") from None
    naive = {
        name: instant.replace(tzinfo=UTC)
        for name in given
        if isinstance(instant := getattr(found, name), datetime) and instant.tzinfo is None
    }
    return msgspec.structs.replace(found, **naive)


def _value(name: str, value: str) -> object:
    if name in _LISTS:
        return split_list(value)
    if name == "script_hash":
        found = hash_from_hex(value)
        if found is None:
            raise InvalidInput(f"{value!r} is no script hash: it has 16 hex digits")
        return found
    if name in _JSON:
        try:
            decode(value.encode(), object)
        except InvalidInput as error:
            raise InvalidInput(f"{name} must be JSON: {error.message}") from None
    if name == "status" and value not in ("success", "failure", "canceled", "skipped"):
        raise InvalidInput(f"status is one of success, failure, canceled, skipped; not {value!r}")
    return value
