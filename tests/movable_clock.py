"""A clock for tests, in place of sleeping."""

from datetime import UTC, datetime


class MovableClock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def now(self) -> datetime:
        """The current time, in UTC."""
        return datetime.fromtimestamp(self.seconds, UTC)

    def monotonic(self) -> float:
        """Seconds since an arbitrary point."""
        return self.seconds
