"""The cells of a result as an answer shows them, alone and in a table."""

import re
from collections.abc import Sequence

from datasources.answers.describing import describe_term
from datasources.answers.sentences import get_sentences
from datasources.questions.draft import Draft, Term
from datasources.questions.words import read_name
from utils.formats import format_cell
from utils.query_tables import Cell

MOST_ROWS = 30  # of a table in an answer
_LONGEST_CELL, _LONGEST_TABLE = 80, 2_400  # characters
_MARKS = re.compile(r"[\[\]<>`*|\\]")  # a cell is data: it makes no mark, link or cell of its own
_NUMBERING = frozenset(("id", "year", "ano", "tahun", "code", "codigo", "kode", "zip", "phone", "telefono", "telepon"))


def write_cell(cell: Cell, term: Term, language: str) -> str:
    """A cell of the column *term*; numbers of rows and years are no amounts."""
    if isinstance(cell, str):
        text = " ".join(_MARKS.sub(" ", format_cell(cell, language)).split())
        return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"
    is_number_of_row = not term.function and term.column and _NUMBERING & set(read_name(term.column.column)[-1:])
    return str(cell) if is_number_of_row and cell is not None else format_cell(cell, language)


def write_amount(cell: Cell, term: Term, language: str) -> str:
    """The same with the unit that the name of the column ends with."""
    written = write_cell(cell, term, language)
    if term.column is None or term.function.startswith("COUNT") or isinstance(cell, str | None):
        return written
    unit = get_sentences("units", language).get((read_name(term.column.column) or [""])[-1])
    return f"{written} {unit}" if unit else written


def write_row(row: Sequence[Cell], terms: Sequence[Term], language: str) -> str:
    """A row in a sentence: its first cell, the others in parentheses."""
    first, *more = [write_amount(cell, term, language) for cell, term in zip(row, terms, strict=True)]
    return f"{first} ({', '.join(more)})" if more else first


def write_table(draft: Draft, rows: Sequence[Sequence[Cell]], language: str) -> tuple[list[str], int]:
    """*rows* as the lines of a Markdown table, and how many of them are in it: not more than an answer bears."""
    terms = draft.columns
    names = [_MARKS.sub(" ", describe_term(each, draft, language)) for each in terms]
    lines = [_write_line(names), _write_line([_align(at, rows) for at in range(len(names))])]
    left = _LONGEST_TABLE - sum(map(len, lines))
    for row in rows:
        line = _write_line([write_cell(cell, term, language) for cell, term in zip(row, terms, strict=True)])
        left -= len(line) + len(" [1]")
        if left < 0:
            break
        lines.append(line)
    return lines, len(lines) - 2


def _write_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _align(at: int, rows: Sequence[Sequence[Cell]]) -> str:
    is_figure = all(isinstance(row[at], int | float | None) for row in rows)
    return "---:" if is_figure else "---"
