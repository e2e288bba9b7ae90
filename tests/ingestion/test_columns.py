"""The reading order of what a text recognition found on a page, and letters that it does not know."""

import io
from collections.abc import Sequence

import numpy as np
import pypdfium2
import pytest
from PIL import Image, ImageOps

from ingestion.reader import DocumentReader
from providers.ocr.columns import Line, split_columns
from tests.ingestion.files import drawn_pdf
from tests.reading import NO_CHECK, parsing
from utils.errors import UnreadableDocument


def lines(left: float, top: float, *texts: str, width: float = 300.0) -> list[Line]:
    return [Line(text, 0.99, left, top + 30 * at, left + width, top + 30 * at + 20) for at, text in enumerate(texts)]


def order(found: Sequence[Line]) -> list[list[str]]:
    return [[line.text for line in block] for block in split_columns(found)]


def test_columns_are_read_one_after_the_other_between_what_runs_across_them() -> None:
    title, note = lines(0, 0, "title", width=1000), lines(0, 400, "note", width=900)
    first, second, third = lines(0, 100, *"abcde"), lines(340, 100, *"fghij"), lines(680, 100, *"klmno")
    assert order([*third, *note, *second, *first, *title]) == [
        ["title"],
        list("abcde"),
        list("fghij"),
        list("klmno"),
        ["note"],
    ]
    left, right = lines(0, 500, *"pqrs", width=480), lines(520, 500, *"tuvw", width=480)
    assert order([*right, *left]) == [list("pqrs"), list("tuvw")]


@pytest.mark.parametrize(
    "page",
    [
        [],
        lines(0, 0, "one"),
        lines(0, 0, *"abcdefgh"),
        [*lines(0, 0, *"abcd", width=100), *lines(400, 0, *"efgh", width=100)],  # the cells of a table
        [*lines(0, 0, *"abc"), *lines(400, 0, *"def")],  # too few
        [*lines(0, 0, *"abcd"), *lines(400, 300, *"efgh")],  # below each other
    ],
)
def test_what_is_not_set_in_columns_is_one_block(page: list[Line]) -> None:
    assert order(page) == ([[line.text for line in page]] if page else [])


def test_many_lines_take_no_time() -> None:
    scattered = [
        Line(str(at), 0.9, x, y, x + 40, y + 12)
        for at, (x, y) in enumerate(np.random.default_rng(1).uniform(0, 2000, (1500, 2)))
    ]
    assert sum(map(len, split_columns(scattered))) == 1500


def scan(page: str) -> Image.Image:
    """A picture of the page that the operators *page* draw."""
    image: Image.Image = pypdfium2.PdfDocument(drawn_pdf(page))[0].render(scale=2).to_pil()
    return image


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def column(left: int, texts: Sequence[str]) -> str:
    return f"BT /F1 11 Tf {left} 700 Td " + "".join(f"({text}) Tj 0 -16 Td " for text in texts) + "ET "


LEFT = [
    "The library opens at nine and",
    "closes at six in the evening,",
    "on Saturdays it closes at four",
    "and on Sundays nobody works",
    "but the return box stays open",
]
RIGHT = [
    "Fees are due in March of every",
    "year; ask for a receipt at the",
    "counter, and keep it until the",
    "following term has begun, for",
    "nobody will print a second one",
]


@pytest.mark.usefixtures("recognition")
def test_a_scan_in_two_columns_is_read_column_by_column() -> None:
    page = column(60, LEFT) + column(320, RIGHT)
    with parsing() as parser:
        content = DocumentReader(parser, NO_CHECK).read_whole(png(scan(page)), "a.png", "a")
    assert " ".join(content.chunks[0].text.split()) == " ".join([*LEFT, *RIGHT])


def test_a_scan_in_letters_that_the_recognition_does_not_know_is_unread_and_says_so() -> None:
    mirrored = png(ImageOps.mirror(scan(column(60, [*LEFT, *RIGHT]))))
    reason = "blurred, or in letters that the text recognition does not know"
    with parsing() as parser, pytest.raises(UnreadableDocument, match=reason):
        DocumentReader(parser, NO_CHECK).read_whole(mirrored, "a.png", "a")
