"""Texts laid out for readers: nothing is lost, and what is marked is the quote; and how much of them is shown."""

import re
from dataclasses import dataclass
from functools import partial
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.links import Grant, LinkSigner
from api.view_page import OpenedDocument, lay_out, render_text
from api.view_text import Span, TextBlock, TextLayout
from domain.document_files import Extracted, TextPart
from domain.models import DocumentVersion, now
from ingestion.parsers.html import parse as parse_html
from ingestion.parsers.markdown import parse as parse_markdown
from ingestion.parsers.parsed import Limits
from ingestion.reader import make_extracted
from utils.errors import UnreadableDocument

WORDS = st.lists(
    st.sampled_from(["word", "12 %", "a | b", "- item", "1. one", "\n", "\n\n", "# Head\n\n", "|x|y|", "é"])
)
TEXTS = WORDS.map(" ".join)
FAQ = "# Top\n\n## Below\n\nText.\n\n- one\n- two\n\n| a | b |\n|---|---|\n| c | d |\n"


def extracted(markdown: str) -> Extracted:
    return make_extracted(parse_markdown(markdown.encode(), Limits()))


def said(blocks: list[TextBlock], *, is_marked: bool = False) -> str:
    pieces = (piece for block in blocks for row in block.rows for cell in row for piece in cell)
    return "".join(piece.text for piece in pieces if piece.is_marked or not is_marked)


def essence(text: str) -> str:
    """What has to be there whatever the layout: tables lose their bars and rules."""
    return re.sub(r"[\s|:=-]", "", text)


def test_headings_lists_and_tables_are_told_apart() -> None:
    found = TextLayout(extracted(FAQ), Span(0, 0)).lay_out_blocks(Span(0, 1000), shows_pages=True)
    assert [(block.kind, block.level, len(block.rows)) for block in found] == [
        ("heading", 2, 1), ("heading", 3, 1), ("paragraph", 0, 1), ("list", 0, 2), ("table", 0, 2),
    ]  # fmt: skip
    assert [[said([TextBlock("", [[cell]])]) for cell in row] for row in found[-1].rows] == [["a", "b"], ["c", "d"]]


def test_the_rows_of_a_web_pages_table_are_one_table() -> None:
    page = b"<h1>T</h1><p>x</p><table><tr><th>a</th><th>b</th></tr><tr><td>c</td><td></td></tr></table>"
    found = TextLayout(make_extracted(parse_html(page, Limits())), Span(0, 0)).lay_out_blocks(
        Span(0, 1000), shows_pages=True
    )
    assert [(block.kind, len(block.rows)) for block in found] == [("heading", 1), ("paragraph", 1), ("table", 2)]


def test_a_long_tables_columns_are_its_head() -> None:
    head, rows = "Room | Size\n\n", "".join(f"Room {number} | {number} beds\n" for number in range(40))
    document = Extracted(head + rows, (TextPart(0, len(head), len(head + rows), 9, None),))
    found = TextLayout(document, Span(0, 0)).lay_out_blocks(Span(0, 9000), shows_pages=True)
    assert [(block.kind, len(block.rows), block.has_head) for block in found] == [("table", 41, True)]


@given(TEXTS, st.integers(0, 200), st.integers(0, 200))
def test_everything_is_shown_once_and_the_quote_is_what_is_marked(text: str, start: int, end: int) -> None:
    try:
        document = extracted(text)
    except UnreadableDocument:
        return
    size = len(document.text)
    quote = Span(min(start, size), min(max(start, end), size))
    blocks = TextLayout(document, quote).lay_out_blocks(Span(0, size), shows_pages=True)
    assert essence(said(blocks)) == essence(document.text)
    assert essence(said(blocks, is_marked=True)) == essence(document.text[quote.start : quote.end])


@given(TEXTS, st.integers(0, 200), st.integers(1, 60))
def test_a_window_shows_what_is_in_it_and_no_more(text: str, start: int, length: int) -> None:
    try:
        document = extracted(text)
    except UnreadableDocument:
        return
    shown = TextLayout(document, Span(0, 0)).lay_out_blocks(Span(start, start + length), shows_pages=True)
    assert essence(said(shown)) == essence(document.text[start : start + length])


@dataclass
class Place:
    start: int | None = None
    end: int | None = None
    at: int | None = None
    page: int | None = None


def opened() -> OpenedDocument:
    version = DocumentVersion(
        document_id="d", version=1, title="Long", file_name="long.txt", language="en", media_type="text/plain",
        created_at=now(), pages=None,
    )  # fmt: skip
    return OpenedDocument(version, 1, partial(LinkSigner(b"key", 60).sign, "acme", "d"), grant=Grant())


@pytest.mark.parametrize("piece", ["Nothing in particular.\n\n", "a | b\n"])
def test_five_million_characters_are_shown_in_parts_around_the_quote(piece: str) -> None:
    half = piece * (2_400_000 // len(piece))
    text = f"{half}\n\nThe lighthouse keeper collects owls.\n\n{half}"
    quote = (len(half) + 2, len(half) + 38)
    document = Extracted(text, (TextPart(0, 0, len(text), 0, None),))
    page = render_text(lay_out(opened(), document, Place(*quote)))
    assert re.findall(r"<mark[^>]*>([^<]*)</mark>", page) == ["The lighthouse keeper collects owls."]
    assert len(page) < 900_000
    assert set(re.findall(r'<p class="paragraph">([^<]+)</p>', page)) <= {piece.strip()}  # whole ones
    for direction in ("prev", "next"):
        address = unescape(re.search(rf'rel="{direction}" href="([^"]+)"', page)[1])  # type: ignore[index]
        at = int(re.search(r"at=(\d+)", address)[1])  # type: ignore[index]
        other = render_text(lay_out(opened(), document, Place(*quote, at=at)))
        assert "<mark" not in other
        assert "view?version=1&amp;start=" in other
        assert len(other) < 900_000
