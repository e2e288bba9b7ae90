"""Documents, slides, sheets and e-books: everything a reader sees, with its headings, pages and rows."""

import datetime
import io
import zipfile
from collections.abc import Mapping, Sequence

import openpyxl
import pytest
from openpyxl.comments import Comment

from ingestion.parsers.kinds import parse
from ingestion.parsers.parsed import Limits, ParsedDocument
from tests.ingestion.office import (
    DIAGRAM,
    DRAWING,
    RELATIONS,
    STRICT_WORD,
    book,
    contents,
    diagram,
    open_document,
    shape,
    slides,
    with_part,
    word_parts,
    zipped,
)
from tests.reading import chunk_document
from tests.security.cost import cpu_s
from utils.errors import UnreadableDocument


def read(data: bytes, name: str, limits: Limits | None = None) -> ParsedDocument:
    return parse(data, name, limits or Limits())


def sections(document: ParsedDocument) -> list[tuple[int | None, str, str]]:
    return [(part.page, " › ".join(part.heading), document.text[part.body : part.end]) for part in document.sections]


def sheet(*rows: Sequence[object], title: str = "Loans") -> bytes:
    workbook = openpyxl.Workbook()
    page = workbook.active
    page.title = title
    for row in rows:
        page.append(row)
    return saved(workbook)


def test_what_is_left_out_of_a_sheet_is_told() -> None:
    workbook = openpyxl.Workbook()
    page = workbook.active
    page.title = "Loans"
    page["A1"], page["B1"] = "Books", "fifteen"
    page.cell(1, 2_000, "far right")
    page.cell(10_005, 1, "far below")
    document = read(saved(workbook), "a.xlsx")
    assert "far" not in document.text
    assert document.notes == (
        "What stands below 10,000 empty rows of the sheet Loans is not read, if anything does: remove the empty rows.",
        "Columns of the sheet Loans beyond the 1,000th are not read: put them into another sheet.",
    )
    assert read(sheet(["Books", "fifteen"]), "a.xlsx").notes == ()


def saved(workbook: openpyxl.Workbook) -> bytes:
    file = io.BytesIO()
    workbook.save(file)
    return file.getvalue()


def test_a_word_document_is_read_with_what_was_inserted_boxed_or_noted_and_without_what_was_deleted() -> None:
    body = """<w:p><w:r><w:t>Open </w:t></w:r><w:ins><w:r><w:t>daily</w:t></w:r></w:ins>
<w:del><w:r><w:delText>never</w:delText></w:r></w:del>
<w:moveFrom><w:r><w:t>elsewhere</w:t></w:r></w:moveFrom></w:p>
<w:sdt><w:sdtContent><w:p><w:r><w:t>Controlled</w:t></w:r></w:p></w:sdtContent></w:sdt>
<w:p><w:r><w:t>Before</w:t></w:r>
<w:r><w:txbxContent><w:p><w:r><w:t>In a box</w:t></w:r></w:p></w:txbxContent></w:r></w:p>
<w:p><w:r><w:fldChar/><w:instrText>PAGE</w:instrText><w:t>7</w:t></w:r></w:p>"""
    notes = """<w:footnote w:type="separator"><w:p><w:r><w:t>—</w:t></w:r></w:p></w:footnote>
<w:footnote w:id="1"><w:p><w:r><w:t>See the map.</w:t></w:r></w:p></w:footnote>"""
    text = read(word_parts(body, footnotes=notes), "a.docx").text
    assert text == "Open daily\n\nControlled\n\nBefore\n\nIn a box\n\n7\n\nSee the map."


def test_a_strict_word_document_is_read_like_any_other() -> None:
    heading = '<w:p><w:pPr><w:pStyle w:val="x1"/></w:pPr><w:r><w:t>Hours</w:t></w:r></w:p>'
    body = f"{heading}<w:p><w:r><w:t>Eight.</w:t></w:r></w:p>"
    styles = '<w:style w:styleId="x1"><w:name w:val="heading 2"/></w:style>'
    document = read(word_parts(body, namespace=STRICT_WORD, styles=styles), "a.docx")
    assert sections(document) == [(None, "Hours", "Eight.")]


def test_slides_are_pages_under_their_titles_with_tables_and_notes() -> None:
    cell = "<a:tc {}><a:txBody><a:p><a:r><a:t>{}</a:t></a:r></a:p></a:txBody></a:tc>"
    row = "<a:tr>{}{}</a:tr>"
    table = "<p:graphicFrame><a:tbl>{}{}</a:tbl></p:graphicFrame>".format(
        row.format(cell.format("", "Day"), cell.format("", "Open")),
        row.format(cell.format("", "Mon"), cell.format('hMerge="1"', "hidden")),
    )
    first = shape("late", "item two", kind="body") + shape("7", kind="sldNum") + shape("Loans", kind="title") + table
    document = read(slides(first, f"<p:grpSp>{shape('Grouped')}</p:grpSp>", notes=shape("Say hello.")), "a.pptx")
    assert sections(document) == [
        (1, "Loans", "- late\n- item two\n\nDay | Open\nMon\n\nSay hello."),
        (2, "", "Grouped"),
    ]
    assert (document.title, document.pages) == ("Loans", 2)


def test_a_sheet_is_read_as_rows_with_values_as_they_are_shown() -> None:
    day = datetime.datetime(2026, 3, 1)
    document = read(sheet(["Item", "Due", "Late"], ["Book", day, True], ["Map", None, 2.50]), "a.xlsx")
    assert sections(document) == [(None, "Loans", "Item | Due | Late\nBook | 2026-03-01 | TRUE\nMap |  | 2.5")]


def test_the_figures_of_a_chart_are_read_as_rows_and_remarks_on_cells_below_their_sheet() -> None:
    point = '<w:pt idx="{}"><w:v>{}</w:v></w:pt>'.format
    series = f"<w:ser><w:tx>{point(0, 'Loans')}</w:tx><w:cat>{point(0, 'May')}{point(1, 'June')}</w:cat>"
    values = f"<w:val>{point(1, '4.4000000000000004')}</w:val></w:ser>"
    chart = f"<w:chart><w:title><w:t>A year</w:t></w:title>{series}{values}</w:chart>"
    assert read(word_parts("", chart=chart), "a.docx").text == "A year\n\n | Loans\nJune | 4.4"
    workbook = openpyxl.Workbook()
    workbook.active["A1"] = 7
    workbook.active["A1"].comment = Comment("Since May", "Ana")
    assert read(saved(workbook), "a.xlsx").text == "Sheet\n\n7\n\nSince May"


STEPS = diagram(("1", "top", "Apply"), ("2", "1", "Fill in the form"), ("3", "1", "Pay"), ("4", "top", "Enrol"))
LISTED = "- Apply\n  - Fill in the form\n  - Pay\n- Enrol"


def test_the_texts_of_a_diagram_are_a_list_where_it_stands() -> None:
    named = f'<d:relIds xmlns:d="{DIAGRAM}" xmlns:r="{RELATIONS}" r:dm="drawn"/>'
    shown = f"<w:p><w:r><w:drawing>{named}</w:drawing></w:r></w:p>"
    paragraphs = [f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in ("Before", "After")]
    plain = word_parts(shown.join(paragraphs))
    read_again = read(with_part(plain, "word/document.xml", "diagramData", STEPS), "a.docx")
    assert read_again.text == f"Before\n\n{LISTED}\n\nAfter"
    slide = with_part(slides(shape("How to", kind="title")), "ppt/slides/slide0.xml", "diagramData", STEPS)
    assert sections(read(slide, "a.pptx")) == [(1, "How to", LISTED)]


def test_a_line_at_the_top_of_pages_is_read_in_linear_time() -> None:
    def paragraph(text: str) -> str:
        return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"

    rule = "." * 200
    data = word_parts(paragraph("Text"), header=paragraph(f"{rule} Statutes") + paragraph(f"{rule} Page 3 of 9 {rule}"))
    assert cpu_s(lambda: read(data, "a.docx")) < 0.5
    assert read(data, "a.docx").text == f"Text\n\n{rule} Statutes"


def test_a_diagram_that_runs_in_circles_or_is_damaged_costs_no_text() -> None:
    circle = diagram(
        ("1", "2", "One"), ("2", "1", "Two"), ("3", "top", "Three"), ("4", "3", "Four"), ("3", "4", "Again")
    )
    plain, document = slides(shape("Kept")), word_parts("<w:p><w:r><w:t>Kept</w:t></w:r></w:p>")
    for model in (circle, "<broken", diagram(*[(str(n + 1), str(n), "deep") for n in range(5_000)])):
        assert "Kept" in read(with_part(plain, "ppt/slides/slide0.xml", "diagramData", model), "a.pptx").text
        drawn = with_part(document, "word/document.xml", "diagramData", model)
        assert read(drawn, "a.docx").text.startswith("Kept")


def test_text_boxes_and_diagrams_on_a_sheet_are_read_below_it() -> None:
    runs = "<a:r><a:t>Closed on</a:t></a:r><a:r><a:t> Fridays</a:t></a:r>"
    box = f'<x:wsDr xmlns:x="x" xmlns:a="{DRAWING}"><x:sp><x:txBody><a:p>{runs}</a:p></x:txBody></x:sp></x:wsDr>'
    drawn = with_part(sheet(["Fee", 10]), "xl/worksheets/sheet1.xml", "drawing", box)
    assert read(drawn, "a.xlsx").text == "Loans\n\nFee | 10\n\nClosed on Fridays"


def test_a_page_that_is_inserted_into_a_word_document_is_read_where_it_stands() -> None:
    paragraph = "<w:p><w:r><w:t>{}</w:t></w:r></w:p>".format
    place = f'<w:altChunk xmlns:r="{RELATIONS}" r:id="drawn"/>'
    document = word_parts(paragraph("Before") + place + place + paragraph("After"))
    parts = contents(with_part(document, "word/document.xml", "aFChunk", ""))
    parts["word/_rels/document.xml.rels"] = parts["word/_rels/document.xml.rels"].replace(b"/drawn.xml", b"page.html")
    page = {"word/page.html": b"<h1>Hours</h1><p>Eight to four.</p>"}
    assert read(zipped({**parts, **page}), "a.docx").text == "Before\n\nHours\n\nEight to four.\n\nAfter"


def test_what_is_filled_into_a_form_is_read() -> None:
    def field(data: str, result: str = "") -> str:
        begin = f'<w:r><w:fldChar w:fldCharType="begin"><w:ffData>{data}</w:ffData></w:fldChar></w:r>'
        code = '<w:r><w:instrText>FORM</w:instrText></w:r><w:r><w:fldChar w:fldCharType="separate"/></w:r>'
        return f'{begin}{code}{result}<w:r><w:fldChar w:fldCharType="end"/></w:r>'

    choices = '<w:ddList><w:result w:val="1"/><w:listEntry w:val="Single"/><w:listEntry w:val="Double"/></w:ddList>'
    fields = [
        ("Name: ", field("<w:textInput/>", "<w:r><w:t>Ana</w:t></w:r>")),
        ("Room: ", field(choices)),
        ("Meals: ", field('<w:checkBox><w:default w:val="0"/><w:checked/></w:checkBox>')),
        ("Car: ", field('<w:checkBox><w:default w:val="0"/></w:checkBox>')),
        ("Pets: ", '<w:r><w:sym w:font="Wingdings" w:char="F0FE"/></w:r>'),
        ("Since: ", "<w:sdt><w:sdtContent><w:r><w:t>May</w:t></w:r></w:sdtContent></w:sdt>"),
    ]
    body = "".join(f'<w:p><w:r><w:t xml:space="preserve">{name}</w:t></w:r>{value}</w:p>' for name, value in fields)
    assert read(word_parts(body), "a.docx").text.split("\n\n") == [
        "Name: Ana", "Room: Double", "Meals: ☒", "Car: ☐", "Pets: ☑", "Since: May",
    ]  # fmt: skip


def test_remarks_and_what_stands_at_the_top_of_pages_come_last_and_under_no_heading() -> None:
    paragraph = "<w:p><w:r><w:t>{}</w:t></w:r></w:p>".format
    body = f'<w:p><w:pPr><w:outlineLvl w:val="0"/></w:pPr><w:r><w:t>Hours</w:t></w:r></w:p>{paragraph("Eight.")}'
    document = read(
        word_parts(
            body,
            header=paragraph("Statutes, 2026") + paragraph("Page 3 of 9") + paragraph("Statutes, 2026"),
            footer=paragraph("7"),
            comments=f"<w:comment>{paragraph('Since May?')}</w:comment>",
        ),
        "a.docx",
    )
    assert sections(document) == [(None, "Hours", "Eight."), (None, "", "Since May?\n\nStatutes, 2026")]


def test_a_table_of_one_column_is_a_frame_around_what_stands_in_it() -> None:
    item = "<w:p><w:r><w:t>{}</w:t></w:r></w:p>".format
    cells = (item("One.") + item("Two."), item("Three."))
    rows = "".join(f"<w:tr><w:tc>{cell}</w:tc></w:tr>" for cell in cells)
    assert read(word_parts(f"<w:tbl>{rows}</w:tbl>"), "a.docx").text == "One.\n\nTwo.\n\nThree."


def test_tables_beside_and_below_each_other_on_a_sheet_are_read_apart() -> None:
    rows = [["a", "b", None, "x", "y"], ["1", "2", None, "3", "4"], [], [None, "lone", "pair"]]
    document = read(sheet(*rows), "a.xlsx")
    assert document.text == "Loans\n\na | b\n1 | 2\n\nx | y\n3 | 4\n\nlone | pair"


def test_each_passage_of_a_long_table_says_its_columns() -> None:
    rows = [[f"Reader {number}", f"Shelf {number}", number] for number in range(200)]
    document = read(sheet(["Name", "Place", "Number"], *rows), "a.xlsx")
    chunks = chunk_document(document)
    assert len(chunks) > 3
    assert {chunk.heading for chunk in chunks} == {"Loans › Name | Place | Number"}


@pytest.mark.parametrize(
    ("kind", "name", "content", "found"),
    [
        (
            "text",
            "a.odt",
            '<text:h text:outline-level="2">Hours</text:h><text:p>Open<text:s text:c="2"/>at<text:tab/>eight'
            "<text:note><text:note-body><text:p>Not on Sundays</text:p></text:note-body></text:note></text:p>"
            "<text:list><text:list-item><text:p>one</text:p><text:list><text:list-item><text:p>inner</text:p>"
            "</text:list-item></text:list></text:list-item></text:list>",
            [(None, "Hours", "Open  at\teight [Not on Sundays]\n\n- one\n  - inner")],
        ),
        (
            "spreadsheet",
            "a.ods",
            '<table:table table:name="Fees"><table:table-row><table:table-cell><text:p>Fee</text:p></table:table-cell>'
            '<table:table-cell table:number-columns-repeated="2"><text:p>10</text:p></table:table-cell>'
            '<table:table-cell table:number-columns-repeated="16000"/></table:table-row>'
            '<table:table-row table:number-rows-repeated="1048000"><table:table-cell/></table:table-row></table:table>',
            [(None, "Fees", "Fee | 10 | 10")],
        ),
        (
            "presentation",
            "a.odp",
            '<draw:page><draw:frame presentation:class="outline"><draw:text-box><text:p>Bring a card.</text:p>'
            '</draw:text-box></draw:frame><draw:frame presentation:class="title"><draw:text-box><text:p>Loans</text:p>'
            "</draw:text-box></draw:frame></draw:page>",
            [(1, "Loans", "Bring a card.")],
        ),
    ],
)
def test_open_documents_are_read_like_their_counterparts(
    kind: str, name: str, content: str, found: list[tuple[int | None, str, str]]
) -> None:
    assert sections(read(open_document(kind, content), name)) == found


def test_a_row_that_says_it_is_repeated_a_million_times_is_read_a_thousand_times() -> None:
    cell = "<table:table-cell><text:p>again</text:p></table:table-cell>"
    row = f'<table:table-row table:number-rows-repeated="1048576">{cell}</table:table-row>'
    document = read(open_document("spreadsheet", f"<table:table>{row}</table:table>"), "a.ods")
    assert document.text.count("again") == 1_000


def test_a_book_is_read_in_its_own_order_of_chapters() -> None:
    document = read(book("<h1>Second</h1><p>Low water.</p>", "<h1>First</h1><p>High water.</p>"), "a.epub")
    assert document.title == "Tides"
    assert sections(document) == [(None, "First", "High water."), (None, "Second", "Low water.")]


@pytest.mark.parametrize("name", ["a.docm", "a.dotx", "a.dotm"])
def test_word_files_with_macros_and_templates_are_read_without_a_look_at_their_macros(name: str) -> None:
    plain = word_parts("<w:p><w:r><w:t>Fill in below.</w:t></w:r></w:p>")
    assert read(with_parts(plain, {"word/vbaProject.bin": "no macro, and none is run"}), name).text == "Fill in below."


@pytest.mark.parametrize("name", ["a.pptm", "a.ppsx", "a.ppsm", "a.potx", "a.potm"])
def test_shows_and_templates_of_slides_are_read_like_presentations(name: str) -> None:
    assert read(with_parts(slides(shape("Welcome")), {"ppt/vbaProject.bin": "x"}), name).text == "Welcome"


@pytest.mark.parametrize("name", ["a.xlsm", "a.xltx", "a.xltm"])
def test_sheets_with_macros_and_templates_are_read_like_spreadsheets(name: str) -> None:
    content = with_parts(sheet(["Fee", 10]), {"xl/vbaProject.bin": "x"})
    assert read(content, name).text == "Loans\n\nFee | 10"


@pytest.mark.parametrize("first", ["mimetype", "META-INF/container.xml"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_book_that_was_packed_anew_is_read(first: str, method: int) -> None:
    repacked = packed_anew(book("<p>High water.</p>"), first, method)
    assert read(repacked, "a.epub").text == "High water."
    without = packed_anew(book("<p>High water.</p>"), first, method, leave_out="mimetype")
    assert read(without, "a.epub").text == "High water."


def test_an_open_document_that_was_packed_anew_is_read() -> None:
    plain = open_document("text", "<text:p>Open daily.</text:p>")
    assert read(packed_anew(plain, "content.xml", zipfile.ZIP_DEFLATED), "a.ott").text == "Open daily."


def test_a_presentation_with_a_word_document_inside_is_a_presentation() -> None:
    inner = word_parts("<w:p><w:r><w:t>Inside</w:t></w:r></w:p>")
    assert read(with_parts(slides(shape("Outside")), {"ppt/embeddings/a.docx": inner}), "a.pptx").text == "Outside"
    with pytest.raises(UnreadableDocument, match="looks like a presentation"):
        read(with_parts(slides(shape("Outside")), {"ppt/embeddings/a.docx": inner}), "a.docx")


def with_parts(data: bytes, parts: Mapping[str, str | bytes]) -> bytes:
    """The archive with further *parts*, before all others."""
    return zipped({**parts, **contents(data)})


def packed_anew(data: bytes, first: str, method: int, leave_out: str = "") -> bytes:
    """The archive as another program packs it: part *first* before the others, without *leave_out*."""
    parts = {name: part for name, part in contents(data).items() if name != leave_out}
    return zipped(dict(sorted(parts.items(), key=lambda entry: entry[0] != first)), method)


def locked_part() -> bytes:
    """A PPTX whose parts an archiver has encrypted: the bit that says so is set in both places."""
    data = bytearray(slides(shape("Secret")))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        found = data.find(mark)
        while found >= 0:
            data[found + place] |= 1
            found = data.find(mark, found + 1)
    return bytes(data)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.pptx", locked_part(), "password"),
        ("a.odt", open_document("text", "<text:p>Secret</text:p>", is_locked=True), "password"),
        ("a.epub", book("<p>Secret</p>", locked=["c0.xhtml"]), "DRM"),
        ("a.pptx", slides(shape("Half"))[:-40], "damaged"),
        ("a.docx", slides(shape("Slide")), "not a DOCX.*presentation"),
        ("a.docx", zipped({"word/document.xml": "<w/>"}), "damaged"),
        ("a.docx", zipped({"word/notes.txt": "no document"}), "damaged"),
        ("a.xlsx", zipped({"xl/workbook.xml": "<workbook/>"}), "damaged"),
        ("a.xlsx", sheet([]), "no text"),
        ("a.ods", open_document("spreadsheet", "<table:table>" * 3000), "damaged"),
        ("a.pptx", slides(*[shape("x")] * 3), "3 slides"),
        ("a.odt", open_document("text", f"<text:p>{'word ' * 300_000}</text:p>"), "Unpacked"),
        ("a.docx", word_parts('<!DOCTYPE x [<!ENTITY e "boom">]>'), "damaged"),
    ],
)
def test_office_files_that_cannot_be_read_are_refused_with_the_reason(name: str, data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableDocument, match=f"(?i){reason}"):
        read(data, name, Limits(pages=2, unpacked_bytes=1_000_000))
