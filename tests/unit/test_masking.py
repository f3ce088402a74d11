"""Secrets never show, however the output that holds them is cut into pieces."""

import json

from hypothesis import example, given
from hypothesis import strategies as st

from millpond.worker.masking import MASK, Mask

# Few letters, so that secrets overlap, repeat and contain each other.
letters = st.text(alphabet="ab\n", min_size=3, max_size=8)
secrets_in_play = st.lists(letters, min_size=1, max_size=4)


def mask_of(*secrets: str) -> Mask:
    mask = Mask()
    mask.add(secrets)
    return mask


def masked_in_pieces(mask: Mask, pieces: list[str]) -> str:
    """What a log holds that takes the pieces one by one and gives out all it can after each."""
    waiting, out = "", ""
    for piece in pieces:
        waiting += piece
        held = mask.held_back(waiting)
        out += mask.apply(waiting[: len(waiting) - held])
        waiting = waiting[len(waiting) - held :]
    return out + mask.apply(waiting)


@given(secrets_in_play, st.lists(st.text(alphabet="ab\nc", max_size=6), max_size=12))
@example(["abb", "bba"], ["abb", "a"])
@example(["aba", "abab"], ["a", "b", "a", "b"])
def test_pieces_are_masked_as_the_whole_is(secrets: list[str], pieces: list[str]) -> None:
    mask = mask_of(*secrets)
    assert masked_in_pieces(mask, pieces) == mask.apply("".join(pieces))


@given(
    secrets_in_play, st.text(alphabet="abc\n", max_size=20), st.text(alphabet="abc\n", max_size=20), st.data()
)
def test_no_splitting_leaks_a_secret(
    secrets: list[str], before: str, after: str, data: st.DataObject
) -> None:
    whole = before + secrets[0] + after
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    shown = masked_in_pieces(mask_of(*secrets), pieces)
    for secret in secrets:
        if len(secret.strip()) >= 3:
            assert secret not in shown


@given(secrets_in_play, st.text(alphabet="xyz\n ", max_size=50))
def test_text_without_secrets_is_unchanged(secrets: list[str], text: str) -> None:
    mask = mask_of(*(f"q{secret}q" for secret in secrets))
    assert masked_in_pieces(mask, [text[:7], text[7:]]) == text


def test_lines_and_escaped_forms_of_a_secret_are_masked_too() -> None:
    mask = mask_of('first line\nsecond "line"')
    assert mask.apply("a first line b") == f"a {MASK} b"
    assert mask.apply('x second "line"') == f"x {MASK}"
    assert mask.apply(json.dumps('first line\nsecond "line"')) == f'"{MASK}"'


def test_nothing_waits_without_secrets() -> None:
    assert Mask().held_back("anything") == 0
    assert mask_of("secret").held_back("anything at all") == 0
    assert mask_of("secret").held_back("is it a sec") == 3


def test_a_long_secret_costs_little_to_look_for() -> None:
    # Quadratic work here would hold up every job of the worker: this takes seconds then.
    mask = mask_of("ab" * 30_000)
    assert mask.held_back("xy" * 500_000) == 0
    assert mask.held_back("xy" * 500 + "ab") == 2


def test_an_error_keeps_its_shape() -> None:
    mask = mask_of("error", "message", "123", "true", "secret")
    text = '{"error":{"message":"the secret error","n":123,"ok":true,"extra":{"secret":["x secret"]}}}'
    assert json.loads(mask.apply_to_error(text)) == {
        "error": {
            "message": f"the {MASK} {MASK}",
            "n": 123,
            "ok": True,
            "extra": {MASK: [f"x {MASK}"]},
        }
    }
    assert Mask().apply_to_error(text) == text
    deep = '{"error":' + "[" * 5000 + "]" * 5000 + "}"
    assert "nests too deep" in mask.apply_to_error(deep)
