"""Bytes of unknown encoding to text."""

import codecs

from charset_normalizer import from_bytes

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SAMPLE_BYTES = 50_000
SHORT_BYTES = 1_000
WESTERN = "cp1252"  # Latin-1 as the web has it: with quotation marks and the euro


def decode(data: bytes, *, declared: str | None = None) -> str:
    """*data* as text: by its byte order mark, as *declared*, as UTF-8, or by what its bytes look like.

    It never fails: what cannot be read becomes U+FFFD. Line ends are `\\n`.
    """
    encoding = _read_byte_order_mark(data) or _read_declared(data, declared) or _guess(data)
    return data.decode(encoding, errors="replace").replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff")


def _read_byte_order_mark(data: bytes) -> str | None:
    return next((encoding for mark, encoding in MARKS if data.startswith(mark)), None)


def _read_declared(data: bytes, declared: str | None) -> str | None:
    for encoding in (declared, "utf-8"):
        try:
            if encoding:
                data.decode(encoding)
                return encoding
        except (LookupError, ValueError):
            continue
    return None


def _guess(data: bytes) -> str:
    if _is_damaged_utf8(data):
        return "utf-8"
    nuls = data[:SAMPLE_BYTES].count(0)
    if nuls > len(data[:SAMPLE_BYTES]) / 4:
        return "utf-16-le" if data[1:SAMPLE_BYTES:2].count(0) * 2 > nuls else "utf-16-be"
    # Too few bytes to tell Latin-1 from Arabic or Greek by their statistics.
    best = from_bytes(data[:SAMPLE_BYTES]).best() if len(data) >= SHORT_BYTES else None
    return best.encoding if best else WESTERN


def _is_damaged_utf8(data: bytes) -> bool:
    """Whether most of the bytes above 127 are UTF-8 all the same."""
    text = data.decode("utf-8", errors="replace")
    broken = text.count("\ufffd")
    return sum(character > "\x7f" for character in text) - broken > broken
