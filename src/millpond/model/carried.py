"""Defaults for JSON that is only carried. As factories: the OpenAPI document cannot hold carried JSON as a default."""

import msgspec


def null_json() -> msgspec.Raw:
    """The JSON null."""
    return msgspec.Raw(b"null")


def empty_object() -> msgspec.Raw:
    """The JSON object without members."""
    return msgspec.Raw(b"{}")
