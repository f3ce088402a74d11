"""`millpond serve`: everything of an instance on this machine."""

import click

from millpond.base.log import configure_logging
from millpond.base.settings import Settings
from millpond.cli.options import settings_options
from millpond.cli.supervisor import Supervisor


@click.command()
@settings_options(
    "host",
    "port",
    "data_dir",
    "database_url",
    "workers",
    "base_url",
    "internal_url",
    "slots",
    "worker_tags",
    "worker_group",
    "sandbox",
    "job_timeout_secs",
    "job_memory_bytes",
    "job_processes",
    "job_log_bytes",
    "job_result_bytes",
    "source_builds",
    "wait_result_secs",
    "max_body_bytes",
    "drain_secs",
    "log_level",
    "log_format",
)
def serve(settings: Settings) -> None:
    """Run the database, the server and the workers, until SIGTERM or Ctrl-C."""
    configure_logging(settings, "supervisor")
    Supervisor(settings).run()
