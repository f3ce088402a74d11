"""Every setting of an instance: one table, from which the command line, the environment and the reference are made."""

import os
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, get_type_hints

from millpond.base.errors import StartupRefused

SandboxMode = Literal["auto", "required", "off"]
LogFormat = Literal["auto", "console", "json"]


def _setting(default: object, help_text: str, *, env: str | None = None, secret: bool = False) -> Any:
    return field(default=default, metadata={"help": help_text, "env": env, "secret": secret})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one process.

    Each field is a flag (`data_dir` is `--data-dir`) and an environment variable (`MILLPOND_DATA_DIR`); the few with
    another variable name say so in their metadata. Secrets are environment variables only: a command line is public.
    """

    data_dir: Path = _setting(Path(".millpond"), "Folder of everything the instance keeps on this machine.")
    database_url: str | None = _setting(
        None, "PostgreSQL 15 or newer to use instead of the embedded one.", env="DATABASE_URL"
    )
    host: str = _setting("127.0.0.1", "Address the server listens on.")
    port: int = _setting(8000, "Port the server listens on; 0 takes a free one.")
    base_url: str | None = _setting(None, "Address users reach the server at, when it is behind a proxy.")
    internal_url: str | None = _setting(
        None, "Address at which jobs reach the server; by default the one it listens on."
    )
    workers: int = _setting(1, "Number of worker processes that `serve` starts.")
    slots: int = _setting(0, "Jobs one worker runs at a time; 0 means four times its processors, at least 8.")
    worker_tags: str = _setting("", "Comma-separated tags a worker takes; empty means every tag.")
    worker_group: str = _setting("default", "Name of the worker group, shown to jobs as WM_WORKER_GROUP.")
    sandbox: SandboxMode = _setting(
        "auto",
        "Isolation of jobs: 'auto' takes what the kernel has, 'required' refuses to start without it, 'off'.",
    )
    job_timeout_secs: int = _setting(3600, "Longest time a job may run; a shorter limit of its own wins.")
    job_memory_bytes: int = _setting(0, "Memory one process of a job may use; 0 sets no limit.")
    job_processes: int = _setting(512, "Processes one job may have.")
    job_log_bytes: int = _setting(
        50 * 1024**2, "Log kept of one job; what comes after is dropped, with a mark."
    )
    job_result_bytes: int = _setting(512 * 1024**2, "Largest result a job may return.")
    shared_dir_quota_bytes: int = _setting(
        10 * 1024**3,
        "What the steps of a flow may keep in their shared directory when the flow names no quota; 0 sets no limit.",
    )
    wait_result_secs: int = _setting(600, "Longest time a synchronous run waits for its result.")
    max_body_bytes: int = _setting(16 * 1024**2, "Largest request body the server accepts.")
    source_builds: bool = _setting(
        False,
        "Let dependencies without a wheel be built: their build scripts run as the worker, outside the sandbox.",
    )
    drain_secs: int = _setting(30, "Time running jobs get to end when a worker is asked to stop.")
    log_level: str = _setting("info", "Least severe level that is logged: debug, info, warning or error.")
    log_format: LogFormat = _setting(
        "auto", "How logs look: 'console', 'json', or by whether it is a terminal."
    )
    superadmin_secret: str | None = _setting(
        None, "A bearer token accepted as superadmin, for automation.", secret=True
    )
    master_key: str | None = _setting(
        None, "The instance's master key in hex, instead of the file in the data folder.", secret=True
    )

    @property
    def job_timeout(self) -> timedelta:
        """`job_timeout_secs` as a duration."""
        return timedelta(seconds=self.job_timeout_secs)

    @property
    def effective_slots(self) -> int:
        """The number of slots of one worker, with 0 replaced by what it stands for."""
        return self.slots or max(8, 4 * (os.cpu_count() or 1))

    @property
    def tags(self) -> list[str]:
        """The tags the worker takes; empty means all."""
        return [tag.strip() for tag in self.worker_tags.split(",") if tag.strip()]


@dataclass(frozen=True)
class SettingFact:
    """What the command line and the reference need to know of one setting."""

    name: str
    env: str
    default: object
    help: str
    secret: bool
    type: object


def setting_facts() -> list[SettingFact]:
    """All settings, in the order they are documented."""
    hints = get_type_hints(Settings)
    return [
        SettingFact(
            name=entry.name,
            env=entry.metadata["env"] or f"MILLPOND_{entry.name.upper()}",
            default=entry.default,
            help=entry.metadata["help"],
            secret=entry.metadata["secret"],
            type=hints[entry.name],
        )
        for entry in fields(Settings)
    ]


def read_settings(given: dict[str, object], environment: dict[str, str]) -> Settings:
    """Settings from what was given on the command line, then the environment, then the defaults.

    Raises StartupRefused naming the variable whose text is no value of its type.
    """
    values: dict[str, object] = {}
    for fact in setting_facts():
        if given.get(fact.name) is not None:
            values[fact.name] = given[fact.name]
        elif (text := environment.get(fact.env)) is not None and text != "":
            values[fact.name] = _parse(fact, text)
    return Settings(**values)  # type: ignore[arg-type]


def _parse(fact: SettingFact, text: str) -> object:
    if fact.type is int:
        try:
            return int(text)
        except ValueError:
            raise StartupRefused(f"{fact.env} must be a whole number, not {text!r}") from None
    if fact.type is bool:
        if text.lower() not in ("true", "false", "1", "0"):
            raise StartupRefused(f"{fact.env} must be true or false, not {text!r}")
        return text.lower() in ("true", "1")
    if fact.type is Path:
        return Path(text)
    allowed = getattr(fact.type, "__args__", None)
    if allowed and all(isinstance(value, str) for value in allowed) and text not in allowed:
        raise StartupRefused(f"{fact.env} must be one of {', '.join(allowed)}, not {text!r}")
    return text
