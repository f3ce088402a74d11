"""The resource types every workspace has from the start;

A workspace's own type of the same name takes precedence.
"""

from collections.abc import Mapping

import msgspec

from millpond.model.resource_types import SHARED_WORKSPACE, ResourceType

_Schema = dict[str, object]


def _object(properties: Mapping[str, _Schema], required: list[str]) -> _Schema:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": dict(properties),
        "required": required,
    }


def _text(description: str, **more: object) -> _Schema:
    return {"type": "string", "description": description, **more}


def _secret(description: str) -> _Schema:
    return _text(description, password=True)


def _port(default: int) -> _Schema:
    return {"type": "integer", "description": "Port", "default": default, "minimum": 1, "maximum": 65535}


_POSTGRESQL = _object(
    {
        "host": _text("Host name or address"),
        "port": _port(5432),
        "dbname": _text("Name of the database"),
        "user": _text("User to connect as"),
        "password": _secret("Password of the user"),
        "sslmode": _text(
            "How TLS is used",
            enum=["disable", "allow", "prefer", "require", "verify-ca", "verify-full"],
            default="prefer",
        ),
        "root_certificate_pem": _text("Certificate authority to trust, in PEM"),
    },
    ["host", "dbname"],
)

_MYSQL = _object(
    {
        "host": _text("Host name or address"),
        "port": _port(3306),
        "database": _text("Name of the database"),
        "user": _text("User to connect as"),
        "password": _secret("Password of the user"),
        "ssl": {"type": "boolean", "description": "Whether TLS is used", "default": False},
    },
    ["host", "database"],
)

_S3 = _object(
    {
        "bucket": _text("Name of the bucket"),
        "region": _text("Region of the bucket"),
        "endPoint": _text("Host of the service, without scheme"),
        "port": _port(443),
        "useSSL": {"type": "boolean", "description": "Whether TLS is used", "default": True},
        "pathStyle": {
            "type": "boolean",
            "description": "Whether the bucket stands in the path, not the host",
        },
        "accessKey": _text("Access key id"),
        "secretKey": _secret("Secret access key"),
    },
    ["bucket"],
)

_SMTP = _object(
    {
        "host": _text("Host name or address"),
        "port": _port(587),
        "user": _text("User to log in as"),
        "password": _secret("Password of the user"),
    },
    ["host", "port"],
)

_TYPES: tuple[tuple[str, str, _Schema | None], ...] = (
    ("any", "Any JSON; not validated", None),
    ("cache", "Cached result of a script or step; not validated", None),
    ("github", "Access to GitHub", _object({"token": _secret("Access token")}, ["token"])),
    ("mysql", "Connection to a MySQL database", _MYSQL),
    (
        "openai",
        "Access to the OpenAI API",
        _object({"api_key": _secret("API key"), "organization_id": _text("Organization")}, ["api_key"]),
    ),
    ("postgresql", "Connection to a PostgreSQL database", _POSTGRESQL),
    ("s3", "Bucket of an S3-compatible object store", _S3),
    ("slack", "Access to a Slack workspace", _object({"token": _secret("Bot token")}, ["token"])),
    ("smtp", "Server that sends e-mail", _SMTP),
    ("state", "What a script remembers from run to run; not validated", None),
)

BUILTIN_RESOURCE_TYPES: Mapping[str, ResourceType] = {
    name: ResourceType(
        workspace_id=SHARED_WORKSPACE,
        name=name,
        schema=msgspec.Raw(msgspec.json.encode(schema if schema is not None else {})),
        description=description,
    )
    for name, description, schema in _TYPES
}
