"""From the bytes a job prints to the chunks of its log and its result stream."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from millpond.model.jobs import Claim
from millpond.worker.job_log import LONGEST_HELD_LINE, JobLog

CLAIM = Claim(
    workspace_id="main",
    job_id=UUID(int=1),
    lease_token=7,
    kind="preview",
    args=None,
    tag="python3",
    created_by="henri",
    permissioned_as="u/henri",
    email="henri@example.com",
    runnable_path=None,
    script_hash=None,
    language="python3",
    raw_code=None,
    raw_lock=None,
    entrypoint=None,
    timeout_s=None,
    parent_job=None,
    root_job=None,
    flow_step_id=None,
    schedule_path=None,
    scheduled_for=datetime(2026, 1, 1, tzinfo=UTC),
    rescues=0,
)


class Reader:
    """A log, and what was stored of it."""

    def __init__(self, cap_bytes: int = 10**9) -> None:
        self.job_log = JobLog(CLAIM, cap_bytes, lambda _: None)
        self.stored: dict[str, list[str]] = {"log": [], "stream": []}

    def take(self, *, last: bool = False) -> None:
        for chunk in self.job_log.take_chunks(last=last):
            kept = self.stored[chunk.kind]
            assert (chunk.workspace_id, chunk.job_id, chunk.lease_token) == ("main", UUID(int=1), 7)
            assert (chunk.chunk, chunk.start_character) == (len(kept), sum(map(len, kept)))
            kept.append(chunk.content)

    @property
    def log(self) -> str:
        return "".join(self.stored["log"])

    @property
    def stream(self) -> str:
        return "".join(self.stored["stream"])


def read(output: bytes, *cuts: int, cap_bytes: int = 10**9) -> Reader:
    """Write the output in pieces, storing after each."""
    reader = Reader(cap_bytes)
    for start, end in zip([0, *cuts], [*cuts, len(output)], strict=True):
        reader.job_log.write(output[start:end])
        reader.take()
    reader.take(last=True)
    return reader


lines = st.lists(
    st.one_of(
        st.text(alphabet="aé🚀WM_STREAM: \\n", max_size=20),
        st.text(alphabet="ab\\é", max_size=10).map("WM_STREAM: {}".format),
    ),
    max_size=8,
)


@given(lines, st.booleans(), st.data())
def test_pieces_make_the_same_log_as_the_whole(parts: list[str], ended: bool, data: st.DataObject) -> None:
    output = ("\n".join(parts) + ("\n" if ended else "")).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(output)), max_size=10)))
    reader = read(output, *cuts)
    whole = read(output)
    assert (reader.log, reader.stream) == (whole.log, whole.stream)
    of_stream = [line for line in output.decode().split("\n") if line.startswith("WM_STREAM: ")]
    assert whole.stream == "".join(
        line.removeprefix("WM_STREAM: ").replace("\\n", "\n") for line in of_stream
    )
    assert not any(line.startswith("WM_STREAM: ") for line in whole.log.split("\n"))


def test_text_is_there_at_once_before_its_line_ends() -> None:
    reader = Reader()
    reader.job_log.write(b"half a ")
    reader.take()
    assert reader.log == "half a "
    reader.job_log.write(b"line WM_STREAM: no\n")
    reader.take()
    assert reader.log == "half a line WM_STREAM: no\n"


def test_a_stream_line_waits_for_its_end_only() -> None:
    reader = Reader()
    reader.job_log.write(b"WM_STREAM: one\nWM_STR")
    reader.take()
    assert (reader.stream, reader.log) == ("one", "")
    reader.job_log.write(b"EAM: t\\nwo")
    reader.take(last=True)
    assert (reader.stored["stream"], reader.log) == (["one", "t\nwo"], "")


def test_what_only_looked_like_a_mark_is_log() -> None:
    assert read(b"WM_STREAM").log == "WM_STREAM"
    assert read(b"WM_STREAM\nnext").log == "WM_STREAM\nnext"


def test_a_very_long_stream_line_goes_out_in_parts_and_none_of_it_into_the_log() -> None:
    content = "x\\ny" * LONGEST_HELD_LINE
    output = f"before\nWM_STREAM: {content}\nafter\n".encode()
    reader = read(output, *range(65_537, len(output), 65_537))
    assert reader.log == "before\nafter\n"
    assert reader.stream == content.replace("\\n", "\n")


def test_the_cap_leaves_one_mark() -> None:
    mark = "\n[millpond: the log reached 10 bytes; what follows is not kept]\n"
    assert read(b"0123456789", cap_bytes=10).log == "0123456789"
    assert read(b"0123456789x", cap_bytes=10).log == "0123456789" + mark
    assert read(b"0123456789xyz", 10, 11, 12, cap_bytes=10).log == "0123456789" + mark
    assert read("012345678é".encode(), cap_bytes=10).log == "012345678\ufffd" + mark
    cut_stream = read(b"WM_STREAM: 0123456789", cap_bytes=14)
    assert (cut_stream.stream, cut_stream.log) == ("012", mark.replace("10", "14"))


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert read(b"a\x00b\xffc\xc3").log == "a\ufffdb\ufffdc\ufffd"
    assert read("é🚀".encode(), 1, 2, 3, 4, 5).log == "é🚀"


def test_a_note_is_a_line() -> None:
    reader = Reader()
    reader.job_log.note("resolving dependencies")
    reader.take(last=True)
    assert reader.log == "resolving dependencies\n"


def test_a_secret_is_masked_across_pieces() -> None:
    reader = Reader()
    reader.job_log.mask.add(["hunter22"])
    for character in "is hunter22!":
        reader.job_log.write(character.encode())
        reader.take()
    assert reader.log == "is ********!"
    assert not reader.job_log.has_output
