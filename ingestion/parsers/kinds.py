"""Which parser a file is for: its name says what it should be, its first bytes whether it is."""

from collections.abc import Callable
from pathlib import PurePath

from ingestion.parsers import markdown, text
from ingestion.parsers.parsed import Limits, ParsedDocument
from utils.errors import UnreadableDocument

Parser = Callable[[bytes, Limits], ParsedDocument]
KINDS: dict[str, Parser] = {
    ".md": markdown.parse,
    ".markdown": markdown.parse,
    ".txt": text.parse,
    ".text": text.parse,
}


def is_known(name: str) -> bool:
    """Whether there is a parser for files of this name."""
    return PurePath(name).suffix.lower() in KINDS


def parse(data: bytes, name: str, limits: Limits) -> ParsedDocument:
    """The document in *data*, which was found under *name*.

    Raises:
        UnreadableDocument: in plain words, with what to do about it.
    """
    suffix = PurePath(name).suffix.lower()
    if not data:
        raise UnreadableDocument("It is empty.")
    if len(data) > limits.size_bytes:
        raise UnreadableDocument(f"It is larger than {limits.size_bytes / 1e6:g} MB: split it.")
    if suffix not in KINDS:
        raise UnreadableDocument(f"Files of this kind are not read; those that are: {', '.join(KINDS)}.")
    return KINDS[suffix](data, limits)
