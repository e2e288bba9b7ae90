"""Encryption of what is stored: AES-256-GCM under named keys, of which the first writes and all read.

    encrypted:  "3" | u8 length, name of the key | 12 bytes nonce | ciphertext and tag

Authenticated beside the ciphertext are everything before the nonce, and the context that the caller names. Nonces
are random: a key may write 2^32 values (NIST SP 800-38D, 8.3), which is a hundred million turns.
"""

import os
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from .errors import UnreadableValue

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9._-]{1,16}")  # shorter than any key, so that a key in its place is not taken for one
_HOW = "write name:key,older:key with keys from `openssl rand -base64 32`"
ENCRYPTED = b"3"
_NONCE_BYTES = 12


class _Key(NamedTuple):
    prefix: bytes  # of everything it seals
    cipher: "AESGCM"


class Keyring:
    """The keys of an installation; safe to share between threads. Neither `repr` nor an error shows them.

    Args:
        keys: 32 random bytes each by name; the first one writes, the others read what was written before a rotation.

    Raises:
        ValueError: there is none.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys:
            raise ValueError("a keyring needs a key")
        self._keys = {name: _make_key(name, secret) for name, secret in keys.items()}
        self.current = next(iter(keys))
        self._digest_key = _derive_key(keys[self.current], b"digest")

    @classmethod
    def parse(cls, text: str) -> "Keyring":
        """The keys in *text*, see `parse_keys`.

        Raises:
            ValueError: they are not written as they should be; the message repeats none.
        """
        return cls(parse_keys(text))

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._keys)})"

    @property
    def digest_key(self) -> bytes:
        """The secret of the digests that name values, so that a name does not tell whether a guess is right."""
        return self._digest_key

    def encrypt(self, plain: bytes, context: bytes) -> bytes:
        """*plain* under the current key, to be opened only in the same *context*."""
        prefix, cipher = self._keys[self.current]
        nonce = os.urandom(_NONCE_BYTES)
        return prefix + nonce + cipher.encrypt(nonce, plain, prefix + context)

    def decrypt(self, sealed: bytes, context: bytes) -> bytes:
        """What `encrypt` was given.

        Raises:
            UnreadableValue: its key is not here, or the bytes were changed, cut or moved.
        """
        # Loaded by the cipher already; imported here because only who encrypts needs the package.
        from cryptography.exceptions import InvalidTag

        name = read_key_name(sealed)
        if name not in self._keys:
            raise make_missing_key_error(name)
        prefix, cipher = self._keys[name]
        start = len(prefix) + _NONCE_BYTES
        try:
            return cipher.decrypt(sealed[len(prefix) : start], sealed[start:], prefix + context)
        except (InvalidTag, ValueError) as exc:  # ValueError: cut within the nonce
            raise UnreadableValue(f"changed, moved, or sealed under another key than {name!r} here") from exc

    def is_current(self, sealed: bytes) -> bool:
        """Whether *sealed* names the key that writes."""
        return sealed.startswith(self._keys[self.current].prefix)


def read_key_name(sealed: bytes) -> str:
    """The name of the key that encrypted bytes are under; bytes of a name that are no ASCII are kept as escapes."""
    return sealed[2 : 2 + sealed[1]].decode("ascii", "backslashreplace") if len(sealed) > 1 else ""


def make_missing_key_error(name: str) -> UnreadableValue:
    """The error of who does not have that key."""
    return UnreadableValue(f"it is encrypted under the key {name!r}, which is not configured")


def _make_key(name: str, secret: bytes) -> _Key:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    encoded = name.encode("ascii")
    return _Key(ENCRYPTED + bytes((len(encoded),)) + encoded, AESGCM(_derive_key(secret, b"encryption")))


def _derive_key(secret: bytes, purpose: bytes) -> bytes:
    """A key for one purpose (RFC 5869), so that no secret is ever used for two."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), 32, salt=None, info=b"pustaka conversation state 1: " + purpose).derive(secret)


def parse_keys(text: str) -> dict[str, bytes]:
    """The keys in *text* by name, in its order: each 32 bytes in base64, of either alphabet, padded or not.

    Raises:
        ValueError: what is wrong with which of them, by its number.
    """
    keys: dict[str, bytes] = {}
    for number, part in enumerate(text.split(","), start=1):
        name, _, encoded = (side.strip() for side in part.partition(":"))
        if not encoded or not _NAME.fullmatch(name):
            raise ValueError(f"number {number} has no name of 1 to 16 letters, digits and . _ - before a colon; {_HOW}")
        key = _decode(encoded)
        if len(key) != KEY_BYTES:
            raise ValueError(f"number {number} is not {KEY_BYTES} bytes in base64; {_HOW}")
        if name in keys or key in keys.values():
            raise ValueError(f"number {number} has the name or the key of one before it")
        keys[name] = key
    return keys


def _decode(encoded: str) -> bytes:
    try:
        # 43 characters and one of padding; any other length is refused here or by its size.
        return b64decode(encoded.rstrip("=").replace("-", "+").replace("_", "/") + "=", validate=True)
    except ValueError:  # binascii.Error is one, and so are characters beyond ASCII
        return b""
