"""The cells of a result as an answer shows them, alone and in a table."""

import re
from collections.abc import Mapping, Sequence

from datasources.answers.describing import describe_term
from datasources.answers.sentences import get_sentences
from datasources.questions.draft import Draft, Term
from datasources.questions.units import SIGNS
from datasources.questions.vocabulary import ColumnName
from datasources.questions.words import read_name
from utils.formats import format_cell, format_number
from utils.query_tables import Cell

Units = Mapping[ColumnName, str]
_FIRST_YEAR, _LAST_YEAR = 1900, 2100
MAX_ROWS = 30  # of a table in an answer
_LONGEST_CELL, _LONGEST_TABLE = 80, 2_400  # characters
_MARKS = re.compile(r"[\[\]<>`*|\\]")  # a cell is data: it makes no mark, link or cell of its own
_NUMBERING = frozenset(("id", "year", "ano", "tahun", "code", "codigo", "kode", "zip", "phone", "telefono", "telepon"))


def write_cell(cell: Cell, term: Term, language: str) -> str:
    """A cell of the column *term*; numbers of rows and years are no amounts."""
    if isinstance(cell, str):
        text = " ".join(_MARKS.sub(" ", format_cell(cell, language)).split())
        return text or format_cell(None, language) if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"
    is_number_of_row = not term.function and term.column and _NUMBERING & set(read_name(term.column.column)[-1:])
    return str(cell) if is_number_of_row and cell is not None else format_cell(cell, language)


def write_label(cell: Cell, term: Term, language: str) -> str:
    """A cell that names a group: a year or a floor is no amount."""
    return str(cell) if isinstance(cell, int) and not isinstance(cell, bool) else write_cell(cell, term, language)


def write_amount(cell: Cell, term: Term, language: str, units: Units) -> str:
    """A figure with its unit: that of *units*, or what the name of the column ends with."""
    written = write_cell(cell, term, language)
    if term.column is None or term.function.startswith("COUNT") or isinstance(cell, str | bool | None):
        return written
    if sign := units.get(term.column):
        return _write_unit(cell, sign, written, language)
    unit = get_sentences("units", language).get((read_name(term.column.column) or [""])[-1])
    return f"{written} {unit}" if unit else written


def _write_unit(cell: float, sign: str, written: str, language: str) -> str:
    """An amount in a currency or another unit, as *language* puts them: €420.50, 420,50 €."""
    if sign not in SIGNS:
        return f"{written} {sign}"
    if not float(cell).is_integer():
        written = format_number(round(cell, 2), language, decimals=2)
    if sign == "Rp":
        return f"Rp {written}"
    if language in ("es", "id"):
        return f"{written} {sign}"
    return f"-{sign}{written[1:]}" if written.startswith("-") else f"{sign}{written}"


def write_row(row: Sequence[Cell], terms: Sequence[Term], language: str, units: Units) -> str:
    """A row in a sentence: its first cell, the others in parentheses."""
    first, *more = [write_amount(cell, term, language, units) for cell, term in zip(row, terms, strict=True)]
    return f"{first} ({', '.join(more)})" if more else first


def write_table(draft: Draft, rows: Sequence[Sequence[Cell]], language: str) -> tuple[list[str], int]:
    """*rows* as the lines of a Markdown table, and how many of them are in it: not more than an answer bears."""
    terms = draft.columns
    names = [_MARKS.sub(" ", describe_term(each, draft, language)) for each in terms]
    lines = [_write_line(names), _write_line([_align(index, rows) for index in range(len(names))])]
    room = _LONGEST_TABLE - sum(map(len, lines))
    write = [write_label if _has_labels(index, draft, rows) else write_cell for index in range(len(terms))]
    for row in rows:
        cells = zip(write, row, terms, strict=True)
        line = _write_line([write_one(cell, term, language) for write_one, cell, term in cells])
        room -= len(line) + len(" [1]")
        if room < 0:
            break
        lines.append(line)
    return lines, len(lines) - 2


def _has_labels(index: int, draft: Draft, rows: Sequence[Sequence[Cell]]) -> bool:
    """Whether the column names groups, or years."""
    if draft.columns[index].function:
        return False
    return draft.columns[index] == draft.group or all(_is_year(row[index]) for row in rows)


def _is_year(cell: Cell) -> bool:
    return isinstance(cell, int) and not isinstance(cell, bool) and _FIRST_YEAR <= cell <= _LAST_YEAR


def _write_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _align(index: int, rows: Sequence[Sequence[Cell]]) -> str:
    is_figure = all(isinstance(row[index], int | float | None) for row in rows)
    return "---:" if is_figure else "---"
