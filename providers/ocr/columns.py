"""The reading order of lines that were found on a page: column by column where the page is set in columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

MIN_LINES = 4  # of a column
MIN_WIDTH = 8.0  # of a column's lines, in their height: the cells of tables are shorter
GAP = 0.3  # between columns, in the height of a line: the boxes of lines are wider than their letters
FULL, MOSTLY_FULL = 0.8, 0.5  # so much of its column a full line takes, and so many lines of a column are full
MAX_ACROSS = 0.4  # of the lines: titles and footnotes that run across the columns


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text and its place in pixels from the picture's upper left corner; `score` is 0 to 1."""

    text: str
    score: float
    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """In pixels."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """In pixels."""
        return self.bottom - self.top


def split_columns(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """The lines of each block in reading order: what runs across the columns, then column by column below it."""
    height = median(line.height for line in lines) if lines else 0.0
    at = _find_gutter(lines, height)
    if at is None:
        if lines:
            yield list(lines)
        return
    band: list[Line] = []
    for line in sorted(lines, key=lambda line: line.top + line.bottom):
        if line.left < at < line.right:
            yield from _split_band(band, at)
            yield [line]
            band = []
        else:
            band.append(line)
    yield from _split_band(band, at)


def _split_band(band: Sequence[Line], at: float) -> Iterator[list[Line]]:
    yield from split_columns([line for line in band if line.right <= at])
    yield from split_columns([line for line in band if line.left >= at])


def _find_gutter(lines: Sequence[Line], height: float) -> float | None:
    """Where a gap between two columns is, from the left; of several the one that fewest lines cross."""
    best, fewest = None, MAX_ACROSS * len(lines)
    for edge in sorted({line.right for line in lines}):
        at = edge + GAP * height / 2
        left = [line for line in lines if line.right <= at]
        right = [line for line in lines if line.left >= at]
        across = len(lines) - len(left) - len(right)
        if across < fewest and _is_column(left) and _is_column(right):
            gap = min(line.left for line in right) - max(line.right for line in left)
            if gap >= GAP * height and _stand_side_by_side(left, right):
                best, fewest = at, across
    return best


def _is_column(lines: Sequence[Line]) -> bool:
    """Whether most lines are as long as the longest, as those of text are, and not those of a table."""
    if len(lines) < MIN_LINES:
        return False
    widths = sorted(line.width for line in lines)
    usual = widths[len(widths) * 9 // 10]
    full = sum(width >= FULL * usual for width in widths)
    return usual >= MIN_WIDTH * median(line.height for line in lines) and full >= MOSTLY_FULL * len(lines)


def _stand_side_by_side(left: Sequence[Line], right: Sequence[Line]) -> bool:
    top = max(min(line.top for line in side) for side in (left, right))
    bottom = min(max(line.bottom for line in side) for side in (left, right))
    return (
        bottom - top
        > min(max(line.bottom for line in side) - min(line.top for line in side) for side in (left, right)) / 2
    )
