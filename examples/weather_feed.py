"""A local weather service: Seattle's measured daily maxima, a day a request, in wttr.in's form `+13°C`.

The measurements are `seattle-weather.csv` of the package `vega_datasets`.
"""

import csv
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path


def measured_maxima() -> list[int]:
    """Seattle's daily maximum temperatures from 2012 on, in whole degrees Celsius, oldest first."""
    spec = find_spec("vega_datasets")
    if spec is None or spec.origin is None:
        raise SystemExit("The weather data is missing: install requirements/demo.txt")
    table = Path(spec.origin).parent / "_data" / "seattle-weather.csv"
    with table.open(encoding="utf-8", newline="") as rows:
        return [round(float(row["temp_max"])) for row in csv.DictReader(rows)]


class WeatherFeed:
    """Serves one day after the other on a free local port, from the first day on at each start."""

    def __init__(self, first_day: int = 0) -> None:
        self._days: Iterator[int] = iter(measured_maxima()[first_day:])
        self._lock = threading.Lock()
        feed = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = f"{feed.next_day():+d}°C\n".encode()
                self.send_response(200)
                self.send_header("content-type", "text/plain; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        """Where the feed answers."""
        return f"http://127.0.0.1:{self._server.server_port}/Seattle?format=%t"

    def next_day(self) -> int:
        """The next day's maximum."""
        with self._lock:
            return next(self._days)

    def start(self) -> None:
        """Serve in the background until the process ends."""
        threading.Thread(target=self._server.serve_forever, name="weather feed", daemon=True).start()
