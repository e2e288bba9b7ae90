"""Plain text: paragraphs between empty lines."""

import re

from ingestion.parsers.encoding import decode
from ingestion.parsers.parsed import Limits, ParsedDocument, TextBuilder

EMPTY_LINES = re.compile(r"\n[^\S\n]*\n\s*")


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The text, in whatever encoding it is."""
    builder = TextBuilder(limits)
    for paragraph in EMPTY_LINES.split(decode(data)):
        builder.block(paragraph)
    return builder.build(title=None, media_type="text/plain")
