"""Turns the table of settings into command-line options."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from millpond.base.settings import SettingFact, Settings, read_settings, setting_facts

SERVER_SETTINGS = (
    "data_dir",
    "database_url",
    "host",
    "port",
    "base_url",
    "max_body_bytes",
    "wait_result_secs",
    "log_level",
    "log_format",
)
WORKER_SETTINGS = (
    "data_dir",
    "database_url",
    "internal_url",
    "base_url",
    "slots",
    "worker_tags",
    "worker_group",
    "sandbox",
    "job_timeout_secs",
    "job_memory_bytes",
    "job_processes",
    "job_log_bytes",
    "job_result_bytes",
    "shared_dir_quota_bytes",
    "source_builds",
    "drain_secs",
    "log_level",
    "log_format",
)


def settings_options(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options for the named settings; the command gets all settings as its first argument, `settings`."""
    facts = [fact for fact in setting_facts() if fact.name in names]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        def with_settings(**given: object) -> Any:  # whatever the command returns
            chosen = {fact.name: given.pop(fact.name) for fact in facts}
            return command(settings_from(chosen), **given)

        with_settings.__doc__ = command.__doc__
        with_settings.__name__ = command.__name__
        with_settings.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
        wrapped: Callable[..., Any] = with_settings
        for fact in reversed(facts):
            wrapped = _option(fact)(wrapped)
        return wrapped

    return decorate


def settings_from(chosen: dict[str, object]) -> Settings:
    """Settings from options, then the environment, then defaults. Raises StartupRefused for a value that does not fit."""
    return read_settings(chosen, dict(os.environ))


def _option(fact: SettingFact) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    choices = [value for value in get_args(fact.type) if isinstance(value, str)]
    kind: Any
    if choices:
        kind = click.Choice(choices)
    elif fact.type is Path:
        kind = click.Path(path_type=Path)
    else:
        kind = fact.type if fact.type in (int, bool) else str
    shown = f"{fact.help} [env: {fact.env}; default: {fact.default}]"
    flag = f"--{fact.name.replace('_', '-')}"
    if fact.type is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", fact.name, default=None, help=shown)
    return click.option(flag, fact.name, type=kind, default=None, help=shown)
