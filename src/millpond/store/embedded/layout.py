"""Names of the files of an embedded PostgreSQL below the data directory of its instance."""

from pathlib import Path

import msgspec

ADVICE = "Choose another folder with --data-dir, or set DATABASE_URL to use a PostgreSQL of your own."


class Layout(msgspec.Struct, frozen=True):
    """Where everything is, given the (absolute) data directory."""

    data_dir: Path

    @property
    def cluster(self) -> Path:
        """PostgreSQL's own data directory."""
        return self.data_dir / "postgres"

    @property
    def password_file(self) -> Path:
        """The superuser's password, readable by the user who starts the instance."""
        return self.data_dir / "postgres.password"

    @property
    def log_file(self) -> Path:
        """What the server prints."""
        return self.data_dir / "postgres.log"

    @property
    def lock_file(self) -> Path:
        """Held by the process that runs the instance."""
        return self.data_dir / "instance.lock"

    @property
    def postmaster_file(self) -> Path:
        """PostgreSQL's note of the running server: its pid first, its status on line 8."""
        return self.cluster / "postmaster.pid"
