"""PDF and pictures: headings, tables, and which pages nobody can read without recognising them."""

import io

import pypdfium2
import pytest
from PIL import Image

from ingestion.parsers.kinds import iter_pictures, parse
from ingestion.parsers.parsed import Limits, ParsedDocument
from tests.ingestion import files
from tests.ingestion.files import aes_pdf, drawn_pdf, form_pdf, joined, pdf, picture
from utils.errors import UnreadableDocument

TEXT = "so that every reader finds the shelf and the book without asking anybody else"
FLAT = files.pictures(["A scan"], kind="PDF")


def read(data: bytes, name: str = "a.pdf", limits: Limits | None = None) -> ParsedDocument:
    return parse(data, name, limits or Limits())


def sections(document: ParsedDocument) -> list[tuple[int | None, str, str]]:
    return [(part.page, " › ".join(part.heading), document.text[part.body : part.end]) for part in document.sections]


def text(size: int, x: int, y: int, *lines: str) -> str:
    shown = "".join(f"({line}) Tj 0 -{size + 3} Td\n" for line in lines)
    return f"BT /F1 {size} Tf {x} {y} Td\n{shown}ET\n"


def test_lines_in_larger_letters_are_headings_and_one_broken_in_two_is_one() -> None:
    first = (
        text(20, 50, 780, "Library rules") + text(14, 50, 740, "Loans and", "returns") + text(10, 50, 690, *[TEXT] * 4)
    )
    second = text(14, 50, 780, "Fees") + text(10, 50, 740, *[TEXT] * 4)
    document = read(drawn_pdf(first, second))
    whole = " ".join([TEXT] * 4)
    assert sections(document) == [
        (1, "Library rules › Loans and returns", whole),
        (2, "Library rules › Fees", whole),
    ]


def test_a_page_in_large_letters_has_no_headings() -> None:
    slide = text(24, 50, 780, "Loans and returns", "for everybody") + text(
        12, 50, 600, "Ask at the desk, or ring the bell beside the door."
    )
    assert [heading for _, heading, _ in sections(read(drawn_pdf(slide)))] == [""]


def test_a_line_on_every_page_is_no_heading() -> None:
    page = text(16, 50, 800, "City library") + text(10, 50, 740, *[TEXT] * 6)
    assert {heading for _, heading, _ in sections(read(drawn_pdf(*[page] * 5)))} == {""}


def test_a_ruled_table_is_read_as_rows_where_it_stands() -> None:
    rules = "".join(f"50 {y} m 350 {y} l S\n" for y in (700, 670, 640)) + "".join(
        f"{x} 640 m {x} 700 l S\n" for x in (50, 200, 350)
    )
    cells = (
        text(10, 60, 680, "Day") + text(10, 210, 680, "Open") + text(10, 60, 650, "Monday") + text(10, 210, 650, "8-16")
    )
    page = text(10, 50, 750, "Hours:") + rules + cells + text(10, 50, 600, "Closed on Sundays.")
    assert read(drawn_pdf(page)).text == "Hours:\n\nDay | Open\nMonday | 8-16\n\nClosed on Sundays."


def test_nothing_is_lost_where_a_table_lacks_a_line() -> None:
    rules = "".join(f"50 {y} m 350 {y} l S\n" for y in (700, 670, 640)) + "50 640 m 50 700 l S\n200 640 m 200 700 l S\n"
    cells = (
        text(10, 60, 680, "Day") + text(10, 210, 680, "Open") + text(10, 60, 650, "Monday") + text(10, 210, 650, "8-16")
    )
    frame = "350 670 m 350 700 l S\n"
    found = read(drawn_pdf(rules + frame + cells)).text
    assert [word for word in ("Day", "Open", "Monday", "8-16") if word not in found] == []


def test_a_small_picture_alone_on_its_page_may_be_text() -> None:
    document, file = pypdfium2.PdfDocument(FLAT), io.BytesIO()
    width, height = document[0].get_size()
    document[0].set_mediabox(0, -4 * height, width, height)
    document.save(file)
    assert read(file.getvalue()).unread_pages == (1,)


@pytest.mark.parametrize("revision", [5, 6])
def test_a_pdf_whose_password_is_empty_is_read_whatever_locks_it(revision: int) -> None:
    assert read(aes_pdf("", revision=revision)).text == "Secret"


def test_pages_that_are_pictures_are_unread_and_the_others_are_read() -> None:
    document = read(joined(pdf(["Typed on the first page."]), FLAT, pdf([]), pdf(["Typed on the fourth."])))
    assert document.unread_pages == (2,)
    assert [(page, part) for page, _, part in sections(document)] == [
        (1, "Typed on the first page."),
        (4, "Typed on the fourth."),
    ]
    assert document.pages == 4


def test_recognised_text_stands_on_its_page_in_the_order_of_the_document() -> None:
    data = joined(pdf(["First."]), FLAT, pdf(["Third."]), FLAT)
    document = parse(data, "a.pdf", Limits(), {2: "Recognised line one\nline two.", 4: ""})
    assert [(page, part) for page, _, part in sections(document)] == [
        (1, "First."),
        (2, "Recognised line one line two."),
        (3, "Third."),
    ]
    assert document.unread_pages == ()


@pytest.mark.parametrize(("kind", "name"), [("PNG", "a.png"), ("JPEG", "a.jpg"), ("TIFF", "a.tif"), ("WEBP", "a.webp")])
def test_a_picture_is_a_page_that_is_unread(kind: str, name: str) -> None:
    document = read(picture("Hello", kind=kind), name)
    assert (document.text, document.unread_pages, document.pages) == ("", (1,), 1)


def test_each_picture_of_a_tiff_is_a_page() -> None:
    data = files.pictures(["One"], ["Two", "more"], kind="TIFF")
    assert read(data, "a.tiff").unread_pages == (1, 2)
    assert [shown.shape[:2] for shown in iter_pictures(data, "a.tiff", Limits(), [2, 1])] == [(164, 900), (132, 900)]


def test_a_page_is_shown_large_enough_to_read_and_no_larger() -> None:
    huge = drawn_pdf(text(10, 50, 780, "x")).replace(b"[0 0 595 842]", b"[0 0 14000 200]")
    (shown,) = iter_pictures(huge, "a.pdf", Limits(), [1])
    assert max(shown.shape) == 2600


def test_transparent_turned_and_deep_pictures_are_shown_upright_on_white() -> None:
    layer = Image.new("RGBA", (40, 20), (0, 0, 0, 0))
    turned = Image.Exif()
    turned[0x0112] = 6
    file, deep = io.BytesIO(), io.BytesIO()
    layer.save(file, "PNG", exif=turned)
    Image.new("I;16", (4, 4), 65535).save(deep, "TIFF")
    (shown,) = iter_pictures(file.getvalue(), "a.png", Limits(), [1])
    (grey,) = iter_pictures(deep.getvalue(), "a.tif", Limits(), [1])
    assert (shown.shape, shown.min(), grey.max()) == ((40, 20, 3), 255, 255)


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.png", picture("Hello")[:40], "damaged"),
        ("a.png", picture("Hello") * 0 + b"\x89PNG\r\n\x1a\n" + bytes(300), "damaged"),
        ("a.png", picture("Hello", *["more"] * 50), "pixels"),
        ("a.tif", files.pictures(["1"], ["2"], ["3"], kind="TIFF"), "3 pages"),
        ("a.jpg", pdf(["text"]), "not a JPG.*PDF"),
        ("a.pdf", picture("Hello"), "not a PDF.*picture"),
        ("a.pdf", aes_pdf("secret", revision=5), "protected with a password"),
        ("a.pdf", aes_pdf("secret", revision=6), "protected with a password"),
        ("a.pdf", pdf(["a"]) + b"\n% /MicrosoftIRMServices", "rights management: save a copy"),
        ("a.pdf", pdf(["a"]).replace(b"/Count 1 ", b"/Count 100000 "), "100,000 pages"),
    ],
)
def test_pictures_that_cannot_be_read_are_refused_with_the_reason(name: str, data: bytes, reason: str) -> None:
    with pytest.raises(UnreadableDocument, match=f"(?i){reason}"):
        read(data, name, Limits(pages=2, pixels=1_000_000))


TICK = "/AP << /N << /On 5 0 R /Off 5 0 R >> >>"  # any drawing will do


def field(kind: str, name: str, box: str, *more: str) -> str:
    return f"/FT /{kind} /T ({name}) /Rect [{box}] {' '.join(more)}"


def test_a_filled_form_is_read_with_the_labels_that_its_fields_are_given_or_that_stand_beside_them() -> None:
    shown = (
        text(11, 50, 700, "Surname:")
        + text(11, 300, 700, "City")
        + text(11, 50, 660, "Remarks")
        + text(11, 70, 600, "I have a library card")
        + text(11, 270, 600, "I am a guest")
    )
    document = read(
        form_pdf(
            shown,
            field("Tx", "f1[0]", "110 695 290 712", "/V (Lovelace)"),
            field("Tx", "f2[0]", "330 695 500 712", "/TU (City of residence)", "/V <FEFF004D00E1006C006100670061>"),
            field("Tx", "f3[0]", "50 620 500 655", "/Ff 4096", "/V (Quiet seat)"),
            field("Btn", "b1", "50 597 65 612", "/V /On /AS /On", TICK),
            field("Btn", "b2", "250 597 265 612", "/V /Off /AS /Off", TICK),
            field(
                "Ch", "form[0].study_level[0]", "50 500 200 515", "/Ff 131072 /Opt [(Bachelor) (Master)] /V (Master)"
            ),
            field("Tx", "secret", "50 450 200 465", "/Ff 8192 /V (hunter2)"),
            field("Tx", "empty", "50 420 200 435"),
        )
    )
    filled = ["Surname: Lovelace", "City of residence: Málaga", "Remarks: Quiet seat", "I have a library card: yes"]
    assert document.text.endswith("\n".join([*filled, "study level: Master"]))
    assert "hunter2" not in document.text


def test_an_empty_form_is_read_as_its_page() -> None:
    assert read(form_pdf(text(11, 50, 700, "Surname"), field("Tx", "a", "110 695 290 712"))).text == "Surname"


def test_a_form_that_only_the_programs_of_adobe_show_is_refused_with_what_to_do() -> None:
    shown = text(11, 50, 700, "Please wait...", "If this message is not eventually replaced by the proper contents")
    data = form_pdf(shown).replace(b"/AcroForm << ", b"/AcroForm << /XFA (x) ")
    with pytest.raises(UnreadableDocument, match=r"XFA.*print it to a PDF"):
        read(data)
