"""Where the server is: the parts of a base URL."""

from __future__ import annotations

from .errors import WindmillError

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Address:
    """A base URL taken apart: `prefix` is its path without the last slash, `host` has no IPv6 brackets."""

    __slots__ = ("host", "host_header", "port", "prefix", "scheme")

    def __init__(self, url: str) -> None:
        """Raises WindmillError for anything but `http[s]://host[:port][/prefix]`."""
        scheme, separator, rest = url.partition("://")
        authority, _, prefix = rest.partition("/")
        host, port = _split_port(authority)
        self.scheme = scheme.lower()
        if not separator or self.scheme not in _DEFAULT_PORTS or not host or "@" in authority:
            raise WindmillError(
                f"Not a server address: {url!r}. BASE_INTERNAL_URL must be like http://host:8000"
            )
        if port and not port.isdecimal():
            raise WindmillError(f"Not a port number in the server address {url!r}")
        self.host = host
        self.port = int(port) if port else _DEFAULT_PORTS[self.scheme]
        self.host_header = authority
        self.prefix = f"/{prefix.strip('/')}" if prefix.strip("/") else ""


def _split_port(authority: str) -> tuple[str, str]:
    if authority.startswith("["):
        host, _, port = authority[1:].partition("]")
        return host, port.removeprefix(":")
    host, _, port = authority.partition(":")
    return host, port
