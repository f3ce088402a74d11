"""Cryptography at rest: the master key, workspace keys wrapped by it, and sealed values.

A sealed value is a mark (4 bytes) + nonce (12) + AES-256-GCM ciphertext of the padded text + tag (16), in base64. Before
base64 its length is a multiple of 16, the shape by which the `wmill` CLI tells a ciphertext from a plain value.
"""

import base64
import binascii
import hashlib
import hmac
import os
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from millpond.base.errors import InvalidInput, StartupRefused

KEY_BYTES = 32
_MAGIC = b"MP1\x00"
_NONCE_BYTES = 12
_TAG_BYTES = 16
_BLOCK = 16


class SealBroken(Exception):
    """A sealed value cannot be opened: it was made with another key, or changed."""


class MasterKey:
    """The key that wraps the workspaces' keys and signs what the instance hands out."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a master key has {KEY_BYTES} bytes, not {len(key)}")
        self._key = key

    @classmethod
    def generate(cls) -> "MasterKey":
        """A fresh random key."""
        return cls(os.urandom(KEY_BYTES))

    @classmethod
    def from_hex(cls, text: str) -> "MasterKey":
        """Raises StartupRefused when `text` is not 64 hex digits."""
        try:
            return cls(bytes.fromhex(text.strip()))
        except ValueError:
            raise StartupRefused(
                "The master key must be 64 hex digits (32 bytes); see MILLPOND_MASTER_KEY or master.key in the data folder."
            ) from None

    def hex(self) -> str:
        """The key as 64 hex digits, for its file."""
        return self._key.hex()

    def fingerprint(self) -> str:
        """A digest by which a database knows its key again; says nothing of the key itself."""
        return hmac.new(self._key, b"millpond master key fingerprint", hashlib.sha256).hexdigest()

    def derive(self, purpose: str) -> bytes:
        """A key of 32 bytes for one purpose, independent of all others (HKDF-Expand, one block, RFC 5869)."""
        return hmac.new(self._key, purpose.encode() + b"\x01", hashlib.sha256).digest()

    def wrap(self, workspace_id: str, workspace_key: bytes) -> bytes:
        """Encrypt a workspace's key; it opens only under the same workspace's name."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(self._key).encrypt(nonce, workspace_key, workspace_id.encode())

    def unwrap(self, workspace_id: str, wrapped: bytes) -> bytes:
        """The inverse of `wrap`; raises SealBroken when it was wrapped by another key or for another workspace."""
        try:
            return AESGCM(self._key).decrypt(
                wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], workspace_id.encode()
            )
        except InvalidTag:
            raise SealBroken(
                f"the key of workspace {workspace_id!r} was wrapped by another master key"
            ) from None


def seal(workspace_key: bytes, text: str) -> str:
    """Encrypt `text` under a workspace's key; two calls never give the same ciphertext."""
    plain = text.encode()
    padding = _BLOCK - len(plain) % _BLOCK
    nonce = os.urandom(_NONCE_BYTES)
    sealed = AESGCM(workspace_key).encrypt(nonce, plain + bytes([padding]) * padding, _MAGIC)
    return base64.b64encode(_MAGIC + nonce + sealed).decode()


def unseal(workspace_key: bytes, ciphertext: str) -> str:
    """The inverse of `seal`; raises SealBroken when the key is another one or the text was changed."""
    try:
        raw = base64.b64decode(ciphertext, validate=True)
    except (binascii.Error, ValueError):
        raise SealBroken("the stored value is no ciphertext") from None
    if not raw.startswith(_MAGIC):
        raise SealBroken("the stored value is no ciphertext of this instance")
    nonce, sealed = raw[len(_MAGIC) : len(_MAGIC) + _NONCE_BYTES], raw[len(_MAGIC) + _NONCE_BYTES :]
    try:
        padded = AESGCM(workspace_key).decrypt(nonce, sealed, _MAGIC)
    except (InvalidTag, ValueError):
        # A ciphertext cut short has no whole nonce: the library calls that a wrong value.
        raise SealBroken("the stored value was encrypted with a different key") from None
    return padded[: -padded[-1]].decode()


def check_sealed_shape(ciphertext: str) -> None:
    """Refuse what cannot be a ciphertext of ours, before it is stored as one. Raises InvalidInput."""
    try:
        raw = base64.b64decode(ciphertext, validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not raw.startswith(_MAGIC) or len(raw) < len(_MAGIC) + _NONCE_BYTES + _BLOCK + _TAG_BYTES:
        raise InvalidInput("already_encrypted is set, but the value is no ciphertext of this instance")


def new_workspace_key() -> bytes:
    """A fresh random key for a workspace."""
    return os.urandom(KEY_BYTES)


def read_master_key(path: Path) -> MasterKey | None:
    """The key kept in a file; None when there is no file. Raises StartupRefused when it holds no key."""
    try:
        return MasterKey.from_hex(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StartupRefused(f"The master key file {path} cannot be read: {error}") from None


def write_master_key(path: Path, key: MasterKey) -> None:
    """Keep a new key in a file that only its owner may read; an existing file is never overwritten."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(key.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
