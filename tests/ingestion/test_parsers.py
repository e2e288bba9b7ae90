"""Each format to text with headings and pages; what cannot be read is refused in plain words."""

import codecs
import contextlib
import time

import pytest

from ingestion.parsers.kinds import parse
from ingestion.parsers.parsed import Limits, ParsedDocument
from ingestion.parsers.sniffing import OLE
from tests.ingestion.files import bomb, locked_pdf, pdf, saved, word
from utils.errors import UnreadableDocument


def read(data: bytes, name: str, limits: Limits | None = None) -> ParsedDocument:
    return parse(data, name, limits or Limits())


def sections(document: ParsedDocument) -> list[tuple[str, str]]:
    return [(" › ".join(part.heading), document.text[part.body : part.end]) for part in document.sections]


def test_markdown_is_read_as_a_reader_sees_it() -> None:
    source = """---
title: "Staff handbook"
layout: page
---
# Leave {#leave}

You have **twelve** [days](https://example.org/days) of `leave`.

- one
- two
    1. inner
    2. last

## Sick leave

| Days | Note |
|------|------|
| 1-2  | none |

<!-- a comment --><div>Call <b>us</b></div>

### Empty

## Last
"""
    document = read(source.encode(), "leave.md")
    assert document.title == "Staff handbook"
    assert sections(document) == [
        ("Leave", "You have twelve days of leave.\n\n- one\n- two\n  1. inner\n  2. last"),
        ("Leave › Sick leave", "Days | Note\n1-2 | none\n\nCall us"),
        ("Leave › Sick leave › Empty", "Empty"),
        ("Leave › Last", "Last"),
    ]


def test_markdown_without_front_matter_has_its_first_heading_as_title() -> None:
    assert read(b"intro\n\n# The *title*\n\ntext", "a.md").title == "The title"
    assert read(b"## only a second\n\ntext", "a.md").title is None


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Año, ¿qué?".encode(), "Año, ¿qué?"),
        ("Año, ¿qué?".encode("latin-1"), "Año, ¿qué?"),
        (codecs.BOM_UTF8 + "Año".encode(), "Año"),
        (codecs.BOM_UTF16_LE + "Halo dunia".encode("utf-16-le"), "Halo dunia"),
        (codecs.BOM_UTF16_BE + "Halo dunia".encode("utf-16-be"), "Halo dunia"),
        ("Halo dunia".encode("utf-16-le"), "Halo dunia"),
        (codecs.BOM_UTF32_LE + "Halo dunia".encode("utf-32-le"), "Halo dunia"),
        ("“Straße” – €5".encode("cp1252"), "“Straße” – €5"),
        ("Библиотека открыта ежедневно с девяти до шести. ".encode("cp1251") * 40, None),
        ("Señal útil – ".encode() * 20 + b"\xff" + b" fin", "Señal útil – " * 20 + "\ufffd fin"),
    ],
)
def test_text_is_read_in_any_encoding(data: bytes, text: str | None) -> None:
    found = read(data, "a.txt").text
    assert found == text if text is not None else found.startswith("Библиотека открыта")


def test_characters_that_do_not_belong_into_text_are_left_out() -> None:
    hidden = "a\u200bb\u00adc\u202ed\U000e0041e\x00\x01 é"
    assert read(hidden.encode() + b" " * 40, "a.txt").text == "abcde é"


@pytest.mark.parametrize("name", ["a.html", "a.md"])
def test_nor_can_they_be_brought_in_as_entities(name: str) -> None:
    assert read(b"a&#x200b;b&shy;c&#x202e;d&#xe0041;e&#0;&amp;", name).text.replace("\ufffd", "") == "abcde&"


def test_a_page_is_read_without_navigation_scripts_and_what_is_hidden() -> None:
    source = """<?xml version="1.0" encoding="utf-8"?><!doctype html><html><head><title> Opening  hours </title>
<link rel="canonical" href="https://example.org/hours"><style>p{}</style></head><body>
<nav>Home</nav><header><h1>Hours</h1></header><script>track()</script>
<p>Open from
eight <b>to</b> <i>four</i>.<br>Not on Sundays.</p><p hidden>secret</p><p style="display: none">more</p>
<h2>Holidays</h2><ul><li>New <a href="/x">Year</a></li><li>Easter</li></ul>
<table><tr><th>Day</th><th>Open</th></tr><tr><td>Mon</td><td><p>8</p><p>16</p></td></tr></table>
<pre>a
  <span>b
</span>c</pre><footer>Imprint</footer></body></html>"""
    document = read(source.encode(), "hours.html")
    assert (document.title, document.url) == ("Opening hours", "https://example.org/hours")
    assert sections(document) == [
        ("Hours", "Open from eight to four.\nNot on Sundays."),
        ("Hours › Holidays", "- New Year\n\n- Easter\n\nDay | Open\nMon | 8 16\n\na\n  b\nc"),
    ]


def test_a_cell_that_spans_rows_is_said_in_each_of_them_and_a_nested_table_in_its_cell() -> None:
    source = """<table><caption>Fees</caption><thead><tr><th rowspan=2>Year</th><th colspan="2">Fee</th></tr>
<tr><th>new</th>
<th>old</th></tr></thead><tbody><tr><td rowspan="3">2026</td><td>1</td><td>2</td></tr>
<tr><td>3</td><td><table><tr><td>4</td><td>5</td></tr></table></td></tr></tbody></table><p>End</p>"""
    rows = "Year | Fee\nYear | new | old\n2026 | 1 | 2\n2026 | 3 | 4 5"
    assert read(source.encode(), "a.html").text == f"Fees\n\n{rows}\n\nEnd"


def test_a_page_is_read_in_the_encoding_it_declares_and_its_script_links_are_no_address() -> None:
    source = '<html><head><meta charset="iso-8859-1"><link rel="canonical" href="javascript:x()"></head>Año</html>'
    document = read(source.encode("latin-1"), "a.htm")
    assert (document.text, document.url, document.title) == ("Año", None, None)


def test_only_the_main_part_of_a_page_is_read_where_it_is_marked() -> None:
    document = read(b"<div>menu</div><main><p>what the page says</p></main><div>more menu</div>", "a.html")
    assert document.text == "what the page says"


def test_a_pdf_is_read_by_page_with_its_lines_joined() -> None:
    document = read(pdf(["The library opens at eight and", "closes at four.", "Loans"], [], ["Second"]), "a.pdf")
    assert [(part.page, document.text[part.body : part.end]) for part in document.sections] == [
        (1, "The library opens at eight and closes at four.\n\nLoans"),
        (3, "Second"),
    ]
    assert document.pages == 3


def test_a_word_document_is_read_with_headings_lists_and_tables() -> None:
    document = word(title="Travel rules")
    document.add_paragraph("Preamble")
    document.add_heading("Trips", 1)
    document.add_heading("Abroad", 2)
    document.add_paragraph("Ask first", style="List Bullet")
    table = document.add_table(2, 3)
    table.cell(0, 0).merge(table.cell(0, 1)).text = "Wide"
    table.cell(0, 2).text = "Right"
    table.cell(1, 0).text = "Low"
    tall = document.add_table(2, 2)
    tall.cell(0, 0).merge(tall.cell(1, 0)).text = "Tall"
    tall.cell(0, 1).text, tall.cell(1, 1).text = "up", "down"
    parsed = read(saved(document), "a.docx")
    assert parsed.title == "Travel rules"
    assert sections(parsed) == [
        ("", "Preamble"),
        ("Trips › Abroad", "- Ask first\n\nWide | Right\nLow |  |\n\nTall | up\nTall | down"),
    ]


SMALL = Limits(size_bytes=100_000, characters=1_000, pages=2, unpacked_bytes=1_000_000)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.pdf", b"", "empty"),
        ("a.md", b" \n\t \n", "no text"),
        ("a.html", b"<html><body><script>x</script></body></html>", "no text"),
        ("a.html", b"  ", "no text"),
        ("a.pdf", pdf([]), "no text"),
        ("a.docx", saved(word()), "no text"),
        ("a.pdf", b"<html><body>Hello</body></html>", "not a PDF.*web page"),
        ("a.docx", b"plain words", "not a DOCX.*text"),
        ("a.docx", b"PK\x03\x04 word/ and nothing more", "damaged"),
        ("a.docx", saved(word())[:-200], "damaged"),
        ("a.docx", OLE + "EncryptedPackage".encode("utf-16-le") + b"\0" * 600, "password"),
        ("a.xlsx", OLE + b"\0" * 600, "before 2007.*XLSX"),
        ("a.pdf", locked_pdf("secret"), "password"),
        ("a.pdf", pdf(["text"])[:100], "damaged"),
        ("a.txt", pdf(["text"]), "not text.*PDF"),
        ("a.md", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "not text.*picture"),
        ("a.txt", b"good text\0\0\1" * 9, r"not text.*binary data\. Save it as plain text"),
        ("a.exe", b"{}", "kind.*\\.pdf"),
        ("a.txt", b"x" * 100_001, "larger than 0.1 MB"),
        ("a.md", b"word " * 300, "1,000 characters"),
        ("a.pdf", pdf(["a"], ["b"], ["c"]), "3 pages"),
        ("a.docx", bomb(2_000_000), "Unpacked"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(name: str, data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableDocument, match=f"(?i){reason}"):
        read(data, name, SMALL)


@pytest.mark.parametrize("name", ["a.md", "a.html"])
@pytest.mark.parametrize("source", [b"<div>" * 50_000, b">" * 5_000 + b" a", b"- " * 5_000 + b"a", b"<b>" * 50_000])
def test_markup_nested_very_deep_is_read_or_refused(name: str, source: bytes) -> None:
    with contextlib.suppress(UnreadableDocument):
        assert read(source, name).text


def test_tens_of_thousands_of_tables_in_a_row_are_read_within_seconds() -> None:
    data = ("a   b\n" * 3 + "a   b   c\n" * 3) * 40_000
    began = time.process_time()
    assert parse(data.encode(), "report.txt", Limits()).text.count("a | b | c") == 120_000
    assert time.process_time() - began < 4


def test_headings_tables_and_broken_lines_of_plain_text_are_read_as_such() -> None:
    text = """HARBOUR POOL - FEES
===================

The pool of the harbour is open from May to the middle of September, on every
day of the week, and the last visitors are let in one hour before it closes at
night.

TICKETS

Ticket              Price
Adult ............. 5.80
Child ............. 2.40
Dog

- Bring a towel that is large enough, for the harbour's wind is cold in the night
- Bring a cap
"""
    document = read(text.encode(), "pool.txt")
    assert document.title == "HARBOUR POOL - FEES"
    assert sections(document) == [
        (
            "HARBOUR POOL - FEES",
            "The pool of the harbour is open from May to the middle of September, on every day of the week, and the "
            "last visitors are let in one hour before it closes at night.",
        ),
        (
            "HARBOUR POOL - FEES › TICKETS",
            "Ticket | Price\nAdult | 5.80\nChild | 2.40\n\nDog\n\n- Bring a towel that is large enough, for the "
            "harbour's wind is cold in the night\n- Bring a cap",
        ),
    ]


@pytest.mark.parametrize(
    "text", ["=====", "A\n---\n---\n", "....\n....\n....", "\t\t\n", "a\tb\n" * 3, "X\n===\n\nX\n==="]
)
def test_plain_text_that_only_looks_like_headings_or_tables_is_read_or_refused(text: str) -> None:
    try:
        assert read(text.encode(), "a.txt").text.strip()
    except UnreadableDocument:
        assert not any(map(str.isalnum, text))
