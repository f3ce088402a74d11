"""Cryptography at rest: what is sealed opens under the same key only, unchanged."""

import base64
import hashlib
import hmac
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.base.errors import InvalidInput, StartupRefused
from millpond.base.sealing import (
    MasterKey,
    SealBroken,
    check_sealed_shape,
    new_workspace_key,
    read_master_key,
    seal,
    unseal,
    write_master_key,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)


@given(TEXTS)
def test_a_sealed_text_comes_back_and_says_nothing(text: str) -> None:
    key = new_workspace_key()
    sealed = seal(key, text)
    assert unseal(key, sealed) == text
    assert seal(key, text) != sealed, "equal secrets must not look equal"
    check_sealed_shape(sealed)


@given(TEXTS)
def test_a_sealed_text_has_the_shape_of_a_ciphertext(text: str) -> None:
    raw = base64.b64decode(seal(new_workspace_key(), text), validate=True)
    assert len(raw) % 16 == 0
    assert len(raw) >= 48 + len(text.encode()) - 15


@given(TEXTS, st.data())
def test_a_changed_byte_is_noticed(text: str, data: st.DataObject) -> None:
    key = new_workspace_key()
    raw = bytearray(base64.b64decode(seal(key, text)))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealBroken):
        unseal(key, base64.b64encode(raw).decode())


def test_another_key_opens_nothing() -> None:
    with pytest.raises(SealBroken, match="different key"):
        unseal(new_workspace_key(), seal(new_workspace_key(), "secret"))


ALMOST_SEALED = base64.b64encode(b"MP1\x00" + b"x" * 43).decode()


@pytest.mark.parametrize("text", ["", "plain", "cGxhaW4=", "not base64!", ALMOST_SEALED])
def test_what_is_no_ciphertext_is_refused_before_it_is_stored(text: str) -> None:
    with pytest.raises(InvalidInput, match="no ciphertext"):
        check_sealed_shape(text)
    with pytest.raises(SealBroken):
        unseal(new_workspace_key(), text)


@pytest.mark.parametrize("text", ["TVAxAA==", base64.b64encode(b"MP1\x00" + b"x" * 7).decode()])
def test_a_ciphertext_cut_off_in_its_nonce_is_broken(text: str) -> None:
    with pytest.raises(SealBroken):
        unseal(new_workspace_key(), text)


def test_a_wrapped_key_opens_for_its_workspace_under_its_master_key_only() -> None:
    master, key = MasterKey.generate(), new_workspace_key()
    wrapped = master.wrap("main", key)
    assert key not in wrapped
    assert master.unwrap("main", wrapped) == key
    with pytest.raises(SealBroken, match="'other'"):
        master.unwrap("other", wrapped)
    with pytest.raises(SealBroken):
        MasterKey.generate().unwrap("main", wrapped)
    with pytest.raises(SealBroken):
        master.unwrap("main", wrapped[:-1] + bytes([wrapped[-1] ^ 1]))


def test_derived_keys_differ_by_purpose_and_follow_the_standard() -> None:
    master = MasterKey(bytes(range(32)))
    assert master.derive("job-token") == hmac.new(bytes(range(32)), b"job-token\x01", hashlib.sha256).digest()
    assert master.derive("job-token") != master.derive("resume")
    assert MasterKey.generate().derive("job-token") != master.derive("job-token")
    assert master.fingerprint() == MasterKey(bytes(range(32))).fingerprint()
    assert master.fingerprint() != MasterKey.generate().fingerprint()
    assert master.hex() not in master.fingerprint()


@pytest.mark.parametrize("text", ["", "00", "zz" * 32, "00" * 31, "00" * 33])
def test_a_master_key_of_another_form_refuses_the_start(text: str) -> None:
    with pytest.raises(StartupRefused, match="64 hex digits"):
        MasterKey.from_hex(text)


def test_the_master_key_file_is_private_and_never_overwritten(tmp_path: Path) -> None:
    file, key = tmp_path / "master.key", MasterKey.generate()
    assert read_master_key(file) is None
    write_master_key(file, key)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    kept = read_master_key(file)
    assert kept is not None
    assert kept.hex() == key.hex()
    with pytest.raises(FileExistsError):
        write_master_key(file, MasterKey.generate())
    assert file.read_text().strip() == key.hex()


def test_a_broken_master_key_file_refuses_the_start(tmp_path: Path) -> None:
    file = tmp_path / "master.key"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(StartupRefused, match="cannot be read"):
        read_master_key(file)
    file.write_text("short")
    with pytest.raises(StartupRefused, match="64 hex digits"):
        read_master_key(file)
