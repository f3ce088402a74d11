"""The embedded PostgreSQL: a private server in the data directory, run from the binaries of a wheel.

Responsible for creating the cluster, starting and stopping the server, and for leaving nothing behind when
this process is killed. Not responsible for tables, connections or pools: those see an ordinary URL.
"""

from millpond.store.embedded.lock import InstanceLock
from millpond.store.embedded.server import EmbeddedPostgres

__all__ = ["EmbeddedPostgres", "InstanceLock"]
