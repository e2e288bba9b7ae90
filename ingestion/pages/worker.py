"""What a process in the sandbox does with a page of a PDF: draw it, or find a quote on it; `images.py` asks.

It takes a line of JSON and the descriptor of the file, and answers with a picture or with JSON.
"""

import io
import json
from ctypes import byref, c_int
from itertools import pairwise
from typing import BinaryIO

from pypdfium2 import PdfDocument, PdfPage, raw

from utils.normal_forms import normalize
from utils.sandbox.jobs import FILE

_WIDTH, _TALLEST = 1240, 4000  # pixels
_LARGEST_SCALE = 4.0
_LARGEST_BYTES = 20_000_000
_GRID = 1000  # places are in thousandths of the page
_SHORTEST = 12  # letters and digits of a part of a quote that is looked for by itself

Box = tuple[float, float, float, float]
"""Left, bottom, right and top, in points from the page's lower left corner."""


def answer(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer the one question, with a picture or with JSON; what goes wrong ends the process."""
    question = json.loads(requests.readline())
    with open(FILE, "rb") as file:
        document = PdfDocument(file.read())
    page = document[question["page"] - 1]
    if question["quote"] is None:
        answers.write(_draw(page))
        return
    width, height = page.get_size()
    places = _find_places(page, question["quote"], question["near"])
    answers.write(json.dumps({"width": width, "height": height, "pages": len(document), "places": places}).encode())


def _draw(page: PdfPage) -> bytes:
    width, height = page.get_size()
    scale = min(_WIDTH / width, _TALLEST / height, _LARGEST_SCALE)
    out = io.BytesIO()
    page.render(scale=scale).to_pil().save(out, "PNG")
    if out.tell() > _LARGEST_BYTES:
        raise ValueError("The picture is too large.")
    return out.getvalue()


def _find_places(page: PdfPage, quote: str, near: float) -> list[list[int]]:
    """Where *quote* stands: x, y, width, height of each line of it; of the same quote twice, the one closer to *near*.

    Compared by letters and digits alone: line ends, hyphens, ligatures and spaces are not the same in both.
    """
    textpage = page.get_textpage()
    letters, indices = [], []
    for index in range(textpage.count_chars()):
        for letter in _list_letters(chr(raw.FPDFText_GetUnicode(textpage, index))):
            letters.append(letter)
            indices.append(index)
    text, places = "".join(letters), set()
    for part in _find_parts(quote, text):
        at = min(_find_occurrences(text, part), key=lambda one: abs(one - near * len(text)))
        places |= set(indices[at : at + len(part)])
    boxes = [textpage.get_charbox(index) for index in sorted(places)]
    lines = _merge_boxes([box for box in boxes if box[2] > box[0] and box[3] > box[1]])
    return [_convert_box(page, line) for line in lines]


def _find_parts(quote: str, text: str) -> list[str]:
    """The quote; where it does not stand there in one piece, its lines that do."""
    whole = "".join(_list_letters(quote))
    if whole and whole in text:
        return [whole]
    parts = ("".join(_list_letters(line)) for line in quote.splitlines())
    return [part for part in parts if len(part) >= _SHORTEST and part in text]


def _list_letters(text: str) -> list[str]:
    return [one for one in normalize("NFKD", text).casefold() if one.isalnum()]


def _find_occurrences(text: str, part: str) -> list[int]:
    occurrences, at = [], text.find(part)
    while at >= 0:
        occurrences.append(at)
        at = text.find(part, at + 1)
    return occurrences


def _merge_boxes(boxes: list[Box]) -> list[Box]:
    """The boxes of letters, in reading order, as one for each line."""
    if not boxes:
        return []
    starts = [0, *(index for index, (one, other) in enumerate(pairwise(boxes), 1) if not _are_on_one_line(one, other))]
    groups = (boxes[start:end] for start, end in pairwise([*starts, len(boxes)]))
    return [
        (
            min(box[0] for box in group),
            min(box[1] for box in group),
            max(box[2] for box in group),
            max(box[3] for box in group),
        )
        for group in groups
    ]


def _are_on_one_line(one: Box, other: Box) -> bool:
    height = min(one[3] - one[1], other[3] - other[1])
    return (min(one[3], other[3]) - max(one[1], other[1])) * 3 > height and other[0] > one[0] - height


def _convert_box(page: PdfPage, box: Box) -> list[int]:
    """Left, top, width and height as the page is shown, whatever its rotation and its crop box."""
    corners = [_place(page, x, y) for x, y in (box[:2], box[2:])]
    left, top = (min(corner[side] for corner in corners) for side in (0, 1))
    right, bottom = (max(corner[side] for corner in corners) for side in (0, 1))
    return [left, top, right - left, bottom - top]


def _place(page: PdfPage, x: float, y: float) -> tuple[int, int]:
    across, down = c_int(), c_int()
    raw.FPDF_PageToDevice(page, 0, 0, _GRID, _GRID, 0, x, y, byref(across), byref(down))
    return across.value, down.value
