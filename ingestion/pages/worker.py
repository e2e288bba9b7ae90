"""The process in which a page is drawn: `python -m ingestion.pages.worker`, started by `images.py` for one question.

It reads a line of JSON and the file from its standard input, and answers with a line of JSON, which a picture follows.
"""

import io
import json
import resource
import signal
import sys
import unicodedata
from ctypes import byref, c_int
from itertools import pairwise

from pypdfium2 import PdfDocument, PdfPage, raw

_WIDTH, _TALLEST = 1240, 4000  # pixels
_LARGEST_SCALE = 4.0
_LARGEST_BYTES = 20_000_000
_GRID = 1000  # places are in thousandths of the page
_SHORTEST = 12  # letters and digits of a part of a quote that is looked for by itself


def main() -> None:
    """Answer the one question; what goes wrong ends the process."""
    question = json.loads(sys.stdin.buffer.readline())
    resource.setrlimit(resource.RLIMIT_AS, (question["memory_bytes"],) * 2)
    for nothing in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(nothing, (0, 0))
    signal.setitimer(signal.ITIMER_REAL, question["timeout_s"])
    document = PdfDocument(sys.stdin.buffer.read())
    page = document[question["page"] - 1]
    if question["quote"] is None:
        answer, picture = {}, _drawn(page)
    else:
        places = _places(page, question["quote"], question["near"])
        width, height = page.get_size()
        answer, picture = {"width": width, "height": height, "pages": len(document), "places": places}, b""
    sys.stdout.buffer.write(json.dumps(answer).encode() + b"\n" + picture)
    sys.stdout.buffer.flush()


def _drawn(page: PdfPage) -> bytes:
    width, height = page.get_size()
    scale = min(_WIDTH / width, _TALLEST / height, _LARGEST_SCALE)
    out = io.BytesIO()
    page.render(scale=scale).to_pil().save(out, "PNG")
    if out.tell() > _LARGEST_BYTES:
        raise ValueError("The picture is too large.")
    return out.getvalue()


def _places(page: PdfPage, quote: str, near: float) -> list[list[int]]:
    """Where *quote* stands: x, y, width, height of each line of it; of the same quote twice, the one closer to *near*.

    Compared by letters and digits alone: line ends, hyphens, ligatures and spaces are not the same in both.
    """
    textpage = page.get_textpage()
    letters, indices = [], []
    for index in range(textpage.count_chars()):
        for letter in _letters(chr(raw.FPDFText_GetUnicode(textpage, index))):
            letters.append(letter)
            indices.append(index)
    text, found = "".join(letters), set()
    for wanted in _wanted(quote, text):
        at = min(_occurrences(text, wanted), key=lambda one: abs(one - near * len(text)))
        found |= set(indices[at : at + len(wanted)])
    boxes = [_box(page, textpage.get_charbox(index)) for index in sorted(found)]
    return _lines([box for box in boxes if box[2] > box[0] and box[3] > box[1]])


def _wanted(quote: str, text: str) -> list[str]:
    """The quote; where it does not stand there in one piece, its lines that do."""
    whole = "".join(_letters(quote))
    if whole and whole in text:
        return [whole]
    parts = ("".join(_letters(line)) for line in quote.splitlines())
    return [part for part in parts if len(part) >= _SHORTEST and part in text]


def _letters(text: str) -> list[str]:
    return [one for one in unicodedata.normalize("NFKD", text).casefold() if one.isalnum()]


def _occurrences(text: str, wanted: str) -> list[int]:
    found, at = [], text.find(wanted)
    while at >= 0:
        found.append(at)
        at = text.find(wanted, at + 1)
    return found


def _box(page: PdfPage, corners: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom as the page is shown, whatever its rotation and its crop box."""
    left, bottom, right, top = corners
    points = [_shown(page, x, y) for x, y in ((left, bottom), (right, top))]
    across, down = zip(*points, strict=True)
    return min(across), min(down), max(across), max(down)


def _shown(page: PdfPage, x: float, y: float) -> tuple[int, int]:
    across, down = c_int(), c_int()
    raw.FPDF_PageToDevice(page, 0, 0, _GRID, _GRID, 0, x, y, byref(across), byref(down))
    return across.value, down.value


def _lines(boxes: list[tuple[int, int, int, int]]) -> list[list[int]]:
    """The boxes of letters, in reading order, as one box for each line."""
    starts = [0, *(at for at, (one, other) in enumerate(pairwise(boxes), 1) if not _on_one_line(one, other))]
    groups = [boxes[start:end] for start, end in pairwise([*starts, len(boxes)])] if boxes else []
    shown = []
    for group in groups:
        left, top = (min(box[side] for box in group) for side in (0, 1))
        right, bottom = (max(box[side] for box in group) for side in (2, 3))
        shown.append([left, top, right - left, bottom - top])
    return shown


def _on_one_line(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    overlap = min(one[3], other[3]) - max(one[1], other[1])
    return overlap * 3 > min(one[3] - one[1], other[3] - other[1]) and other[0] > one[0] - 5


if __name__ == "__main__":
    main()
