"""Settings of the embedded server: durable as PostgreSQL's defaults, and small enough for a laptop.

They are given on the server's command line, so that a release can change them for clusters that exist.
"""

from collections.abc import Mapping
from pathlib import Path

from millpond.store.embedded.sockets import PORT

_TUNING: Mapping[str, str] = {
    # Durability, spelled out: a finished job must survive a power cut.
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # No replicas: WAL carries what crash recovery needs and no more.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_replication_slots": "0",
    "max_wal_size": "1GB",
    "min_wal_size": "64MB",
    "checkpoint_timeout": "10min",
    # Memory and processes.
    "max_connections": "60",
    "shared_buffers": "48MB",
    "effective_cache_size": "512MB",
    "maintenance_work_mem": "32MB",
    "max_worker_processes": "2",
    "max_parallel_workers": "2",
    "max_parallel_workers_per_gather": "0",
    "max_logical_replication_workers": "0",
    "io_method": "sync",
    "huge_pages": "off",
    "jit": "off",
    "random_page_cost": "1.1",
    # The queue's tables are small and rewritten all day: dead rows slow every claim.
    "autovacuum": "on",
    "autovacuum_naptime": "30s",
    "autovacuum_max_workers": "2",
    "autovacuum_worker_slots": "2",
    # Terse messages leave out the DETAIL line, which quotes values of rows.
    "logging_collector": "off",
    "log_checkpoints": "off",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


def server_arguments(cluster: Path, sockets: Path, settings: Mapping[str, str]) -> list[str]:
    """The arguments of `postgres`; `settings` overrides the tuning, but not who may connect and where."""
    quoted = str(sockets).replace('"', '""')
    access = {
        "listen_addresses": "",
        "unix_socket_directories": f'"{quoted}"',
        "unix_socket_permissions": "0700",
        "port": str(PORT),
    }
    arguments = ["-D", str(cluster)]
    for name, value in {**_TUNING, **settings, **access}.items():
        arguments += ["-c", f"{name}={value}"]
    return arguments
