"""The address of the server: binding it, and how jobs on this machine reach it."""

import socket

from millpond.base.errors import StartupRefused
from millpond.base.settings import Settings

BACKLOG = 1024


def listening_socket(settings: Settings) -> socket.socket:
    """The socket to serve on. Raises StartupRefused when the address cannot be had."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # The protocol is named: event loops turn Nagle's algorithm off only where it is.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((settings.host, settings.port))
    except OSError as error:
        bound.close()
        raise StartupRefused(
            f"Cannot listen on {settings.host} port {settings.port}: {error.strerror}. Choose another with --host and --port"
        ) from None
    bound.listen(BACKLOG)
    return bound


def internal_address(settings: Settings, port: int) -> str:
    """Where jobs on this machine reach the server."""
    if settings.internal_url:
        return settings.internal_url.rstrip("/")
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host  # noqa: S104  # compared, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
