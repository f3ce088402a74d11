"""The pipe a job prints into, emptied into a sink by the event loop.

Chunks are small and handed on at once, so memory does not grow with what a job prints; a job that prints
faster than the sink takes waits in its `print`.
"""

import asyncio
import os

from millpond.runtimes.contract import OutputSink

_CHUNK_BYTES = 65536


class OutputPipe:
    """One job's output. `writer` is the end for the job; giving it away is the caller's business."""

    def __init__(self, sink: OutputSink) -> None:
        self._sink = sink
        self._loop = asyncio.get_running_loop()
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._at_end = self._loop.create_future()
        self._loop.add_reader(self._reader, self._read_chunk)

    def drain(self) -> None:
        """Take what is left once all writers have ended; never waits."""
        while self._read_chunk():
            pass

    async def ended(self, timeout_seconds: float) -> None:
        """Wait until nobody can print any more, but not longer than this."""
        await asyncio.wait([self._at_end], timeout=timeout_seconds)

    def close(self) -> None:
        """Stop listening."""
        self._loop.remove_reader(self._reader)
        os.close(self._reader)
        self._at_end.cancel()

    def _read_chunk(self) -> bool:
        """Hand on one chunk; False when there is none now."""
        try:
            chunk = os.read(self._reader, _CHUNK_BYTES)
        except BlockingIOError:
            return False
        if chunk:
            self._sink.write(chunk)
            return True
        self._loop.remove_reader(self._reader)
        if not self._at_end.done():
            self._at_end.set_result(None)
        return False
