"""`millpond serve`: everything of an instance on this machine."""

import click

from millpond.base.log import configure_logging
from millpond.base.settings import Settings
from millpond.cli.options import SERVER_SETTINGS, WORKER_SETTINGS, settings_options
from millpond.cli.supervisor import Supervisor


@click.command()
@settings_options(*SERVER_SETTINGS, *WORKER_SETTINGS, "workers")
def serve(settings: Settings) -> None:
    """Run the database, the server and the workers, until SIGTERM or Ctrl-C."""
    configure_logging(settings, "supervisor")
    Supervisor(settings).run()
