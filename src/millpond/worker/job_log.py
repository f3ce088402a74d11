"""What one job prints: decoded, result-stream lines taken out, capped, and handed on in chunks."""

import codecs
from collections.abc import Callable

from millpond.model.jobs import Claim
from millpond.store.queue import LogChunk
from millpond.worker.masking import Mask

STREAM_MARK = "WM_STREAM: "
LONGEST_HELD_LINE = 1024 * 1024
CHUNK_CHARACTERS = 1024 * 1024


class JobLog:
    """Takes bytes from the job's process and gives out chunks ready to store. An `OutputSink`."""

    def __init__(self, claim: Claim, cap_bytes: int, on_output: Callable[["JobLog"], None]) -> None:
        self.claim = claim
        self.mask = Mask()
        self.secret_numbers: list[int] = []
        self._on_output = on_output
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._room_bytes = cap_bytes
        self._cap_bytes = cap_bytes
        self._capped = False
        self._line_start = True
        self._partial = ""
        self._text: list[str] = []
        self._stream: list[str] = []
        self._chunks = {"log": 0, "stream": 0}
        self._characters = {"log": 0, "stream": 0}

    def write(self, chunk: bytes) -> None:
        """Take output, in order. What comes after the cap is dropped, with one mark."""
        if self._capped:
            return
        if len(chunk) > self._room_bytes:
            chunk = chunk[: self._room_bytes]
            self._capped = True
        self._room_bytes -= len(chunk)
        self._take(self._decoder.decode(chunk))
        if self._capped:
            self._take(f"\n[millpond: the log reached {self._cap_bytes} bytes; what follows is not kept]\n")
        self._on_output(self)

    def note(self, line: str) -> None:
        """Add a line of the engine's own."""
        self.write(f"{line}\n".encode())

    @property
    def has_output(self) -> bool:
        """Whether something waits to be stored."""
        return bool(self._text or self._stream)

    def take_chunks(self, *, last: bool) -> list[LogChunk]:
        """What is ready to be stored, masked; with `last`, everything there is."""
        if last:
            self._take(self._decoder.decode(b"", final=True))
            if self._partial:
                self._end_line(self._partial)
                self._partial = ""
        text = "".join(self._text)
        held = 0 if last else self.mask.held_back(text)
        self._text = [text[len(text) - held :]] if held else []
        ready = self.mask.apply(text[: len(text) - held])
        chunks = [
            self._chunk("log", ready[start : start + CHUNK_CHARACTERS])
            for start in range(0, len(ready), CHUNK_CHARACTERS)
        ]
        if self._stream:
            chunks += [self._chunk("stream", piece) for piece in self._stream]
            self._stream = []
        return chunks

    def _take(self, text: str) -> None:
        if not text:
            return
        text = text.replace("\x00", "\ufffd")
        if STREAM_MARK not in text and not self._partial and not self._may_begin_mark(text):
            self._text.append(text)
            self._line_start = text.endswith("\n")
            return
        lines = (self._partial + text).split("\n")
        self._partial = ""
        for line in lines[:-1]:
            self._end_line(line + "\n")
        self._keep_partial(lines[-1])

    def _keep_partial(self, rest: str) -> None:
        if not rest:
            return
        undecided = self._line_start and (
            STREAM_MARK.startswith(rest[: len(STREAM_MARK)]) or rest.startswith(STREAM_MARK)
        )
        if undecided and len(rest) < LONGEST_HELD_LINE:
            self._partial = rest
        else:
            self._end_line(rest)

    def _end_line(self, line: str) -> None:
        if self._line_start and line.startswith(STREAM_MARK):
            self._stream.append(line[len(STREAM_MARK) :].rstrip("\n").replace("\\n", "\n"))
            self._line_start = True
            return
        self._text.append(line)
        self._line_start = line.endswith("\n")

    def _may_begin_mark(self, text: str) -> bool:
        last_line = text.rpartition("\n")[2]
        at_start = self._line_start or "\n" in text
        return at_start and bool(last_line) and STREAM_MARK.startswith(last_line[: len(STREAM_MARK)])

    def _chunk(self, kind: str, content: str) -> LogChunk:
        chunk = LogChunk(
            self.claim.workspace_id,
            self.claim.job_id,
            kind,
            self._chunks[kind],
            self._characters[kind],
            content,
        )
        self._chunks[kind] += 1
        self._characters[kind] += len(content)
        return chunk
