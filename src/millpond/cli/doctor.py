"""`millpond doctor`: what works on this machine and what does not, also when nothing starts."""

import click

from millpond.base.log import configure_logging
from millpond.base.settings import Settings
from millpond.cli.database_checks import check_database
from millpond.cli.findings import Finding, guarded
from millpond.cli.machine_checks import MACHINE_CHECKS
from millpond.cli.options import settings_options
from millpond.cli.output import print_json

COLORS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@settings_options(
    "data_dir", "database_url", "host", "port", "internal_url", "sandbox", "log_level", "log_format"
)
def doctor(settings: Settings, as_json: bool) -> None:
    """Check this machine and its instance, and say what is wrong; exits with 1 when something failed.

    An embedded database that does not run is started for the check. Nothing is created or changed.
    """
    configure_logging(settings, "doctor")
    findings = diagnose(settings)
    if as_json:
        print_json(findings)
    else:
        _print(findings)
    if any(finding.status == "fail" for finding in findings):
        raise SystemExit(1)


def diagnose(settings: Settings) -> list[Finding]:
    """What every check finds. A check that breaks is a failed one, and the others go on."""
    findings: list[Finding] = []
    for name, check in MACHINE_CHECKS.items():
        findings += guarded(name, lambda check=check: check(settings))  # type: ignore[misc]
    server_answers = any(finding.check == "server" and finding.status == "ok" for finding in findings)
    return findings + guarded("database", lambda: check_database(settings, server_answers=server_answers))


def _print(findings: list[Finding]) -> None:
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        status = click.style(f"{finding.status:4}", fg=COLORS[finding.status])
        click.echo(f"{status}  {finding.check:{width}}  {finding.message}")
