"""A page of a PDF: its lines with their place and size, its tables, and whether it is a picture."""

from dataclasses import dataclass, field
from itertools import islice

from pypdfium2 import PdfiumError, PdfPage, PdfTextPage, raw

from ingestion.parsers.garbled import UNKNOWN, is_garbled, is_garbled_line
from ingestion.parsers.parsed import clean
from ingestion.parsers.shuffled_letters import has_shuffled_letters

MAX_OBJECTS = 20_000  # looked at on a page; maps and drawings have more
LONG = 12.0
SCANNED_SHARE = 0.3  # of the page, that pictures cover
SMALL_SHARE = 0.1  # where there are no letters at all
SCANNED_CHARACTERS = 25  # a stamp or page number on a scan
OUTLINED_PATHS = 200  # of a page without text: its letters are drawings
MAX_GARBLED = 0.04  # of the letters, in lines that are garbled, two of them at least


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a page, in points from its lower left corner."""

    left: float
    bottom: float
    right: float
    top: float

    def holds(self, other: "Box") -> bool:
        """Whether the middle of *other* is inside."""
        across, up = (other.left + other.right) / 2, (other.bottom + other.top) / 2
        return self.left <= across <= self.right and self.bottom <= up <= self.top


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text; `size` is the height of its letters in half points, rounded, 0 if it is not known."""

    text: str
    size: int
    box: Box


@dataclass(slots=True)
class Page:
    """A page that was read; `is_ruled` if lines are drawn on it as around tables.

    `fields` are the filled form fields. It `is_garbled` if its text has other letters than it shows: then `lines` are
    those that make words.
    """

    lines: list[Line] = field(default_factory=list)
    tables: list[tuple[Box, list[str]]] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)
    is_picture: bool = False
    is_garbled: bool = False
    is_ruled: bool = False


def read_page(page: PdfPage) -> Page:
    """The page's lines, in the order in which they were written.

    Raises:
        PdfiumError: it is damaged.
    """
    textpage = page.get_textpage()
    try:
        lines = _read_lines(textpage)
    finally:
        textpage.close()
    letters = sum(len(line.text) for line in lines)
    drawing = _measure_drawing(page)
    unreadable = sum(len(UNKNOWN.findall(line.text)) for line in lines)
    has_text = letters - unreadable > max(SCANNED_CHARACTERS, unreadable)
    is_picture = not has_text and (
        drawing.pictures >= (SCANNED_SHARE if letters else SMALL_SHARE)
        or unreadable > 0
        or (not letters and drawing.paths >= OUTLINED_PATHS)
    )
    legible = _find_legible(lines)
    is_ruled = drawing.across >= 3 and drawing.down >= 2
    return Page(legible, is_picture=is_picture, is_garbled=len(legible) < len(lines), is_ruled=is_ruled)


def _find_legible(lines: list[Line]) -> list[Line]:
    """All *lines* if hardly any is garbled, else those that are not; none if the page is garbled as a whole."""
    text = "\n".join(line.text for line in lines)
    if is_garbled(text) or has_shuffled_letters(text):
        return []
    garbled = [line for line in lines if is_garbled_line(line.text)]
    letters = sum(len(line.text) for line in lines)
    if len(garbled) < 2 or sum(len(line.text) for line in garbled) < MAX_GARBLED * letters:
        return lines
    return [line for line in lines if line not in garbled]


def _read_lines(textpage: PdfTextPage) -> list[Line]:
    lines, place = [], 0
    for text in textpage.get_text_range().split("\n"):
        stripped = text.strip()
        if stripped:
            start = place + len(text) - len(text.lstrip())
            first = raw.FPDFText_GetCharIndexFromTextIndex(textpage, start)
            last = raw.FPDFText_GetCharIndexFromTextIndex(textpage, start + len(stripped) - 1)
            lines.append(_read_line(textpage, stripped, first, max(first, last)))
        place += len(text.encode("utf-16-le", "surrogatepass")) // 2 + 1
    return lines


def _read_line(textpage: PdfTextPage, text: str, first: int, last: int) -> Line:
    left, right = _measure_box(textpage, first), _measure_box(textpage, last)
    if left is None or right is None:
        return Line(text, 0, Box(0, 0, 0, 0))
    box = Box(
        min(left.left, right.left),
        min(left.bottom, right.bottom),
        max(left.right, right.right),
        max(left.top, right.top),
    )
    return Line(text, round(2 * (left.top - left.bottom)), box)


def _measure_box(textpage: PdfTextPage, index: int) -> Box | None:
    """Where a character stands, with the height of its font, since the size that a font states may be scaled."""
    try:
        return Box(*textpage.get_charbox(index, loose=True)) if index >= 0 else None
    except (PdfiumError, ValueError):
        return None


@dataclass(slots=True)
class _Drawing:
    """Lines across and down, all drawn shapes, and the share of the page that pictures cover."""

    across: int = 0
    down: int = 0
    paths: int = 0
    pictures: float = 0.0


def _measure_drawing(page: PdfPage) -> _Drawing:
    drawing, area = _Drawing(), max(1.0, page.get_width() * page.get_height())
    for shape in islice(page.get_objects(filter=[raw.FPDF_PAGEOBJ_PATH, raw.FPDF_PAGEOBJ_IMAGE]), MAX_OBJECTS):
        try:
            left, bottom, right, top = shape.get_bounds()
        except PdfiumError:
            continue
        width, height = right - left, top - bottom
        if shape.type == raw.FPDF_PAGEOBJ_IMAGE:
            drawing.pictures += width * height / area
        else:
            segments = raw.FPDFPath_CountSegments(shape) // 4 if width > LONG and height > LONG else 1
            drawing.paths += 1
            drawing.across += max(1, segments) * (width > LONG)
            drawing.down += max(1, segments) * (height > LONG)
    return drawing


def read_text(textpage: PdfTextPage, box: Box) -> str:
    """The text inside *box*."""
    return clean(textpage.get_text_bounded(box.left, box.bottom, box.right, box.top))
