"""The grammar of one requirement and of a Python version constraint, as strict as safety needs.

A requirement comes from a user and ends in front of a resolver that understands far more than names:
options, files to include, local folders, version control addresses, environment variables. Only what is
described here passes.
"""

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from millpond.base.errors import InvalidInput

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_EXTRAS = r"(?:\s*\[\s*(?:[A-Za-z0-9._-]+(?:\s*,\s*[A-Za-z0-9._-]+)*)?\s*\])?"
_CLAUSE = r"(?:===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+"
_CLAUSES = rf"{_CLAUSE}(?:\s*,\s*{_CLAUSE})*\s*,?"
# No `$`, `{` or `/`: the resolver expands `${NAME}` from its environment wherever it stands in a line.
_MARKER = r"(?:\s*;\s*[A-Za-z0-9_.\s<>=!~\"'(),*+-]+)?"
_REQUIREMENT = re.compile(
    rf"(?P<name>{_NAME}){_EXTRAS}\s*"
    rf"(?:(?P<clauses>\(\s*{_CLAUSES}\s*\)|{_CLAUSES})|@\s*(?P<url>[A-Za-z0-9._~:/?#@!&'()*+,=%-]+)\s)?{_MARKER}\s*",
    re.ASCII,
)
_ARCHIVES = (
    ".whl",
    ".zip",
    ".tar",
    ".gz",
    ".tgz",
    ".bz2",
    ".tbz",
    ".xz",
    ".txz",
    ".lz",
    ".zst",
    ".toml",
    ".txt",
    ".cfg",
)
_LONGEST_REQUIREMENT = 1000

_PYTHON_CLAUSE = re.compile(
    r"(?P<operator>===|==|~=|!=|<=|>=|<|>|)\s*v?(?P<version>\d+(?:\.\d+){0,2})(?P<any>\.\*)?"
)


def normalised(name: str) -> str:
    """The one spelling of a distribution's name that indexes compare by (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_name(requirement: str) -> str:
    """The normalised distribution name of one PEP 508 requirement.

    Raises `InvalidInput`, quoting the requirement, for everything else: options (`-r`, `--index-url`,
    `-e`), paths, and addresses other than that of a wheel over https without credentials. Source archives
    and repositories are refused because building them runs their code with the worker's rights, outside the
    sandbox of jobs.
    """
    match = _match(requirement)
    if match is None or match["name"].lower().endswith(_ARCHIVES):
        raise InvalidInput(
            f"'{requirement[:200]}' is not a requirement:"
            " write a package name with an optional version, as 'pandas>=2'"
        )
    if match["url"] is not None:
        _check_address(match["name"], match["url"])
    return normalised(match["name"])


def _match(requirement: str) -> re.Match[str] | None:
    if len(requirement) > _LONGEST_REQUIREMENT or not requirement.isascii() or not requirement.isprintable():
        return None
    # Runs of spaces would make the pattern's optional parts try every way to share them.
    return _REQUIREMENT.fullmatch(" ".join([*requirement.split(), ""]))


def is_bare(requirement: str) -> bool:
    """Whether a requirement is a name alone, so that any version will do."""
    return re.fullmatch(_NAME, requirement.strip()) is not None


def is_pinned(requirement: str) -> bool:
    """Whether a requirement admits one version only, so that resolving it again finds the same."""
    match = _match(requirement)
    if match is None:
        return False
    clauses = (match["clauses"] or "").strip("() ")
    return match["url"] is not None or (
        clauses.startswith("==") and not any(mark in clauses for mark in ",*")
    )


def _check_address(name: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        accepted = (
            parts.scheme == "https"
            and bool(parts.hostname)
            and "@" not in parts.netloc
            and not parts.query
            and parts.path.endswith(".whl")
        )
    except ValueError:
        accepted = False
    if not accepted:
        raise InvalidInput(
            f"'{name}' is asked for by an address that is not accepted: only a wheel (.whl) over https,"
            " without credentials, can be installed by address"
        )


def check_python(constraint: str) -> None:
    """Raise `InvalidInput` unless `constraint` is a version (`3.12`) or clauses (`>=3.11,<3.13`)."""
    for clause in _clauses(constraint):
        if _PYTHON_CLAUSE.fullmatch(clause) is None:
            raise InvalidInput(
                f"'{constraint[:100]}' is not a Python version: write '3.12' or '>=3.11,<3.13'"
            )


def python_satisfies(version: tuple[int, int, int], constraint: str) -> bool:
    """Whether an interpreter of `version` meets every clause of a checked `constraint`.

    A version without operator, and `==` with two numbers, name a minor version whose patch does not matter:
    locks and compiled packages depend on no more.
    """
    return all(_clause_holds(version, clause) for clause in _clauses(constraint))


def _clauses(constraint: str) -> list[str]:
    return [clause for part in constraint.split(",") if (clause := part.strip())]


_Release = tuple[int, ...]
_COMPARISONS: dict[str, Callable[[_Release, _Release], bool]] = {
    "<": lambda ours, asked: ours < asked,
    "<=": lambda ours, asked: ours <= asked,
    ">": lambda ours, asked: ours > asked,
    ">=": lambda ours, asked: ours >= asked,
}


def _clause_holds(version: tuple[int, int, int], clause: str) -> bool:
    match = _PYTHON_CLAUSE.fullmatch(clause)
    if match is None:
        return False
    asked = tuple(int(part) for part in match["version"].split("."))
    operator = match["operator"]
    padded = (*asked, 0, 0)[:3]
    if operator in _COMPARISONS:
        return _COMPARISONS[operator](version, padded)
    if operator == "~=":
        return version >= padded and version[: max(len(asked) - 1, 1)] == asked[: max(len(asked) - 1, 1)]
    compared = asked[:2] if operator == "" else asked
    equal = version[: len(compared)] == compared
    return not equal if operator == "!=" else equal
