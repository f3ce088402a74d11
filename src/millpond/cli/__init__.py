"""The command line: `millpond serve`, its parts alone, and administration on the instance's own machine."""

import sys

import click

from millpond import __version__
from millpond.base.errors import MillpondError
from millpond.cli.lazy import LazyGroup

COMMANDS = {
    "serve": "millpond.cli.serve:serve",
    "server": "millpond.cli.server:server",
    "worker": "millpond.cli.worker:worker",
    "migrate": "millpond.cli.migrate:migrate_command",
    "doctor": "millpond.cli.doctor:doctor",
    "user": "millpond.cli.users:user",
    "token": "millpond.cli.tokens:token",
    "workspace": "millpond.cli.workspaces:workspace",
    "reference": "millpond.cli.reference:reference",
}


@click.group(
    cls=LazyGroup, commands_by_name=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="millpond")
def cli() -> None:
    """Millpond: a self-hosted engine for scripts and flows that remember."""


def main() -> None:
    """The entry point: errors of ours become one line and exit code 1."""
    try:
        cli()
    except MillpondError as error:
        click.echo(f"millpond: {error.message}", err=True)
        sys.exit(1)
