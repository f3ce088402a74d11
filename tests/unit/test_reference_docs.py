"""The reference pages are what the code says, and leave nothing out."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from millpond.base.settings import setting_facts
from millpond.cli import COMMANDS, cli
from millpond.cli.reference import option_of

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("page", ["settings", "cli"])
def test_the_page_is_what_the_command_prints(page: str) -> None:
    printed = CliRunner().invoke(cli, ["reference", page])
    assert printed.exit_code == 0, printed.output
    kept = (REFERENCE / f"{page}.md").read_text(encoding="utf-8")
    assert kept == printed.output, f"run: millpond reference {page} > docs/reference/{page}.md"


def test_every_setting_is_documented_with_its_variable() -> None:
    page = (REFERENCE / "settings.md").read_text(encoding="utf-8")
    for fact in setting_facts():
        assert f"| `{fact.env}` |" in page
        assert (f"`{option_of(fact)}`" in page) is not fact.secret


def test_every_command_is_documented_and_the_generator_is_hidden() -> None:
    page = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    for name in COMMANDS.keys() - {"reference"}:
        assert f"\n## millpond {name}\n" in page
    assert "millpond reference\n" not in page


def test_an_option_the_page_of_settings_names_is_one_that_serve_takes() -> None:
    context = click.Context(cli)
    serve = cli.get_command(context, "serve")
    assert serve is not None
    taken = {name for option in serve.params for name in option.opts}
    assert {option_of(fact).partition("/")[0] for fact in setting_facts() if not fact.secret} <= taken


def test_no_option_takes_a_secret() -> None:
    secrets = {fact.name for fact in setting_facts() if fact.secret} | {"password"}
    for command in _commands(cli):
        assert not secrets & {parameter.name for parameter in command.params}, command.name


def _commands(command: click.Command) -> list[click.Command]:
    if not isinstance(command, click.Group):
        return [command]
    context = click.Context(command)
    children = [command.get_command(context, name) for name in command.list_commands(context)]
    return [one for child in children if child is not None for one in _commands(child)]
