"""Values to bytes and back: a digest for a name, compression for size, encryption where there are keys.

A blob's reference is the name of its hash field: `b` and 16 bytes of BLAKE2b over the value's kind and plain bytes.
Equal values therefore meet in one field, and a blob that was cut or changed does not match its own name. With keys the
digest is keyed, so that names tell nothing about values, and encryption notices what was changed, cut or moved.

    sealed:     encoding | kind | payload       encodings: "0" none, "4" zstd
    encrypted:  the same, encrypted whole       cipher.py
"""

import hashlib
import threading
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from langgraph.checkpoint.serde.base import SerializerProtocol

from .cipher import ENCRYPTED, make_missing_key_error, read_key_name
from .errors import UnreadableValue

try:
    import zstandard
except ImportError:  # native code, which not every platform has a wheel of
    zstandard = None  # type: ignore[assignment]  # looked at before every use

if TYPE_CHECKING:
    from .cipher import Keyring

BLOB, PAGE = b"b", b"p"
DIGEST_BYTES = 16
REF_BYTES = 1 + DIGEST_BYTES
PLAIN, ZSTD = b"0", b"4"  # 3 is what is encrypted
DICTIONARY = "messages.zdict"  # see benchmarks/dictionary.py. Frozen: another one needs another encoding byte
COMPRESS_FROM_BYTES = 200
MAX_VALUE_BYTES = 256 * 1024 * 1024

_KINDS = {"null": b"n", "bytes": b"b", "bytearray": b"a", "msgpack": b"m", "model": b"o"}
_KIND_OF = {code: kind for kind, code in _KINDS.items()}


class Value(NamedTuple):
    """A serialized value: LangGraph's kind (`msgpack`, `bytes`, …) and its plain bytes."""

    kind: str
    data: bytes


class Codec:
    """Serializes, names, compresses and, with *keys*, encrypts; safe to share between threads.

    With keys it refuses what is not encrypted: whoever can write to the server must not get past them that way.
    *plain_too* lifts that for an operator who is about to encrypt.
    """

    def __init__(self, keys: "Keyring | None" = None, *, plain_too: bool = False) -> None:
        self._keys, self._plain_too = keys, plain_too
        self._compression = Compression()

    def dump(self, serde: SerializerProtocol, value: object) -> Value:
        """The serialized *value*."""
        kind, data = serde.dumps_typed(value)
        return Value(kind, bytes(data))

    def load(self, serde: SerializerProtocol, value: Value) -> object:
        """The value that `dump` was given.

        Raises:
            UnreadableValue: the bytes are broken or name a type that is not allowed.
        """
        try:
            return serde.loads_typed(value)
        except UnreadableValue:
            raise
        except Exception as exc:  # whatever a constructor of an allowed type makes of foreign data
            raise UnreadableValue(f"{type(exc).__name__} while reading it") from exc

    def make_ref(self, value: Value) -> bytes:
        """The blob's name: `b` and its digest, `REF_BYTES` long. Another key gives another name."""
        return BLOB + _compute_digest(value.data, value.kind, self._keys.digest_key if self._keys else b"")

    def make_page_ref(self, page: bytes) -> bytes:
        """The name of a page of a list: `p` and its digest.

        Without a key: a page is made of references, which tell nothing as it is, and the records that begin a chain are
        authenticated. So pages written before a rotation can still be checked.
        """
        return PAGE + _compute_digest(page, "page")

    def seal(self, value: Value, context: bytes) -> bytes:
        """The bytes to store: compressed where that is shorter, encrypted where there are keys.

        *context* says whose they are and where; what is encrypted can only be opened with the same.
        """
        kind = _KINDS.get(value.kind)
        if kind is None:
            raise TypeError(f"The serialization {value.kind!r} cannot be stored.")
        encoding, payload = self._compression.shorten(value.data)
        plain = encoding + kind + payload
        return self._keys.encrypt(plain, context) if self._keys else plain

    def open(self, sealed: bytes, context: bytes, ref: bytes | None = None) -> Value:
        """What `seal` was given, with the same *context*; with *ref*, only if the bytes still match their name.

        Raises:
            UnreadableValue: truncated, changed, of a format this version does not know, or its key is missing.
        """
        plain = sealed if self._keys is None and sealed[:1] != ENCRYPTED else self._decrypt(sealed, context)
        encoding, kind = plain[:1], _KIND_OF.get(plain[1:2])
        if encoding not in (PLAIN, ZSTD) or kind is None:
            raise UnreadableValue(f"unknown format {plain[:2]!r}")
        value = Value(kind, self._compression.restore(encoding, plain[2:]))
        # What was encrypted has proved its name, which is part of its context.
        if ref is not None and plain is sealed and BLOB + _compute_digest(value.data, value.kind) != ref:
            raise UnreadableValue("a value does not match its digest")
        return value

    def is_current(self, sealed: bytes) -> bool:
        """Whether *sealed* is as this codec writes: under the key that writes, or not encrypted where there is none."""
        return self._keys.is_current(sealed) if self._keys else sealed[:1] != ENCRYPTED

    def _decrypt(self, sealed: bytes, context: bytes) -> bytes:
        if sealed[:1] != ENCRYPTED:
            if self._keys and not self._plain_too:
                raise UnreadableValue("it is not encrypted, although there are keys")
            return sealed
        if self._keys is None:
            raise make_missing_key_error(read_key_name(sealed))
        return self._keys.decrypt(sealed, context)


def _compute_digest(data: bytes, kind: str, key: bytes = b"") -> bytes:
    """BLAKE2b, keyed or not, personalised by what is digested: a page and a blob of equal bytes differ."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES, person=kind.encode(), key=key).digest()


class Compression:
    """Shortens by zstd where the package is installed, and restores; zstd's contexts must not be shared by threads."""

    def __init__(self) -> None:
        self._contexts = _Contexts()

    def shorten(self, data: bytes) -> tuple[bytes, bytes]:
        """The encoding byte and the payload for *data*, which stays as it is where that is not longer."""
        if zstandard is not None and len(data) >= COMPRESS_FROM_BYTES:
            packed = self._contexts.compressor.compress(data)
            if len(packed) < len(data):
                return ZSTD, packed
        return PLAIN, data

    def restore(self, encoding: bytes, payload: bytes) -> bytes:
        """What `shorten` was given; *encoding* is `PLAIN` or `ZSTD`.

        Raises:
            UnreadableValue: broken, too large, or by zstd, which is not installed here.
        """
        if encoding == PLAIN:
            return payload
        if zstandard is None:
            raise UnreadableValue("a value compressed by zstd: install the package zstandard")
        try:
            # The frame says how much memory it wants: a made-up frame must not get it.
            if not 0 <= zstandard.frame_content_size(payload) <= MAX_VALUE_BYTES:
                raise UnreadableValue("a compressed value of unknown or absurd size")
            data: bytes = self._contexts.decompressor.decompress(payload)
        except zstandard.ZstdError as exc:
            raise UnreadableValue("a broken compressed value") from exc
        return data


class _Contexts(threading.local):
    def __init__(self) -> None:
        if zstandard is not None:
            trained = (files(str(__package__)) / DICTIONARY).read_bytes()
            words = zstandard.ZstdCompressionDict(trained, dict_type=zstandard.DICT_TYPE_FULLDICT)
            self.compressor = zstandard.ZstdCompressor(3, dict_data=words, write_checksum=False, write_dict_id=False)
            self.decompressor = zstandard.ZstdDecompressor(dict_data=words)
