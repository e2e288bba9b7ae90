"""The result of a query as figures are looked for in it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from agents.verification.figures.words import read_units, split_tokens
from datasources.questions.words import read_name, reduce_word
from utils.facts.dates import Date, KnownDates, find_dates
from utils.facts.folding import fold
from utils.facts.numbers import find_numbers
from utils.query_tables import Cell, QueryColumn, QueryTable

Words = tuple[str, ...]
_YEARS = range(1800, 2201)
_PLAIN_NUMBER = re.compile(r"-?\d{1,30}(?:\.\d{1,30})?")
_DAY = re.compile(r"(\d{4})-(\d\d)(?:-(\d\d))?")
_KEPT = 64
_MAX_LABEL_WORDS = 8
_STEM, _MIN_STEM = 0.75, 5  # of a label of one word, in letters: "Active" is in "activas"
_NUMBERING = frozenset(
    {"id", "no", "number", "nr", "month", "mes", "bulan", "week", "semana", "minggu", "day", "quarter"}
)


@dataclass(frozen=True, slots=True)
class NumberColumn:
    """A column of figures: what it holds by row, None where nothing."""

    about: QueryColumn
    values: tuple[float | None, ...]
    units: frozenset[str]

    @property
    def is_mean(self) -> bool:
        """Whether each of its figures is a mean."""
        words = set(fold(self.about.name).replace("_", " ").split())
        return self.about.function == "AVG" or bool(
            words & {"avg", "average", "mean", "promedio", "media", "rata", "rerata"}
        )

    @property
    def is_share(self) -> bool:
        """Whether each of its figures may be a share of something."""
        return "%" in self.units or self.about.function in ("OTHER", "AVG")


@dataclass(frozen=True)
class KnownTable:
    """What is worked out of a table once."""

    table: QueryTable

    @cached_property
    def numbers(self) -> Sequence[NumberColumn]:
        """The columns of figures, without those that number or date the rows."""
        return [column for at, column in self._number_columns if at not in self._key_places]

    @cached_property
    def labels(self) -> dict[Words, frozenset[int]]:
        """The rows that have a text, by the words of it."""
        result: dict[Words, set[int]] = {}
        for row, at, cell in self._iter_cells():
            is_text = isinstance(cell, str) and any(map(str.isalpha, cell))
            if is_text or (at in self._key_places and cell is not None):
                words = tuple(word for word, _, _ in split_tokens(str(cell)))[:_MAX_LABEL_WORDS]
                if words:
                    result.setdefault(words, set()).add(row)
        return {words: frozenset(rows) for words, rows in result.items()}

    @cached_property
    def stems(self) -> dict[str, frozenset[int]]:
        """The rows with a label of one long word, by its beginning, which other languages and numbers share."""
        stems: dict[str, set[int]] = {}
        for words, rows in self.labels.items():
            length = max(_MIN_STEM, int(len(words[0]) * _STEM))
            if len(words) == 1 and len(words[0]) > _MIN_STEM and words[0].isalpha():
                stems.setdefault(words[0][:length], set()).update(rows)
        return {stem: frozenset(rows) for stem, rows in stems.items()}

    @cached_property
    def words(self) -> dict[str, frozenset[int]]:
        """The rows that one word of a longer label tells from all others."""
        result: dict[str, set[int]] = {}
        for words, rows in self.labels.items():
            for word in words if len(words) > 1 else ():
                result.setdefault(word, set()).update(rows)
        return {word: frozenset(rows) for word, rows in result.items() if len(rows) == 1 and len(word) > 1}

    @cached_property
    def column_words(self) -> dict[str, frozenset[str]]:
        """The columns of figures that a word names, in its basic form; empty where there is one column alone."""
        result: dict[str, set[str]] = {}
        for column in self.numbers if len(self.numbers) > 1 else ():
            for word in read_name(f"{column.about.name} {column.about.words}"):
                result.setdefault(reduce_word(word), set()).add(column.about.name)
        return {word: frozenset(names) for word, names in result.items()}

    @cached_property
    def key_words(self) -> frozenset[str]:
        """The words of the names of columns that number the rows."""
        names = [self.table.columns[at].name.replace("_", " ") for at in self._key_places]
        return frozenset(word for name in names for word in fold(name).split())

    @cached_property
    def months(self) -> Sequence[tuple[int, int, int | None]]:
        """Year, month and day that each row stands for, (0, 0, None) where it stands for none."""
        if len(self.table.rows) < 2 or self._has_text_labels:
            return [(0, 0, None)] * len(self.table.rows)
        return [next(filter(None, map(_read_day, row)), (0, 0, None)) for row in self.table.rows]

    @cached_property
    def dates(self) -> Sequence[KnownDates]:
        """The dates of each row."""
        return [KnownDates([date for cell in row for date in _find_cell_dates(cell)]) for row in self.table.rows]

    def find_date_places(self, row: int, date: Date) -> list[int]:
        """The columns that say *date* in a row."""
        cells = self.table.rows[row]
        return [index for index, cell in enumerate(cells) if KnownDates(_find_cell_dates(cell)).say(date)]

    @cached_property
    def has_dates(self) -> bool:
        """Whether a cell is a date."""
        return any(_read_day(cell) for row in self.table.rows for cell in row)

    @cached_property
    def is_of_times(self) -> bool:
        """Whether the rows stand for years, months or days."""
        keys = [column for at, column in self._number_columns if at in self._key_places]
        has_years = any(value in _YEARS for column in keys for value in column.values)
        return has_years or any(month for _, month, _ in self.months)

    @cached_property
    def stated_numbers(self) -> frozenset[float]:
        """The numbers of the question and of the conditions."""
        return frozenset(
            value
            for text in self.table.given
            for each in find_numbers(text)
            for kind, value in each.keys
            if kind == "n"
        )

    @cached_property
    def stated_dates(self) -> KnownDates:
        """The dates of the same."""
        return KnownDates([date for text in self.table.given for date in find_dates(text)])

    @cached_property
    def question_units(self) -> frozenset[str]:
        """The units that the question names."""
        return read_units(self.table.given[0]) if self.table.given else frozenset()

    @cached_property
    def _number_columns(self) -> Sequence[tuple[int, NumberColumn]]:
        result = []
        for index, column in enumerate(self.table.columns):
            values = tuple(_read_number(row[index]) for row in self.table.rows)
            if any(value is not None for value in values):
                result.append((index, NumberColumn(column, values, read_units(f"{column.name} {column.words}"))))
        return result

    @cached_property
    def _key_places(self) -> frozenset[int]:
        """Columns of whole numbers by which rows are known: years, months, numbers of things."""
        rows = self.table.rows
        if len(self._number_columns) < 2 or len(rows) < 2:
            return frozenset()
        return frozenset(at for at, column in self._number_columns if _is_key(column, len(rows)))

    @cached_property
    def _has_text_labels(self) -> bool:
        return any(
            isinstance(cell, str) and any(map(str.isalpha, cell)) and not _read_day(cell)
            for _, _, cell in self._iter_cells()
        )

    def _iter_cells(self) -> Iterator[tuple[int, int, Cell]]:
        for number, row in enumerate(self.table.rows):
            for index, cell in enumerate(row):
                yield number, index, cell


@lru_cache(_KEPT)
def know_table(table: QueryTable) -> KnownTable:
    """*table*, worked out once: each sentence of an answer looks into the same ones."""
    return KnownTable(table)


def _is_key(column: NumberColumn, count: int) -> bool:
    values = [value for value in column.values if value is not None]
    if column.about.function or len(set(values)) < count or any(value != int(value) for value in values):
        return False
    words = set(fold(column.about.name).replace("_", " ").split())
    return all(int(value) in _YEARS for value in values) or bool(words & _NUMBERING)


def _read_number(cell: Cell) -> float | None:
    if isinstance(cell, bool) or cell is None:
        return None
    if isinstance(cell, int | float):
        return float(cell)
    return float(cell) if _PLAIN_NUMBER.fullmatch(cell) else None


def _find_cell_dates(cell: Cell) -> list[Date]:
    """The dates of a cell; a month such as 2026-01, too, which in other texts may be anything."""
    if not isinstance(cell, str):
        return []
    day = _read_day(cell)
    return find_dates(cell) or ([Date((day,), 0, 0, cell)] if day else [])


def _read_day(cell: Cell) -> tuple[int, int, int | None] | None:
    day = _DAY.match(cell) if isinstance(cell, str) else None
    return (int(day[1]), int(day[2]), int(day[3]) if day[3] else None) if day else None
