"""Bytes of unknown encoding to text."""

import codecs
import re

import chardet

from ingestion.parsers.garbled import is_garbled

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
UNKNOWN_ENCODING = "Its text is unreadable: its encoding is unknown, or it is damaged. Save it in UTF-8."
SAMPLE_BYTES = 100_000
CONTEXT_BYTES = 1_000
WIDE = 0.1  # of the bytes of UTF-16 and UTF-32 are NUL
ESCAPE = b"\x1b"  # by which ISO-2022 switches between ASCII and Japanese or Korean
WESTERN = "cp1252"  # Latin-1 as the web has it: with quotation marks and the euro
# Not EBCDIC and the like, which mainframes write: they would fit too many short texts.
ERAS = chardet.EncodingEra.ALL & ~chardet.EncodingEra.MAINFRAME
SURE, HARDLY = 0.12, 0.03  # how confident chardet is of some sentences, and of a single word
_NOT_ASCII = re.compile(rb"[\x80-\xff]")
_NUL_BETWEEN = re.compile(r"(?<=\w)\x00+(?=\w)")  # by which some programs part words
_CONTROLS = re.compile("[\x80-\x9f]")  # which nobody types: a text with them is not ISO-8859, whatever it declares
_PUNCTUATION = re.compile("[“”‘’–—…€•]")
_MISPLACED = re.compile(r"(?<=[^\W_])[^\w\s\x00-\x7f’–—](?=[^\W_])|[\x80-\x9f¤\ufffd]")


def decode(data: bytes, *, declared: str | None = None) -> str:
    """*data* as text: by its byte order mark, as UTF-8, as *declared*, or in the encoding that is detected.

    It never fails: what cannot be read becomes U+FFFD. Line ends are `\\n`.
    """
    encoding = _read_byte_order_mark(data) or _read_declared(data, declared) or _guess(data)
    text = _NUL_BETWEEN.sub(" ", data.decode(encoding, errors="replace"))
    return text.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")


def is_declared_by_itself(data: bytes) -> bool:
    """Whether its bytes say what they are: with a byte order mark, or by being UTF-8."""
    return bool(_read_byte_order_mark(data) or _read_declared(data, None))


def _read_byte_order_mark(data: bytes) -> str | None:
    return next((encoding for mark, encoding in MARKS if data.startswith(mark)), None)


def _read_declared(data: bytes, declared: str | None) -> str | None:
    """UTF-8 if it is valid, since hardly any other text is. But some encodings use ASCII bytes: those are declared."""
    candidates = (declared, "utf-8") if data.isascii() else ("utf-8", declared)
    if not declared and (ESCAPE in data or data.count(0) > WIDE * len(data)):
        return None
    for encoding in filter(None, candidates):
        try:
            text = data.decode(encoding)
        except (LookupError, ValueError):
            continue
        if encoding == "utf-8" or not (_CONTROLS.search(text) or is_garbled(text)):
            return encoding
    return None


def _guess(data: bytes) -> str:
    if _is_damaged_utf8(data):
        return "utf-8"
    result = chardet.detect(_take_sample(data), encoding_era=ERAS, compat_names=False)
    is_western = result["confidence"] < HARDLY or (result["confidence"] < SURE and _has_western_punctuation(data))
    return WESTERN if is_western or not result["encoding"] else result["encoding"]


def _take_sample(data: bytes) -> bytes:
    """From shortly before the first byte that is not ASCII, at a multiple of four bytes, as UTF-32 needs."""
    first = _NOT_ASCII.search(data)
    start = max(0, first.start() - CONTEXT_BYTES) // 4 * 4 if first else 0
    return data[start : start + SAMPLE_BYTES]


def _has_western_punctuation(data: bytes) -> bool:
    """Whether, as cp1252, it has quotation marks and the like where they belong: in DOS code pages they are letters."""
    text = data[:SAMPLE_BYTES].decode(WESTERN, errors="replace")
    return bool(_PUNCTUATION.search(text)) and not _MISPLACED.search(text)


def _is_damaged_utf8(data: bytes) -> bool:
    """Whether most of the bytes above 127 are valid UTF-8."""
    text = data.decode("utf-8", errors="replace")
    broken = text.count("\ufffd")
    return sum(character > "\x7f" for character in text) - broken > broken
