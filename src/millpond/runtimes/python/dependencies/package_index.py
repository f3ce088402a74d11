"""Where packages come from: the environment that makes uv look where this machine's pip looks.

uv reads its own settings and ignores pip's. Machines behind a mirror are usually set up for pip alone, so
pip's configuration is translated, unless uv's own variables say something. No address is built in, and none
is ever put on a command line: they can carry credentials.
"""

import configparser
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

# What uv gets of the worker's own environment. The rest, a database address say, is none of its business.
_PASSED = frozenset(
    {
        *("HOME", "PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "USER", "LOGNAME", "SYSTEMROOT", "TEMP", "TMP"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC"),
        *("XDG_CONFIG_HOME", "XDG_CONFIG_DIRS"),
    }
)
_OWN_INDEX_VARIABLES = frozenset(
    {"UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS"}
)
_HOST = re.compile(r"://(?:[^/@\s]*@)?([^/:,\s]+)")
_SECTIONS = ("global", "install", "download")


class PackageIndex(NamedTuple):
    """How uv is told where to look: the whole of its environment, and options that no variable has."""

    environment: dict[str, str]
    options: tuple[str, ...] = ()


def package_index(environment: Mapping[str, str] | None = None) -> PackageIndex:
    """Where to look, derived from `environment` (this process's) and pip's configuration files."""
    source = os.environ if environment is None else environment
    passed = {
        name: value for name, value in source.items() if name.upper() in _PASSED or name.startswith("UV_")
    }
    if _OWN_INDEX_VARIABLES & {name for name, value in source.items() if value}:
        return PackageIndex(passed)
    settings = _pip_settings(source)
    offline = settings.get("no-index", "").strip().lower() in {"1", "true", "yes", "on"}
    return PackageIndex(_from_pip(settings) | passed, ("--no-index",) if offline else ())


def index_hosts(environment: Mapping[str, str]) -> frozenset[str]:
    """The hosts named in an environment for uv: words that no message may show."""
    names = _OWN_INDEX_VARIABLES | {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}
    values = [value for name, value in environment.items() if name.upper() in names]
    return frozenset(host for value in values for host in _HOST.findall(value))


def _from_pip(settings: Mapping[str, str]) -> dict[str, str]:
    translated = {
        "UV_DEFAULT_INDEX": settings.get("index-url", "").strip(),
        "UV_EXTRA_INDEX_URL": " ".join(settings.get("extra-index-url", "").split()),
        "UV_FIND_LINKS": ",".join(settings.get("find-links", "").split()),
        "UV_INSECURE_HOST": " ".join(settings.get("trusted-host", "").split()),
        "SSL_CERT_FILE": settings.get("cert", "").strip(),
    }
    chosen = {name: value for name, value in translated.items() if value}
    if "UV_EXTRA_INDEX_URL" in chosen:
        # pip takes the best version of all its indexes; uv alone would stop at the first that knows the name.
        chosen["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return chosen


def _pip_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """pip's settings, `PIP_*` variables over files, as `pip config list` would merge them."""
    settings: dict[str, str] = {}
    for path in _pip_files(environment):
        settings |= _read_pip_file(path)
    for name, value in environment.items():
        if name.startswith("PIP_") and value:
            settings[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return settings


def _pip_files(environment: Mapping[str, str]) -> list[Path]:
    """The files pip reads on this system, the later ones winning."""
    chosen = environment.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return []
    home = Path(environment.get("HOME") or Path.home())
    shared = (environment.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
    files = [Path(folder) / "pip" / "pip.conf" for folder in shared if folder]
    files += [Path("/etc/pip.conf"), home / ".pip" / "pip.conf"]
    files += [Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "pip" / "pip.conf"]
    if sys.platform == "darwin":
        support = Path("Library") / "Application Support" / "pip" / "pip.conf"
        files = [Path("/") / support, *files, home / support]
    files.append(Path(sys.prefix) / "pip.conf")
    return [*files, Path(chosen)] if chosen else files


def _read_pip_file(path: Path) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        # pip itself would refuse a broken file; a job's packages should not depend on it.
        return {}
    return {
        name.replace("_", "-"): value
        for section in _SECTIONS
        if parser.has_section(section)
        for name, value in parser.items(section)
    }
