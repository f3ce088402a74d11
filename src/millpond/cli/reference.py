"""`millpond reference`: the pages of docs/reference that are made from the code, printed as Markdown."""

import inspect
from collections.abc import Iterator
from typing import get_args

import click

from millpond.base.settings import SettingFact, setting_facts

SETTINGS_HEAD = """\
# Settings

<!-- Generated: millpond reference settings > docs/reference/settings.md -->

A setting is an option of the commands that use it, or an environment variable; the option wins. Secrets are
environment variables only, because a command line can be read by every user of the machine. An empty variable counts
as one that is not set.

| Option | Variable | Default | Meaning |
| --- | --- | --- | --- |"""

CLI_HEAD = """\
# Command line

<!-- Generated: millpond reference cli > docs/reference/cli.md -->

`millpond` is also `python -m millpond`. Options that are [settings](settings.md) are listed by name only; each can be
given as an environment variable instead. Exit codes: 0 when all went well, 1 when the command failed and said why in
one line on standard error, 2 when it was used wrongly.

Administration commands (`user`, `token`, `workspace`) act as the operator of the instance on its own machine, whether
the instance runs or not. Programs read their lists with `--json`."""


@click.group(hidden=True)
def reference() -> None:
    """Print the reference pages."""


@reference.command("settings")
def print_settings() -> None:
    """The page of settings."""
    click.echo(settings_page(), nl=False)


@reference.command("cli")
@click.pass_context
def print_cli(context: click.Context) -> None:
    """The page of the command line."""
    click.echo(cli_page(context.find_root().command), nl=False)


def settings_page() -> str:
    """Every setting, in the order of its table in the code."""
    return "\n".join([SETTINGS_HEAD, *map(_setting_row, setting_facts())]) + "\n"


def cli_page(root: click.Command) -> str:
    """Every command that is not hidden, with its arguments and options."""
    sections = [CLI_HEAD, *(_section(context) for context in _walk(root, "millpond", None))]
    return "\n\n".join(sections) + "\n"


def option_of(fact: SettingFact) -> str:
    """How a setting is written on the command line."""
    name = fact.name.replace("_", "-")
    return f"--{name}/--no-{name}" if fact.type is bool else f"--{name}"


def _setting_row(fact: SettingFact) -> str:
    option = "none: a secret" if fact.secret else f"`{option_of(fact)}`"
    choices = [value for value in get_args(fact.type) if isinstance(value, str)]
    meaning = (
        f"{fact.help} One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else fact.help
    )
    meaning = meaning.replace("|", r"\|")
    return f"| {option} | `{fact.env}` | {_default(fact.default)} | {meaning} |"


def _default(default: object) -> str:
    if default is None or default == "":
        return "none"
    return f"`{str(default).lower()}`" if isinstance(default, bool) else f"`{default}`"


def _walk(command: click.Command, name: str, parent: click.Context | None) -> Iterator[click.Context]:
    context = click.Context(command, info_name=name, parent=parent)
    if parent is not None:
        yield context
    if isinstance(command, click.Group):
        for child_name in command.list_commands(context):
            child = command.get_command(context, child_name)
            if child is not None and not child.hidden:
                yield from _walk(child, child_name, context)


def _section(context: click.Context) -> str:
    command = context.command
    level = "##" if context.parent is not None and context.parent.parent is None else "###"
    parts = [f"{level} {context.command_path}", inspect.cleandoc(command.help or "")]
    if isinstance(command, click.Group):
        return "\n\n".join(parts)
    parts.append(f"    {' '.join([context.command_path, *command.collect_usage_pieces(context)])}")
    settings = {fact.name: f"`{option_of(fact)}`" for fact in setting_facts()}
    options = [one for one in command.params if isinstance(one, click.Option) and not one.hidden]
    own = [_option_line(one, context) for one in options if one.name not in settings]
    named = [settings[one.name] for one in options if one.name in settings]
    if own:
        parts.append("\n".join(own))
    if named:
        parts.append(f"Settings: {', '.join(named)}.")
    return "\n\n".join(parts)


def _option_line(option: click.Option, context: click.Context) -> str:
    names = ", ".join(option.opts) + "".join(f"/{name}" for name in option.secondary_opts)
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    shown = f" Default: `{option.default}`." if option.show_default else ""
    return f"- `{names}{value}`: {(option.help or '').removesuffix('.')}.{shown}"
