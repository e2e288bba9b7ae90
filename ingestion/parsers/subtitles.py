"""Subtitles and transcripts in WebVTT and SubRip (SRT): what was said and by whom, without the times."""

import html
import re
from collections.abc import Iterator

from ingestion.parsers.encoding import decode
from ingestion.parsers.parsed import Limits, ParsedDocument, TextBuilder, join_lines
from utils.errors import UnreadableDocument

TIMES = re.compile(r"^[\d:.,]{5,20}\s+-->\s+[\d:.,]{5,20}")
SUBRIP = re.compile(r"(?<![\s\d])\s*+\d++[^\S\n]*+\n[\d:]{5,10}[,.]\d{1,3}\s++-->")
SPEAKER = re.compile(r"<v(?:\.[^\s>]{0,100}+)?\s++([^>]{1,200}+)>")
TAG = re.compile(r"</?[^>]{0,200}>")
NOT_CUES = ("NOTE", "STYLE", "REGION", "WEBVTT")


def parse(data: bytes, limits: Limits) -> ParsedDocument:
    """The cues one after the other; those of one speaker in a row are a paragraph."""
    text = decode(data)
    is_webvtt = text.startswith("WEBVTT")
    if not is_webvtt and not SUBRIP.match(text):
        raise UnreadableDocument(
            "It is neither WebVTT, whose first line says so, nor SubRip (SRT), which begins with a cue."
        )
    builder = TextBuilder(limits)
    speaker, lines = "", list[str]()
    for name, words in _iter_cues(text):
        if name != speaker:
            builder.block(_format_paragraph(speaker, lines))
            speaker, lines = name, []
        lines.append(words)
    builder.block(_format_paragraph(speaker, lines))
    return builder.build(title=None, media_type="text/vtt" if is_webvtt else "application/x-subrip")


def _format_paragraph(speaker: str, lines: list[str]) -> str:
    words = "\n".join(lines)
    return f"{speaker}: {words}" if speaker and words else words


def _iter_cues(text: str) -> Iterator[tuple[str, str]]:
    """Speaker and words of each cue; a speaker who is not named is the empty string."""
    for block in text.split("\n\n"):
        lines = block.strip("\n").split("\n")
        start = next((number for number, line in enumerate(lines[:2]) if TIMES.match(line)), None)
        if start is None or lines[0].startswith(NOT_CUES):
            continue
        source = " ".join(lines[start + 1 :])
        speaker = SPEAKER.search(source)
        words = join_lines(html.unescape(TAG.sub("", source)))
        if words:
            yield join_lines(html.unescape(speaker[1])) if speaker else "", words
