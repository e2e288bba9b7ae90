"""What is said of a result that was given before, where a question goes on about it."""

from collections.abc import Mapping

from datasources.answers.cells import MAX_ROWS, write_amount, write_row, write_table
from datasources.answers.describing import capitalize, describe_term
from datasources.answers.sentences import get_sentences
from datasources.questions.draft import Draft, Term, read_term
from datasources.questions.followups import Followup
from datasources.questions.units import find_unit
from datasources.questions.vocabulary import ColumnName
from utils.formats import format_number
from utils.query_tables import QueryTable

_MAX_NAMED = 3


def format_chart_note(language: str) -> str:
    """That a chart is shown."""
    return get_sentences("followup", language)["chart"]


def format_followup(followup: Followup, table: QueryTable, language: str, *, max_rows: int = MAX_ROWS) -> list[str]:
    """The lines of the answer: a sentence, of several rows a table of the first *max_rows*, and where it comes
    from."""
    words = get_sentences("followup", language)
    return [*_write(followup, table, language, words, max_rows), words["note"].format(table.source_name)]


def _write(followup: Followup, table: QueryTable, language: str, words: Mapping[str, str], max_rows: int) -> list[str]:
    shape = _read_shape(table)
    terms, units = shape.select, _read_units(table, shape)
    if followup.function == "COUNT":
        return [words["COUNT"].format(format_number(followup.value, language))]
    if followup.function is not None and followup.column is not None:
        value = write_amount(followup.value, terms[followup.column], language, units)
        name = describe_term(terms[followup.column], shape, language)
        if followup.over == 1:
            return [f"{capitalize(name)}: {value}."]
        return [words[followup.function].format(name, format_number(followup.over, language), value)]
    rows = [table.rows[at] for at in followup.rows]
    if len(rows) <= _MAX_NAMED and (len(rows) == 1 or followup.end):
        named = ", ".join(write_row(row, terms, language, units) for row in rows)
        if followup.end is None or followup.column is None:
            return [f"{named}."]
        return [capitalize(words[followup.end].format(describe_term(terms[followup.column], shape, language), named))]
    lines, count = write_table(shape, rows[:max_rows], language)
    return [words["all" if count == table.row_count else "rows"].format(format_number(count, language)), *lines]


def _read_shape(table: QueryTable) -> Draft:
    """Its columns, and what they were computed of, as answers name them."""
    terms = [read_term(each.name) if each.function else None for each in table.columns]
    named = ("", next((each[1] for each in terms if each), table.source_name))
    plain = [Term(ColumnName(named, each.name)) for each in table.columns]
    return Draft(named, select=[each[0] if each else other for each, other in zip(terms, plain, strict=True)])


def _read_units(table: QueryTable, shape: Draft) -> dict[ColumnName, str]:
    """The units of its columns, by what is said of those that they were computed of."""
    pairs = zip(shape.select, table.columns, strict=True)
    units = {term.column: find_unit(term.column.column, each.words.split("; ")) for term, each in pairs if term.column}
    return {column: unit for column, unit in units.items() if unit}
