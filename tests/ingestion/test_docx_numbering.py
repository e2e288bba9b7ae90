"""Word's numbers before headings and list items, which stand in no paragraph: they are read as Word shows them."""

import time

import pytest

from ingestion.parsers.docx_numbering import format_number
from ingestion.parsers.kinds import parse
from ingestion.parsers.parsed import Limits, ParsedDocument
from tests.ingestion.office import word_parts


def level(depth: int, text: str, number_format: str = "decimal", *, start: int = 1, more: str = "") -> str:
    return (
        f'<w:lvl w:ilvl="{depth}"><w:start w:val="{start}"/><w:numFmt w:val="{number_format}"/>'
        f'<w:lvlText w:val="{text}"/>{more}</w:lvl>'
    )


def definition(name: str, *levels: str) -> str:
    return f'<w:abstractNum w:abstractNumId="{name}">{"".join(levels)}</w:abstractNum>'


def listed(name: str, of: str, more: str = "") -> str:
    return f'<w:num w:numId="{name}"><w:abstractNumId w:val="{of}"/>{more}</w:num>'


def paragraph(text: str, place: str | None = None, style: str | None = None) -> str:
    """A paragraph; *place* is the list and the level in it, as "1 0", or the list alone."""
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    if place:
        list_id, _, depth = place.partition(" ")
        named += f'<w:numPr>{f"<w:ilvl w:val={depth!r}/>" if depth else ""}<w:numId w:val="{list_id}"/></w:numPr>'
    return f"<w:p><w:pPr>{named}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def style(name: str, shown: str, properties: str = "", *, base: str = "") -> str:
    based = f'<w:basedOn w:val="{base}"/>' if base else ""
    return (
        f'<w:style w:type="paragraph" w:styleId="{name}"><w:name w:val="{shown}"/>{based}'
        f"<w:pPr>{properties}</w:pPr></w:style>"
    )


def read(body: str, numbering: str, styles: str = "") -> ParsedDocument:
    return parse(word_parts(body, numbering=numbering, styles=styles), "statutes.docx", Limits())


def lines(body: str, numbering: str, styles: str = "") -> list[str]:
    return read(body, numbering, styles).text.split("\n\n")


def test_an_article_keeps_its_number_in_the_path_of_headings_and_its_paragraphs_theirs() -> None:
    styles = style("H1", "heading 1", '<w:numPr><w:numId w:val="4"/></w:numPr>') + style(
        "Clause", "Clause", '<w:numPr><w:ilvl w:val="7"/><w:numId w:val="4"/></w:numPr>'
    )
    numbering = definition(
        "9",
        level(0, "Article %1", more='<w:pStyle w:val="H1"/>'),
        level(1, "(%2)", more='<w:pStyle w:val="Clause"/>'),
    ) + listed("4", "9")
    body = "".join(
        paragraph(text, style=kind)
        for text, kind in [("Scope", "H1"), ("All.", "Clause"), ("Fees", "H1"), ("None.", "Clause"), ("Two.", "Clause")]
    )
    document = read(body, numbering, styles)
    assert [(part.heading, document.text[part.body : part.end]) for part in document.sections] == [
        (("Article 1 Scope",), "(1) All."),
        (("Article 2 Fees",), "(1) None.\n\n(2) Two."),
    ]


def test_a_level_deeper_than_there_are_is_a_bullet_and_takes_no_memory() -> None:
    numbering = definition("0", level(0, "%1."), level(999_999_999, "%1.")) + listed("1", "0")
    body = paragraph("One", "1 0") + paragraph("Deep", "1 999999999") + paragraph("Two", "1 0")
    assert lines(body, numbering) == ["1. One", "- Deep", "2. Two"]


def test_levels_show_those_above_and_begin_anew_below_them() -> None:
    numbering = definition("0", level(0, "%1."), level(1, "%1.%2", "upperLetter"), level(2, "(%3)", "lowerRoman"))
    places = ["1 0", "1 1", "1 1", "1 2", "1 0", "1 1", "1 2"]
    body = "".join(paragraph("x", place) for place in places)
    assert lines(body, numbering + listed("1", "0")) == ["1. x", "1.A x", "1.B x", "(i) x", "2. x", "2.A x", "(i) x"]


def test_a_level_that_was_passed_over_counts_as_begun() -> None:
    numbering = definition("0", level(0, "%1"), level(1, "%1.%2"), level(2, "%1.%2.%3")) + listed("1", "0")
    body = "".join(paragraph("x", f"1 {depth}") for depth in (0, 2, 1, 0, 1))
    assert lines(body, numbering) == ["1 x", "1.1.1 x", "1.2 x", "2 x", "2.1 x"]


def test_a_level_goes_on_counting_where_it_says_so() -> None:
    never, after_first = '<w:lvlRestart w:val="0"/>', '<w:lvlRestart w:val="1"/>'
    numbering = definition(
        "0", level(0, "%1."), level(1, "Rule %2", more=never), level(2, "%3)", more=after_first)
    ) + listed("1", "0")
    body = "".join(paragraph("x", f"1 {depth}") for depth in (0, 1, 2, 1, 2, 0, 1, 2))
    assert lines(body, numbering) == [
        "1. x", "Rule 1 x", "1) x", "Rule 2 x", "2) x", "2. x", "Rule 3 x", "1) x",
    ]  # fmt: skip


def test_lists_of_one_definition_count_on_unless_one_has_its_own_start() -> None:
    own_start = '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/></w:lvlOverride>'
    own_level = f'<w:lvlOverride w:ilvl="0">{level(0, "No. %1", start=3)}</w:lvlOverride>'
    numbering = (
        definition("0", level(0, "%1."))
        + definition("7", level(0, "%1)"))
        + listed("1", "0")
        + listed("2", "0")
        + listed("3", "0", own_start)
        + listed("4", "7", own_level)
    )
    body = "".join(paragraph("x", f"{name} 0") for name in ("1", "2", "3", "3", "1", "4", "4"))
    assert lines(body, numbering) == ["1. x", "2. x", "5. x", "6. x", "7. x", "No. 3 x", "No. 4 x"]


def test_legal_numbering_writes_all_levels_in_digits() -> None:
    numbering = definition(
        "0", level(0, "%1", "upperRoman", start=4), level(1, "%1.%2", "lowerLetter", more="<w:isLgl/>")
    )
    body = paragraph("x", "1 0") + paragraph("y", "1 1")
    assert lines(body, numbering + listed("1", "0")) == ["IV x", "4.1 y"]


def test_a_style_gives_its_list_to_those_based_on_it_and_a_paragraph_may_turn_it_off() -> None:
    styles = (
        style("Base", "Numbered", '<w:numPr><w:numId w:val="1"/></w:numPr>')
        + style("Inner", "Inner", '<w:numPr><w:ilvl w:val="1"/></w:numPr>', base="Base")
        + style("Off", "Off", '<w:numPr><w:numId w:val="0"/></w:numPr>', base="Base")
        + style("L", "List Paragraph")
    )
    numbering = definition("0", level(0, "%1."), level(1, "%1.%2")) + listed("1", "0")
    body = (
        paragraph("a", style="Base")
        + paragraph("b", style="Inner")
        + paragraph("c", style="Off")
        + paragraph("d", "0 0", style="Base")
        + paragraph("e", style="Base")
        + paragraph("f", style="L")
    )
    assert lines(body, numbering, styles) == ["1. a", "1.1 b", "c", "d", "2. e", "f"]


def test_a_list_takes_its_levels_from_the_list_of_a_style() -> None:
    styles = style("Outline", "Outline", '<w:numPr><w:numId w:val="8"/></w:numPr>')
    linked = '<w:abstractNum w:abstractNumId="5"><w:numStyleLink w:val="Outline"/></w:abstractNum>'
    numbering = linked + definition("6", level(0, "§ %1")) + listed("3", "5") + listed("8", "6")
    assert lines(paragraph("x", "3 0") + paragraph("y", "8 0"), numbering, styles) == ["§ 1 x", "§ 2 y"]


def test_bullets_are_dashes_and_hidden_or_empty_numbers_are_not_there() -> None:
    numbering = definition(
        "0",
        level(0, "\uf0b7", "bullet"),
        level(1, "", "none"),
        level(2, "%3.", more="<w:rPr><w:vanish/></w:rPr>"),
        level(3, "Note:", "none"),
        level(4, "%5", more='<w:suff w:val="nothing"/>'),
    )
    body = "".join(paragraph("x", f"1 {depth}") for depth in range(5))
    assert lines(body, numbering + listed("1", "0")) == ["- x", "x", "x", "Note: x", "1x"]


def test_items_in_cells_are_numbered_with_the_others_and_empty_ones_count() -> None:
    numbering = definition("0", level(0, "%1.")) + listed("1", "0")
    cell = f"<w:tbl><w:tr><w:tc>{paragraph('in', '1 0')}</w:tc><w:tc>{paragraph('a cell')}</w:tc></w:tr></w:tbl>"
    gone = '<w:p><w:pPr><w:numPr><w:numId w:val="1"/></w:numPr><w:rPr><w:del/></w:rPr></w:pPr></w:p>'
    body = paragraph("x", "1 0") + cell + paragraph("", "1 0") + gone + paragraph("y", "1")
    assert lines(body, numbering) == ["1. x", "2. in | a cell", "4. y"]


@pytest.mark.parametrize(
    "numbering",
    [
        "",
        listed("1", "none"),
        listed("1", "0") + definition("0", level(0, "%1%2%9.", start=10**30)),
        listed("1", "0") + definition("0", '<w:lvl w:ilvl="²"/><w:lvl/>'),
        listed("1", "0") + '<w:abstractNum w:abstractNumId="0"><w:numStyleLink w:val="S"/></w:abstractNum>',
        listed("1", "0") + definition("0", level(0, "%1" * 100_000, "lowerLetter", start=999_999_999)),
    ],
)
def test_damaged_or_hostile_numbering_loses_no_text(numbering: str) -> None:
    styles = style("S", "S", '<w:numPr><w:numId w:val="1"/></w:numPr>', base="S")
    text = read(paragraph("Kept", "1 0", style="S") * 3, numbering, styles).text
    assert text.count("Kept") == 3
    assert len(text) < 5_000


@pytest.mark.parametrize("depth", [9, 20_000, 999_999_999 // 1_000])
def test_levels_below_the_ninth_are_none_and_cost_nothing(depth: int) -> None:
    numbering = definition("0", level(8, "%9.", start=5), level(depth, "%1.")) + listed("1", "0")
    assert lines(paragraph("x", f"1 {depth}") + paragraph("y", "1 8"), numbering) == ["- x", "5. y"]


def test_thousands_of_lists_that_share_a_definition_of_thousands_of_levels_are_read_within_seconds() -> None:
    numbering = definition("0", *(level(depth % 9, "%1.") for depth in range(2_000)))
    began = time.process_time()
    text = read(paragraph("x", "4999"), numbering + "".join(listed(str(one), "0") for one in range(5_000))).text
    assert text == "1. x"
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    ("count", "number_format", "written"),
    [
        (4, "upperRoman", "IV"), (1994, "lowerRoman", "mcmxciv"), (4000, "upperRoman", "4000"), (0, "lowerRoman", "0"),
        (1, "lowerLetter", "a"), (26, "upperLetter", "Z"), (28, "lowerLetter", "bb"), (781, "lowerLetter", "781"),
        (7, "decimalZero", "07"), (1, "ordinal", "1st"), (12, "ordinal", "12th"), (22, "ordinal", "22nd"),
        (3, "chineseCounting", "3"), (3, "none", ""), (3, "bullet", ""),
    ],
)  # fmt: skip
def test_numbers_are_written_in_their_format(count: int, number_format: str, written: str) -> None:
    assert format_number(count, number_format) == written
