"""Values made shorter: zstd where the package is installed, else zlib; whichever wrote it, the other can be told."""

import threading
import zlib
from importlib.resources import files

from .errors import UnreadableValue

try:
    import zstandard
except ImportError:  # native code, which not every platform has a wheel of
    zstandard = None  # type: ignore[assignment]  # looked at before every use

PLAIN, ZSTD_1, ZLIB_1, ZSTD_2 = b"0", b"1", b"2", b"4"  # 3 is what is encrypted
ENCODINGS = (PLAIN, ZSTD_1, ZLIB_1, ZSTD_2)
DICTIONARY_2 = "messages_2.zdict"  # see benchmarks/dictionary.py; with statistics of letters, so it is quicker as well
COMPRESS_FROM_BYTES = 200
MAX_VALUE_BYTES = 256 * 1024 * 1024

# Words that nearly every short value repeats. Frozen: another dictionary needs other encoding bytes beside these.
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
_RAW = -15  # deflate without zlib's own header and sum: digests notice changes


class Compression:
    """Shortens and restores; its contexts are kept per thread, because zstd's must not be shared."""

    def __init__(self) -> None:
        self._local = threading.local()

    def shorten(self, data: bytes) -> tuple[bytes, bytes]:
        """The encoding byte and the payload for *data*, which stays as it is where that is not longer."""
        if len(data) >= COMPRESS_FROM_BYTES:
            packed = _deflated(data) if zstandard is None else self._compressor().compress(data)
            if len(packed) < len(data):
                return ZLIB_1 if zstandard is None else ZSTD_2, packed
        return PLAIN, data

    def restore(self, encoding: bytes, payload: bytes) -> bytes:
        """What `shorten` was given; *encoding* is one of `ENCODINGS`.

        Raises:
            UnreadableValue: broken, too large, or by zstd, which is not installed here.
        """
        if encoding == PLAIN:
            return payload
        return _inflated(payload) if encoding == ZLIB_1 else self._unzstd(encoding, payload)

    def _unzstd(self, encoding: bytes, packed: bytes) -> bytes:
        if zstandard is None:
            raise UnreadableValue("a value compressed by zstd: install the package zstandard")
        try:
            decompressor = self._local.decompressors[encoding]
        except AttributeError:
            made = {each: zstandard.ZstdDecompressor(dict_data=_dictionary(each)) for each in (ZSTD_1, ZSTD_2)}
            self._local.decompressors, decompressor = made, made[encoding]
        try:
            # The frame says how much memory it wants: a made-up frame must not get it.
            if not 0 <= zstandard.frame_content_size(packed) <= MAX_VALUE_BYTES:
                raise UnreadableValue("a compressed value of unknown or absurd size")
            data: bytes = decompressor.decompress(packed)
        except zstandard.ZstdError as exc:
            raise UnreadableValue("a broken compressed value") from exc
        return data

    def _compressor(self) -> "zstandard.ZstdCompressor":
        if not hasattr(self._local, "compressor"):
            self._local.compressor = zstandard.ZstdCompressor(
                level=3, dict_data=_dictionary(ZSTD_2), write_checksum=False, write_dict_id=False
            )
        made: zstandard.ZstdCompressor = self._local.compressor
        return made


def _dictionary(encoding: bytes) -> "zstandard.ZstdCompressionDict":
    if encoding == ZSTD_1:
        return zstandard.ZstdCompressionDict(_WORDS_1, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    trained = (files(str(__package__)) / DICTIONARY_2).read_bytes()
    return zstandard.ZstdCompressionDict(trained, dict_type=zstandard.DICT_TYPE_FULLDICT)


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=_RAW, zdict=_WORDS_1)
    return packer.compress(data) + packer.flush()


def _inflated(packed: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=_RAW, zdict=_WORDS_1)
    try:
        # One byte more than is allowed, so that a bomb is told from a value that just fits.
        data = unpacker.decompress(packed, MAX_VALUE_BYTES + 1)
    except zlib.error as exc:
        raise UnreadableValue("a broken compressed value") from exc
    if len(data) > MAX_VALUE_BYTES:
        raise UnreadableValue("a compressed value of absurd size")
    if not unpacker.eof or unpacker.unused_data:
        raise UnreadableValue("a broken compressed value")
    return data
