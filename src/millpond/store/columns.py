"""How columns become values and back: carried JSON, permissions, search patterns."""

import msgspec


def raw(stored: str | None) -> msgspec.Raw:
    """Stored JSON as it goes on the wire."""
    return msgspec.Raw(b"null" if stored is None else stored.encode())


def text(value: msgspec.Raw) -> str:
    """JSON from the wire as it is stored. The request's body was checked to be UTF-8."""
    return bytes(value).decode()


def perms(stored: str) -> dict[str, bool]:
    """The `extra_perms` of a row."""
    return {} if stored == "{}" else msgspec.json.decode(stored, type=dict[str, bool])


def contains(pattern: str | None) -> str | None:
    """An ILIKE pattern for 'contains this text', in which the user's '%' and '_' mean themselves."""
    if pattern is None:
        return None
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def json_text(value: object) -> str:
    """JSON text of a value of ours."""
    return msgspec.json.encode(value).decode()
