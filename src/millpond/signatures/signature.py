"""The signature of a script: what its entry point takes, as a JSON Schema."""

import msgspec

JSON_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a script without running it.

    `schema` is a JSON Schema of the arguments, with their `order`; it has no properties when there is no
    entry point. `error` says where the syntax is broken (`line 3: invalid syntax`).
    """

    schema: dict[str, object]
    has_main: bool
    has_preprocessor: bool = False
    error: str | None = None


def arguments_schema(properties: dict[str, object], required: list[str]) -> dict[str, object]:
    """The schema of an entry point that takes `properties`, in this order."""
    return {
        "$schema": JSON_SCHEMA_DIALECT,
        "type": "object",
        "properties": properties,
        "required": required,
        "order": list(properties),
    }
