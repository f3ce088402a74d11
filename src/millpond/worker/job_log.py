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
        self.known_secrets: set[int] = set()
        self._on_output = on_output
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._room_bytes = cap_bytes
        self._cap_bytes = cap_bytes
        self._capped = False
        # Where the text taken so far stops: at the start of a line, within a log line, or within a stream line.
        self._line_start = True
        self._in_stream_line = False
        self._partial = ""
        self._text: list[str] = []
        self._stream: list[str] = []
        self._chunks = {"log": 0, "stream": 0}
        self._characters = {"log": 0, "stream": 0}

    def write(self, chunk: bytes) -> None:
        """Take output, in order. What comes after the cap is dropped, with one mark."""
        if self._capped:
            return
        fits = len(chunk) <= self._room_bytes
        kept = chunk if fits else chunk[: self._room_bytes]
        self._room_bytes -= len(kept)
        self._take(self._decoder.decode(kept, final=not fits))
        if not fits:
            self._capped = True
            self._end_stream_line()
            self._take(f"\n[millpond: the log reached {self._cap_bytes} bytes; what follows is not kept]\n")
        self._on_output(self)

    def note(self, line: str) -> None:
        """Add a line of the engine's own."""
        self.write(f"{line}\n".encode())

    @property
    def has_output(self) -> bool:
        """Whether something waits to be stored."""
        return bool(self._text or self._stream or self._partial)

    @property
    def mark(self) -> int:
        """How far the log's text has come, for `take_chunks`."""
        return len(self._text)

    def is_past(self, mark: int) -> bool:
        """Whether text came after the mark."""
        return len(self._text) > mark

    def take_chunks(self, *, last: bool, mark: int | None = None) -> list[LogChunk]:
        """What is ready to be stored, masked: log text up to `mark`; with `last`, everything there is.

        Text after the mark may hold secrets the mask has not been told of.
        """
        if last:
            self._take(self._decoder.decode(b"", final=True))
            self._end_stream_line()
        end = len(self._text) if last or mark is None else mark
        text, later = "".join(self._text[:end]), self._text[end:]
        held = 0 if last else self.mask.held_back(text)
        self._text = [text[len(text) - held :], *later] if held else later
        ready = self.mask.apply(text[: len(text) - held])
        chunks = [
            self._chunk("log", ready[start : start + CHUNK_CHARACTERS])
            for start in range(0, len(ready), CHUNK_CHARACTERS)
        ]
        chunks += [self._chunk("stream", piece) for piece in self._stream]
        self._stream = []
        return chunks

    def _take(self, text: str) -> None:
        if not text:
            return
        text = text.replace("\x00", "\ufffd")
        if not self._concerns_stream(text):
            self._text.append(text)
            self._line_start = text.endswith("\n")
            return
        lines = (self._partial + text).split("\n")
        self._partial = ""
        for line in lines[:-1]:
            self._take_line(line, ended=True)
        if lines[-1]:
            self._take_line(lines[-1], ended=False)

    def _concerns_stream(self, text: str) -> bool:
        if self._partial or self._in_stream_line or STREAM_MARK in text:
            return True
        last_line = text.rpartition("\n")[2]
        at_start = self._line_start or "\n" in text
        return at_start and bool(last_line) and STREAM_MARK.startswith(last_line)

    def _take_line(self, line: str, *, ended: bool) -> None:
        """Take the rest of the present line, or a part of it when it has not `ended`."""
        begins = self._line_start and line.startswith(STREAM_MARK)
        if self._in_stream_line or begins:
            self._take_stream(line.removeprefix(STREAM_MARK) if begins else line, begins=begins, ended=ended)
        elif self._line_start and not ended and STREAM_MARK.startswith(line):
            self._partial = line
        else:
            self._text.append(f"{line}\n" if ended else line)
            self._line_start = ended

    def _take_stream(self, piece: str, *, begins: bool, ended: bool) -> None:
        # A chunk of the stream is one line, so it waits for its end; one that is very long goes out in parts.
        if not ended and len(piece) < LONGEST_HELD_LINE:
            self._partial = f"{STREAM_MARK}{piece}" if begins else piece
            return
        # An escape is not torn apart.
        torn = "" if ended else piece[len(piece.rstrip("\\")) :]
        whole = piece.removesuffix(torn) if torn else piece
        if whole or begins:
            self._stream.append(whole.replace("\\n", "\n"))
        self._partial = torn
        self._in_stream_line = not ended
        self._line_start = ended

    def _end_stream_line(self) -> None:
        if not self._partial and not self._in_stream_line:
            return
        rest, self._partial = self._partial, ""
        if self._in_stream_line or rest.startswith(STREAM_MARK):
            self._take_line(rest, ended=True)
        else:
            self._text.append(rest)
            self._line_start = False

    def _chunk(self, kind: str, content: str) -> LogChunk:
        chunk = LogChunk(
            self.claim.workspace_id,
            self.claim.job_id,
            self.claim.lease_token,
            kind,
            self._chunks[kind],
            self._characters[kind],
            content,
        )
        self._chunks[kind] += 1
        self._characters[kind] += len(content)
        return chunk
