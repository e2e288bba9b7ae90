"""Headings of a PDF: the lines that its outline names, or else those in clearly larger letters."""

from collections import Counter
from collections.abc import Iterable, Sequence

from pypdfium2 import PdfDocument, PdfiumError

from ingestion.parsers.pdf_page import Line, Page

LARGER = 1.15  # than the text
MAX_CHARACTERS = 150
MAX_LINES = 3  # of one heading
MAX_SHARE = 0.15  # of the text: a document in larger letters all over has no headings by their size
MIN_BODY = 0.5  # of the text in letters of one size
MAX_LEVELS = 4
MAX_REPEATED = 3  # pages: what stands on more is a running head
MAX_OUTLINE = 5_000

Levels = dict[tuple[int, int], int]


def find_headings(document: PdfDocument, pages: Sequence[Page]) -> Levels:
    """The level of each line that is a heading, by the page's and the line's place, both counted from 0."""
    return _find_outlined(document, pages) or _find_large(pages)


def _find_outlined(document: PdfDocument, pages: Sequence[Page]) -> Levels:
    """Lines that say what the outline says of their page."""
    levels: Levels = {}
    for title, level, number in _read_outline(document):
        if 0 <= number < len(pages):
            for place, line in enumerate(pages[number].lines):
                if _select_letters(line.text) == _select_letters(title) and (number, place) not in levels:
                    levels[number, place] = level
                    break
    return levels


def _read_outline(document: PdfDocument) -> list[tuple[str, int, int]]:
    entries = list[tuple[str, int, int]]()
    try:
        for bookmark in document.get_toc():
            target = bookmark.get_dest()
            if len(entries) == MAX_OUTLINE:
                break
            if target is not None and target.get_index() is not None:
                entries.append((bookmark.get_title(), bookmark.level + 1, target.get_index()))
    except (PdfiumError, ValueError, UnicodeError):
        return []
    return entries


def _select_letters(text: str) -> str:
    """Letters alone: outlines leave out numbers, or write them in another way."""
    return "".join(character for character in text.casefold() if character.isalpha())


def _find_large(pages: Sequence[Page]) -> Levels:
    sizes = Counter[int]()
    for line in _iter_lines(pages):
        sizes[line.size] += len(line.text)
    if not sizes:
        return {}
    (body, written), total = sizes.most_common(1)[0], sum(sizes.values())
    near = sum(count for size, count in sizes.items() if abs(size - body) <= 1)
    running = _find_running(pages)
    large = {
        (number, place): line.size
        for number, page in enumerate(pages)
        for place, line in enumerate(page.lines)
        if line.size >= LARGER * body > 0 and _is_title(line.text) and _select_letters(line.text) not in running
    }
    share = sum(len(pages[number].lines[place].text) for number, place in large) / total
    if not written or near < MIN_BODY * total or share > MAX_SHARE:
        return {}
    large = {key: size for key, size in large.items() if _run(large, key) <= MAX_LINES}
    ranks = _rank_sizes(large.values())
    return {key: ranks[size] for key, size in large.items()}


def _iter_lines(pages: Sequence[Page]) -> Iterable[Line]:
    return (line for page in pages for line in page.lines)


def _is_title(text: str) -> bool:
    return len(text) <= MAX_CHARACTERS and sum(character.isalpha() for character in text) >= 2


def _find_running(pages: Sequence[Page]) -> set[str]:
    """Lines that are on more pages than a heading would be."""
    counts = Counter(text for page in pages for text in {_select_letters(line.text) for line in page.lines})
    return {text for text, count in counts.items() if count > MAX_REPEATED}


def _run(levels: dict[tuple[int, int], int], key: tuple[int, int]) -> int:
    """How many lines in a row, this one among them, are in letters of the same size."""
    number, place = key
    above = below = 0
    while levels.get((number, place - above - 1)) == levels[key]:
        above += 1
    while levels.get((number, place + below + 1)) == levels[key]:
        below += 1
    return above + below + 1


def _rank_sizes(sizes: Iterable[int]) -> dict[int, int]:
    """A level for each size, the largest first; sizes a point apart or less share one."""
    ranks: dict[int, int] = {}
    level, former = 0, float("inf")
    for size in sorted(set(sizes), reverse=True):
        level += former - size > 2
        former = size
        ranks[size] = min(level, MAX_LEVELS)
    return ranks
