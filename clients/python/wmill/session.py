"""Who speaks to which server and workspace, and the requests for endpoints without a function."""

# ruff: noqa: PLC0415  (imported when needed, see the package)
from __future__ import annotations

import os

from .encoding import clean_target, encode_json, encode_query
from .errors import WindmillError
from .transport import Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .encoding import Params
    from .response import Response

_TIMEOUT_SECONDS = 900.0
_REPEATABLE_METHODS = frozenset(("GET", "HEAD", "PUT", "DELETE"))


class Session:
    """Base of the nouns of `Windmill`: address, token, workspace and the sending of requests."""

    def __init__(
        self,
        base_url: str | None = None,
        token: str | None = None,
        workspace: str | None = None,
        verify: bool | str = True,
    ) -> None:
        """Take from the environment of the job what is not given.

        `base_url` (BASE_INTERNAL_URL, then WM_BASE_URL) comes without `/api`. `verify` is False to accept any
        TLS certificate, or the path of a bundle of authorities. Raises WindmillError without a workspace.
        Nothing is sent.
        """
        base = base_url or os.environ.get("BASE_INTERNAL_URL") or os.environ.get("WM_BASE_URL") or ""
        self.base_url = f"{base.rstrip('/')}/api"
        self.token = token or os.environ.get("WM_TOKEN")
        self.headers = {
            "Accept": "*/*",
            "User-Agent": "wmill-millpond",
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self.token}",
        }
        self.verify = verify
        self.workspace = workspace or os.environ.get("WM_WORKSPACE") or ""
        self.path = os.environ.get("WM_JOB_PATH")
        self.mocked_api = self.get_mocked_api()
        self._transport: Transport | None = None
        if not self.workspace:
            raise WindmillError("workspace required as an argument or as WM_WORKSPACE environment variable")

    def close(self) -> None:
        """Close idle connections. Optional: they are closed with the process."""
        if self._transport is not None:
            self._transport.close()

    def worker_has_internal_server(self) -> bool:
        """Whether the server runs on this machine."""
        rest = self.base_url.partition("://")[2]
        return any(
            rest == host or rest.startswith((f"{host}:", f"{host}/")) for host in ("localhost", "127.0.0.1")
        )

    def get_mocked_api(self) -> dict[str, Any] | None:
        """The variables and resources of the file WM_MOCKED_API_FILE, which then stand in for the server's.

        None when the variable is not set. An unreadable file counts as an empty one, with a warning.
        """
        mocked_path = os.environ.get("WM_MOCKED_API_FILE")
        if not mocked_path:
            return None
        import json
        from pathlib import Path

        mocked: dict[str, Any] = {"variables": {}, "resources": {}}
        try:
            mocked |= json.loads(Path(mocked_path).read_bytes())
        except (OSError, ValueError, TypeError) as error:
            import logging

            logger = logging.getLogger("windmill_client")
            logger.warning("No mocked API could be read from %s, using an empty one: %s", mocked_path, error)
        return mocked

    def get(self, endpoint: str, raise_for_status: bool = True, **kwargs: Any) -> Response:
        """GET any endpoint below `/api`; see `request`."""
        return self.request("GET", endpoint, raise_for_status, **kwargs)

    def post(self, endpoint: str, raise_for_status: bool = True, **kwargs: Any) -> Response:
        """POST to any endpoint below `/api`; see `request`."""
        return self.request("POST", endpoint, raise_for_status, **kwargs)

    def request(
        self,
        method: str,
        endpoint: str,
        raise_for_status: bool = True,
        *,
        params: Params | None = None,
        json: Any = None,
        content: bytes | str | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = _TIMEOUT_SECONDS,
        repeatable: bool | None = None,
    ) -> Response:
        """Send one request below `/api` and return the answer.

        `json=None` sends no body (`content=b"null"` sends a null). `timeout` is in seconds between two signs
        of life. Raises ApiError for an error status unless `raise_for_status` is false, and ConnectionFailed
        when there is no answer. `repeatable` tells that sending the request twice equals sending it once, so
        that a connection lost before the answer is no failure; by default that holds for every method but
        POST and PATCH.
        """
        target = f"/{clean_target(endpoint.lstrip('/'))}"
        if params and (query := encode_query(params)):
            target += f"{'&' if '?' in target else '?'}{query}"
        body = content.encode() if isinstance(content, str) else content or b""
        response = self._connected().request(
            method,
            target,
            self.headers | headers if headers else self.headers,
            encode_json(json) if json is not None else body,
            timeout=timeout,
            repeatable=method in _REPEATABLE_METHODS if repeatable is None else repeatable,
        )
        return response.raise_for_status() if raise_for_status else response

    def in_workspace(self, endpoint: str) -> str:
        """The endpoint of this client's workspace: `/w/{workspace}/{endpoint}`."""
        return f"/w/{self.workspace}/{endpoint}"

    def _connected(self) -> Transport:
        # Not in the constructor: with a mocked API there need not be a server.
        if self._transport is None:
            if self.base_url == "/api":
                raise WindmillError("No server address: set BASE_INTERNAL_URL, or pass base_url")
            self._transport = Transport(self.base_url, self.verify)
        return self._transport
