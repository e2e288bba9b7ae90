"""Values to blobs and back: a digest for a name, compression for size.

A blob's reference is the name of its hash field: `b` and 16 bytes of BLAKE2b over the value's kind and plain bytes.
Equal values therefore meet in one field, and a blob that was cut or changed does not match its own name.
"""

import hashlib
import threading
from typing import NamedTuple

import zstandard
from langgraph.checkpoint.serde.base import SerializerProtocol

from utils.checkpointer.errors import UnreadableValue

BLOB, PAGE = b"b", b"p"
DIGEST_BYTES = 16
REF_BYTES = 1 + DIGEST_BYTES
COMPRESS_FROM_BYTES = 200
MAX_VALUE_BYTES = 256 * 1024 * 1024

_KINDS = {"null": b"n", "bytes": b"b", "bytearray": b"a", "msgpack": b"m"}
_KIND_OF = {code: kind for kind, code in _KINDS.items()}
_PLAIN, _ZSTD_1 = b"0", b"1"
# Words that nearly every short blob repeats. Frozen: another dictionary needs another encoding byte beside _ZSTD_1.
_WORDS_1 = (
    b"langchain_core.messages.tool\xabToolMessage\xactool_call_id\xa6status\xa7success\xa8artifact"
    b"langchain_core.messages.system\xadSystemMessage\xa6system"
    b"\x94\xbdlangchain_core.messages.human\xacHumanMessage\x86\xa7content\xb1additional_kwargs\x80\xb1response_metadata\x80"
    b"\xa4type\xa5human\xa4name\xc0\xa2id\xd9\x24\xb3model_validate_json"
    b"\x94\xbalangchain_core.messages.ai\xa9AIMessage\x89\xa7content\xb1additional_kwargs\x80\xb1response_metadata\x80"
    b"\xadfinish_reason\xa4stop\xaamodel_name\xa4type\xa2ai\xa4name\xc0\xa2id\xd9\x24lc_run--\xaatool_calls\x90"
    b"\xb2invalid_tool_calls\x90\xaeusage_metadata\xacinput_tokens\xadoutput_tokens\xactotal_tokens\xb3model_validate_json"
    b"\x83\xa1c\x86\xa1v\x04\xa2ts\xd9 2026-11-21T10:20:00.000000+00:00\xb0channel_versions\xa9__start__\xa8messages"
    b"\xaebranch:to:\xadversions_seen\xa9__input__\x80\xadpending_sends\x90\xb0updated_channels\x91\xa8messages"
    b"\xa1m\x84\xa6source\xa4loop\xa5input\xa4step\xa7parents\x80\xa6run_id\xd9\x24\xa1e"
)


class Value(NamedTuple):
    """A serialized value: LangGraph's kind (`msgpack`, `bytes`, …) and its plain bytes."""

    kind: str
    data: bytes


class Codec:
    """Serializes, names, compresses; stateless but for compression contexts, which threads must not share."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._words = zstandard.ZstdCompressionDict(_WORDS_1, dict_type=zstandard.DICT_TYPE_RAWCONTENT)

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

    def ref(self, value: Value) -> bytes:
        """The blob's name: `b` and its digest, `REF_BYTES` long."""
        return BLOB + digest(value.data, value.kind.encode())

    def page_ref(self, page: bytes) -> bytes:
        """The name of a page of a list: `p` and its digest."""
        return PAGE + digest(page, b"page")

    def seal(self, value: Value, about: bytes) -> bytes:
        """The bytes to store: encoding byte, kind byte, payload (compressed where that is shorter).

        *about* says of what and where they are; they can only be opened as that.
        """
        kind = _KINDS.get(value.kind)
        if kind is None:
            raise TypeError(f"The serialization {value.kind!r} cannot be stored.")
        if len(value.data) >= COMPRESS_FROM_BYTES:
            packed = self._compressor().compress(value.data)
            if len(packed) < len(value.data):
                return _ZSTD_1 + kind + packed
        return _PLAIN + kind + value.data

    def open(self, sealed: bytes, about: bytes, ref: bytes | None = None) -> Value:
        """What `seal` was given, with the same *about*; with *ref*, only if the bytes still match their name.

        Raises:
            UnreadableValue: truncated, changed, or of a format this version does not know.
        """
        encoding, kind = sealed[:1], _KIND_OF.get(sealed[1:2])
        if encoding not in (_PLAIN, _ZSTD_1) or kind is None:
            raise UnreadableValue(f"unknown format {sealed[:2]!r}")
        value = Value(kind, sealed[2:] if encoding == _PLAIN else self._inflate(sealed[2:]))
        if ref is not None and self.ref(value) != ref:
            raise UnreadableValue("a value does not match its digest")
        return value

    def _inflate(self, packed: bytes) -> bytes:
        try:
            # The frame says how much memory it wants: a made-up frame must not get it.
            if not 0 <= zstandard.frame_content_size(packed) <= MAX_VALUE_BYTES:
                raise UnreadableValue("a compressed value of unknown or absurd size")
            return bytes(self._decompressor().decompress(packed))
        except zstandard.ZstdError as exc:
            raise UnreadableValue("a broken compressed value") from exc

    def _compressor(self) -> zstandard.ZstdCompressor:
        if not hasattr(self._local, "compressor"):
            self._local.compressor = zstandard.ZstdCompressor(
                level=3, dict_data=self._words, write_checksum=False, write_dict_id=False
            )
        made: zstandard.ZstdCompressor = self._local.compressor
        return made

    def _decompressor(self) -> zstandard.ZstdDecompressor:
        if not hasattr(self._local, "decompressor"):
            self._local.decompressor = zstandard.ZstdDecompressor(dict_data=self._words)
        made: zstandard.ZstdDecompressor = self._local.decompressor
        return made


def digest(data: bytes, kind: bytes) -> bytes:
    """BLAKE2b of *data*, personalised by what it is, so that a page and a blob of equal bytes differ."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES, person=kind).digest()
