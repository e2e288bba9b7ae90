"""The signed text in a message by S/MIME (Cryptographic Message Syntax, RFC 5652)."""

from collections.abc import Iterator
from typing import NamedTuple

SIGNED = bytes.fromhex("2a864886f70d010702")  # 1.2.840.113549.1.7.2
SEQUENCE, OCTETS, OCTETS_IN_PARTS, EXPLICIT = 0x30, 0x04, 0x24, 0xA0
_END = b"\0\0"
MAX_DEPTH = 12


class _Value(NamedTuple):
    """A value of the Basic Encoding Rules (X.690): its tag, its content, and where the next one begins."""

    tag: int
    content: bytes
    end: int


def find_signed(data: bytes) -> bytes | None:
    """The message inside a signature; None where there is none, or it is encrypted."""
    try:
        content_type, explicit = _read_children(_read(data, 0, 0).content)[:2]
        if content_type.content != SIGNED:
            return None
        signed = _read_children(_read_children(explicit.content)[0].content)
        encapsulated = next(value for value in signed if value.tag == SEQUENCE)
        inner = next(value for value in _read_children(encapsulated.content) if value.tag == EXPLICIT)
        return b"".join(_find_octets(inner.content))
    except (IndexError, ValueError, StopIteration):
        return None


def _find_octets(data: bytes) -> Iterator[bytes]:
    for value in _read_children(data):
        if value.tag == OCTETS_IN_PARTS:
            yield from _find_octets(value.content)
        elif value.tag == OCTETS:
            yield value.content


def _read_children(data: bytes) -> list[_Value]:
    values, at = list[_Value](), 0
    while at < len(data):
        values.append(_read(data, at, 0))
        at = values[-1].end
    return values


def _read(data: bytes, index: int, depth: int) -> _Value:
    """The value at *index*.

    Raises:
        IndexError, ValueError: there is none.
    """
    tag, length, start = data[index], data[index + 1], index + 2
    if length == 0x80:  # its end is marked
        end = start
        while data[end : end + 2] != _END:
            if depth == MAX_DEPTH:
                raise ValueError("It is nested too deep.")
            end = _read(data, end, depth + 1).end
        return _Value(tag, data[start:end], end + 2)
    if length > 0x80:
        size = length - 0x80
        length, start = int.from_bytes(data[start : start + size]), start + size
    if start + length > len(data):
        raise ValueError("It is cut off.")
    return _Value(tag, data[start : start + length], start + length)
