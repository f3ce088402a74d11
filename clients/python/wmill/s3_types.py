"""Dictionaries whose keys can be read as attributes: the S3 types that scripts name in their signatures.

The functions that would use them are not part of Millpond (see `unsupported`).
"""

from __future__ import annotations


class _AttributeDict(dict[str, object]):
    def __getattr__(self, name: str) -> object:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}") from None


class S3Object(_AttributeDict):
    """A file in a bucket: `s3` is its key."""


class S3FsClientKwargs(_AttributeDict):
    """Options of s3fs."""


class S3FsArgs(_AttributeDict):
    """Arguments of s3fs."""


class StorageOptions(_AttributeDict):
    """Options of polars."""


class PolarsConnectionSettings(_AttributeDict):
    """How polars reaches a bucket."""


class Boto3ConnectionSettings(_AttributeDict):
    """How boto3 reaches a bucket."""


class DuckDbConnectionSettings(_AttributeDict):
    """How DuckDB reaches a bucket."""
