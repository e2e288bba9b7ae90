"""Questions about a result that was just given: "which of these is the oldest?", "and the second one?", "sum them up".

They are answered from its rows, and the database is not asked again. As with other questions, each word has to be
explained, here by the columns and cells of the result, and by a word for what is done with them.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from statistics import fmean
from typing import Literal

from datasources.questions.times import read_span
from datasources.questions.words import AGGREGATES, COUNTS, NUMBERS, STOP, reduce_word, split_words
from utils.query_tables import Cell, QueryTable

Function = Literal["SUM", "AVG", "MAX", "MIN", "COUNT"]
End = Literal["earliest", "latest", "most", "least"]
_MOST_WORDS, _FEW_WORDS, _LONGEST_NAME = 30, 8, 5
_DAY = re.compile(r"\d{4}-\d\d(-\d\d.*)?")
_POINTING = """
these those them they ones one that it
estos estas esos esas ellos ellas esto eso
ini itu tersebut mereka semuanya hasil
"""
_FILLING = """
up so ok okay then about now out together there just only result results row rows answer please
cual cuales entonces ahora juntos juntas resultado resultados fila filas favor
saja kalau bagaimana lalu sekarang baris semua tolong hasilnya
"""
_ORDINALS = (
    "first primero primera primer pertama", "second segundo segunda kedua", "third tercero tercera tercer ketiga",
    "fourth cuarto cuarta keempat", "fifth quinto quinta kelima", "sixth sexto sexta keenam",
    "seventh septimo septima ketujuh", "eighth octavo octava kedelapan", "ninth noveno novena kesembilan",
    "tenth decimo decima kesepuluh",
)  # fmt: skip
_FIRST_ROWS = frozenset(("first", "primeros", "primeras", "pertama", "top"))
_LAST = frozenset(("last", "ultimo", "ultima", "terakhir"))
_EARLIEST = "oldest earliest soonest antiguo antigua viejo vieja temprano temprana tertua terawal tua awal"
_LATEST = "newest latest youngest reciente nuevo nueva tardio tardia terbaru termuda baru akhir"
_LARGEST = "highest largest biggest greatest longest most max maximum mayor mayores alto alta grande largo larga "
_LARGEST += "terbesar tertinggi terbanyak terlama terpanjang maksimum besar banyak tinggi lama"
_SMALLEST = "lowest smallest shortest fewest least min minimum menor menores bajo baja pequeno pequena corto corta "
_SMALLEST += "terkecil terendah tersedikit tersingkat terpendek kecil sedikit rendah"
_ADDING = frozenset("add adding sumalos sumalas sumar suma jumlahkan totalnya jumlahnya".split())  # noqa: SIM905
_SORTING = frozenset("sort sorted order ordered ordena ordenalos ordenalas ordenar urutkan diurutkan".split())  # noqa: SIM905
POINTING = frozenset(_POINTING.split())
_SURELY_POINTING = POINTING - {"that", "it", "one", "ones", "hasil", "eso", "esto"}
_SAYS_NOTHING = (STOP | frozenset(_FILLING.split()) | {"by", "por", "menurut", "paling", "total"}) - POINTING
_PLACES = {word: place for place, words in enumerate(_ORDINALS) for word in words.split()}
_ENDS: Mapping[str, End] = {
    **dict.fromkeys(_EARLIEST.split(), "earliest"),
    **dict.fromkeys(_LATEST.split(), "latest"),
    **dict.fromkeys(_LARGEST.split(), "most"),
    **dict.fromkeys(_SMALLEST.split(), "least"),
}
_MAYBE_ENDS: Mapping[str, End] = {"mas": "most", "menos": "least"}  # "más antigua" is no number
_OF_DAYS = frozenset(("earliest", "latest"))

_WORK: Mapping[Function, Callable[[Sequence[float]], float]] = {"SUM": fsum, "AVG": fmean, "MAX": max, "MIN": min}


@dataclass(frozen=True, slots=True)
class Followup:
    """What is asked of a result: some of its `rows`, which may be at one `end` of the column at `column`; or a figure
    of that column over `over` rows."""

    rows: tuple[int, ...] = ()
    function: Function | None = None
    column: int | None = None
    value: float = 0.0
    over: int = 0
    end: End | None = None


@dataclass(slots=True)
class _Parts:
    """What the words of the question are."""

    points: bool = False
    names_things: bool = False
    counts: bool = False
    sorts: bool = False
    place: int | None = None
    function: Function | None = None
    end: End | None = None
    takes_first: bool = False
    number: int | None = None
    columns: list[int] = field(default_factory=list)
    values: list[frozenset[int]] = field(default_factory=list)

    @property
    def asks(self) -> bool:
        """Whether a word says what is to be done."""
        done = (self.place, self.function, self.end)
        return (
            self.counts or self.sorts or self.takes_first or bool(self.values) or any(each is not None for each in done)
        )


def read_followup(question: str, table: QueryTable, previous: str) -> Followup | None:
    """What *question* asks of *table*, which answered *previous*; None where it is about something else."""
    words = split_words(question)
    if not 0 < len(words) <= _MOST_WORDS or not table.rows:
        return None
    parts = _read_parts(words, table, frozenset(map(reduce_word, split_words(previous))))
    if parts is None or not parts.asks or (not parts.points and (parts.names_things or len(words) > _FEW_WORDS)):
        return None
    return _work_out(parts, table)


def points_back(question: str) -> bool:
    """Whether it surely speaks of things that were just given: "these machines", not "this month"."""
    words = split_words(question)
    named = {place for at in range(len(words)) if (span := read_span(words, at)) for place in range(at, at + span[1])}
    return any(word in _SURELY_POINTING and at not in named for at, word in enumerate(words))


def _read_parts(words: Sequence[str], table: QueryTable, things: frozenset[str]) -> _Parts | None:
    """What each word is; None where one is none of these."""
    parts, place = _Parts(), 0
    columns, values = dict(_list_columns(table)), _list_values(table)
    while place < len(words):
        length = _read_name(words, place, parts, columns, values)
        if not length:
            if not _read_word(words, place, parts, things):
                return None
            length = 1
        place += length
    return parts


def _read_name(
    words: Sequence[str],
    place: int,
    parts: _Parts,
    columns: Mapping[tuple[str, ...], int],
    values: Mapping[tuple[str, ...], frozenset[int]],
) -> int:
    """Note the longest name, value or phrase that begins there; how many words it has, 0 for none."""
    for length in range(min(_LONGEST_NAME, len(words) - place), 0, -1):
        given = tuple(words[place : place + length])
        reduced = tuple(reduce_word(word.removesuffix("nya")) for word in given)
        if given in COUNTS:
            parts.counts = True
            return length
        if reduced in columns:
            parts.columns.append(columns[reduced])
            return length
        is_operator = length == 1 and (given[0] in _SAYS_NOTHING or given[0] in _ENDS or given[0] in _PLACES)
        if given in values and not is_operator:
            parts.values.append(values[given])
            return length
    return 0


def _read_word(words: Sequence[str], place: int, parts: _Parts, things: frozenset[str]) -> bool:
    """Note what one word says; whether it says anything that is known."""
    word, after = words[place].removesuffix("nya"), words[place + 1] if place + 1 < len(words) else ""
    number = int(word) if word.isdigit() and len(word) <= 3 else NUMBERS.get(word)
    if word in POINTING:
        parts.points = True
    elif word in _FIRST_ROWS and (after.isdigit() or (after in NUMBERS and after not in POINTING)):
        parts.takes_first = True
    elif word in _LAST:
        parts.place = -1
    elif word in _PLACES:
        parts.place = _PLACES[word]
    elif end := _ENDS.get(word) or _ENDS.get(word.removesuffix("s")):
        parts.end = end
    elif word in _MAYBE_ENDS:
        parts.end = parts.end or _MAYBE_ENDS[word]
    elif word in AGGREGATES:
        parts.function = AGGREGATES[word]  # type: ignore[assignment] # they are functions
    elif word in _ADDING:
        parts.function = "SUM"
    elif word in _SORTING:
        parts.sorts = True
    elif number is not None:
        parts.number = number
    elif reduce_word(word) in things and word not in STOP:
        parts.names_things = True
    else:
        return word in _SAYS_NOTHING
    return True


def _list_columns(table: QueryTable) -> Iterator[tuple[tuple[str, ...], int]]:
    """The names and synonyms of its columns, in basic forms."""
    for at, column in reversed(list(enumerate(table.columns))):
        for name in (*column.words.split("; "), column.name):
            words = tuple(map(reduce_word, split_words(name.replace("_", " "))))
            if 0 < len(words) <= _LONGEST_NAME:
                yield words, at


def _list_values(table: QueryTable) -> dict[tuple[str, ...], frozenset[int]]:
    """The rows that have a text, by its words."""
    found: dict[tuple[str, ...], set[int]] = {}
    for number, row in enumerate(table.rows):
        for cell in row:
            words = tuple(split_words(cell)) if isinstance(cell, str) and not _DAY.fullmatch(cell) else ()
            if words:
                found.setdefault(words, set()).add(number)
    return {words: frozenset(rows) for words, rows in found.items()}


def _work_out(parts: _Parts, table: QueryTable) -> Followup | None:
    """What the parts come to; None where they do not fit the result."""
    if len(table.rows) == 1 and all(each.function for each in table.columns):  # a figure is none of what it counts
        return None
    rows = [at for at in range(len(table.rows)) if all(at in each for each in parts.values)]
    if parts.takes_first and parts.number and parts.end is None:
        return Followup(tuple(rows[: parts.number]))
    if parts.place in (0, -1) and any(_kind(table, at) == "day" for at in parts.columns):
        parts.end, parts.place = ("latest" if parts.place else "earliest"), None  # "due last"
    if parts.place is not None:
        is_there = -len(rows) <= parts.place < len(rows) and (parts.place >= 0 or table.is_whole)
        return Followup((rows[parts.place],)) if is_there else None
    if not table.is_whole:  # what holds for all rows is not known
        return None
    if parts.function is not None:
        return _compute(parts, table, rows)
    if parts.end is not None or parts.sorts:
        return _order(parts, table, rows)
    if parts.counts:
        if any(each.function for each in table.columns):  # rows of figures are not the things that are counted
            return None
        return Followup(function="COUNT", value=len(rows), over=len(rows))
    return Followup(tuple(rows)) if rows else None


def _compute(parts: _Parts, table: QueryTable, rows: Sequence[int]) -> Followup | None:
    column = _choose_column(parts, table, "figure")
    if column is None or parts.function is None:
        return None
    cells = [table.rows[at][column] for at in rows]
    figures = [float(cell) for cell in cells if isinstance(cell, int | float)]
    if not figures:
        return None
    is_summed = table.columns[column].function in ("AVG", "MIN", "MAX")
    if parts.function in ("SUM", "AVG") and is_summed:  # a sum of means is nothing
        return None
    return Followup((), parts.function, column, _WORK[parts.function](figures), len(figures))


def _order(parts: _Parts, table: QueryTable, rows: Sequence[int]) -> Followup | None:
    """The rows at one end of a column, or all in its order."""
    column = _choose_column(parts, table, "any" if parts.end is None else "day" if parts.end in _OF_DAYS else "figure")
    if column is None:
        return None
    known = [at for at in rows if table.rows[at][column] is not None]
    ordered = sorted(known, key=lambda at: _key(table.rows[at][column]), reverse=parts.end in ("latest", "most"))
    if parts.end is None or parts.number:
        return Followup(tuple(ordered[: parts.number or len(ordered)]))
    best = [at for at in ordered if table.rows[at][column] == table.rows[ordered[0]][column]]
    is_day = _kind(table, column) == "day"
    end: End = parts.end if not is_day or parts.end in _OF_DAYS else "latest" if parts.end == "most" else "earliest"
    return Followup(tuple(best), column=column, end=end)


def _choose_column(parts: _Parts, table: QueryTable, kind: Literal["day", "figure", "any"]) -> int | None:
    """The column that is named, else the only one of this kind."""
    named = list(dict.fromkeys(parts.columns))
    if len(named) > 1:
        return None
    if named and kind == "figure" and _kind(table, named[0]) == "day" and parts.end:
        return named[0]  # the highest date is the latest
    if named:
        return named[0] if kind == "any" or _kind(table, named[0]) == kind else None
    fitting = [at for at in range(len(table.columns)) if _kind(table, at) == kind]
    return fitting[0] if len(fitting) == 1 else None


def _kind(table: QueryTable, column: int) -> Literal["day", "figure", "any"]:
    cells = [row[column] for row in table.rows if row[column] is not None]
    if cells and all(isinstance(cell, str) and _DAY.fullmatch(cell) for cell in cells):
        return "day"
    is_number_of_row = table.columns[column].name.casefold() == "id" or table.columns[column].name.endswith("_id")
    return "figure" if cells and not is_number_of_row and all(map(_is_figure, cells)) else "any"


def _is_figure(cell: Cell) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _key(cell: Cell) -> tuple[bool, float, str]:
    return (False, float(cell), "") if isinstance(cell, int | float) else (True, 0.0, str(cell).casefold())
