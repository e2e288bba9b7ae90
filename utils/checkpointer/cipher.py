"""Encryption of what is stored: AES-256-GCM under named keys, of which the first writes and all read.

    encrypted:  "3" | u8 length, name of the key | 12 bytes nonce | ciphertext and tag

Authenticated beside the ciphertext are everything before the nonce, and what the caller says the value is about. Nonces
are random: a key may write 2^32 values (NIST SP 800-38D, 8.3), which is a hundred million turns.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from .errors import UnreadableValue
from .named_keys import named_keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

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
        """The keys in *text*, see `named_keys`.

        Raises:
            ValueError: they are not written as they should be; the message repeats none.
        """
        return cls(named_keys(text))

    def __repr__(self) -> str:
        return f"Keyring({', '.join(self._keys)})"

    @property
    def digest_key(self) -> bytes:
        """The secret of the digests that name values, so that a name does not tell whether a guess is right."""
        return self._digest_key

    def encrypt(self, plain: bytes, about: bytes) -> bytes:
        """*plain* under the current key, to be opened only as what it is *about*."""
        prefix, cipher = self._keys[self.current]
        nonce = os.urandom(_NONCE_BYTES)
        return prefix + nonce + cipher.encrypt(nonce, plain, prefix + about)

    def decrypt(self, sealed: bytes, about: bytes) -> bytes:
        """What `encrypt` was given.

        Raises:
            UnreadableValue: its key is not here, or the bytes were changed, cut or moved.
        """
        # Loaded by the cipher already; imported here because only who encrypts needs the package.
        from cryptography.exceptions import InvalidTag

        name = key_name(sealed)
        if name not in self._keys:
            raise missing_key(name)
        prefix, cipher = self._keys[name]
        start = len(prefix) + _NONCE_BYTES
        try:
            return cipher.decrypt(sealed[len(prefix) : start], sealed[start:], prefix + about)
        except (InvalidTag, ValueError) as exc:  # ValueError: cut within the nonce
            raise UnreadableValue(f"changed, moved, or sealed under another key than {name!r} here") from exc

    def is_current(self, sealed: bytes) -> bool:
        """Whether *sealed* names the key that writes."""
        return sealed.startswith(self._keys[self.current].prefix)


def key_name(sealed: bytes) -> str:
    """The name of the key that encrypted bytes are under; bytes of a name that are no ASCII are kept as escapes."""
    return sealed[2 : 2 + sealed[1]].decode("ascii", "backslashreplace") if len(sealed) > 1 else ""


def missing_key(name: str) -> UnreadableValue:
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
