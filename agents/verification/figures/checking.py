"""Checks the figures of a sentence that rests on results of queries."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agents.verification.figures.binding import bind_figures, find_rows
from agents.verification.figures.explaining import Cells, Explanation, How, explain
from agents.verification.figures.reading import ReadSentence, read_sentence
from agents.verification.figures.tables import KnownTable, know_table
from utils.facts.dates import Date
from utils.query_tables import QueryTable

FigureStatus = Literal["cell", "derived", "given", "absent"]
"""It stands in a cell; follows from some; repeats the question or a condition of the query; or none of these."""
_STATUSES: Mapping[How, FigureStatus] = {"cell": "cell", "given": "given"}


@dataclass(frozen=True, slots=True)
class CheckedFigure:
    """A figure or date as the sentence writes it, what it is, and the cells of the result that it rests on.

    `number` is the mark of the result, 0 for what is in none. `is_bound`: it is clear which rows are spoken of.
    """

    text: str
    status: FigureStatus
    how: How | None = None
    number: int = 0
    cells: Cells = ()
    is_bound: bool = False
    start: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The figure as the API gives it."""
        cells = [{"row": row, "column": column} for row, column in self.cells]
        number = self.number or None
        return {"text": self.text, "status": self.status, "how": self.how, "number": number, "cells": cells}


def check_figures(text: str, language: str, tables: Mapping[int, QueryTable]) -> list[CheckedFigure]:
    """Each figure and date of *text*, in its order, held to *tables*, by their marks."""
    result: dict[tuple[int, str], CheckedFigure] = {}
    for number, table in tables.items():
        for checked in _check(text, language, number, know_table(table)):
            key = checked.start, checked.text
            if key not in result or (result[key].status == "absent" and checked.status != "absent"):
                result[key] = checked
    return [result[key] for key in sorted(result)]


def _check(text: str, language: str, number: int, table: KnownTable) -> list[CheckedFigure]:
    sentence = read_sentence(text, language, table)
    is_single = len(table.table.rows) <= 1
    checked = []
    for figure, binding in zip(sentence.figures, bind_figures(sentence), strict=True):
        explanation = explain(figure, binding, table)
        is_bound = is_single or binding.rows is not None or (explanation is not None and explanation.how != "cell")
        checked.append(_conclude(figure.text, figure.start, explanation, number, is_bound=is_bound))
    if table.has_dates:
        checked += [_check_date(date, sentence, table, number) for date in sentence.dates]
    return checked


def _conclude(text: str, start: int, explanation: Explanation | None, number: int, *, is_bound: bool) -> CheckedFigure:
    if explanation is None:
        return CheckedFigure(text, "absent", start=start)
    status = _STATUSES.get(explanation.how, "derived")
    how = explanation.how
    return CheckedFigure(text, status, how, number, explanation.cells, is_bound, start)


def _check_date(date: Date, sentence: ReadSentence, table: KnownTable, number: int) -> CheckedFigure:
    """A date that names rows, is in a cell of those that are spoken of, or was given."""
    named = next((mention.rows for mention in sentence.mentions if mention.start == date.start), None)
    rows = named or find_rows(date.start, sentence)[0]
    is_bound = rows is not None or len(table.table.rows) <= 1
    for row, row_date in enumerate(table.dates):
        if (rows is None or row in rows) and row_date.say(date):
            cells = tuple((row, table.table.columns[at].name) for at in table.find_date_places(row, date))
            return CheckedFigure(date.text, "cell", "cell", number, cells, is_bound, date.start)
    if table.stated_dates.say(date):
        return CheckedFigure(date.text, "given", "given", number, start=date.start)
    return CheckedFigure(date.text, "absent", start=date.start)
