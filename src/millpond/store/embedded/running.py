"""Finds the embedded server that another process of this instance runs."""

from pathlib import Path
from urllib.parse import quote, urlencode

from millpond.store.embedded.cluster import DATABASE, USER
from millpond.store.embedded.layout import Layout

_PORT_LINE, _SOCKETS_LINE, _STATUS_LINE = 3, 4, 7


def running_url(data_dir: Path) -> str | None:
    """The URL of the server that runs in a data directory; None when none does, or it is not ready.

    Only the user who starts the instance can read the password behind it: raises PermissionError for others.
    """
    layout = Layout(data_dir.resolve())
    try:
        lines = layout.postmaster_file.read_text().splitlines()
        password = layout.password_file.read_text().strip()
    except FileNotFoundError:
        return None
    if (
        len(lines) <= _STATUS_LINE
        or lines[_STATUS_LINE].strip() != "ready"
        or not Path(f"/proc/{lines[0]}").exists()
    ):
        return None
    query = urlencode({"host": lines[_SOCKETS_LINE], "port": lines[_PORT_LINE]}, quote_via=quote)
    return f"postgresql://{USER}:{password}@/{DATABASE}?{query}"
