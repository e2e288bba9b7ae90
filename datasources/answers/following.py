"""What is said of a result that was given before, where a question goes on about it."""

from collections.abc import Mapping

from datasources.answers.cells import MOST_ROWS, write_amount, write_row, write_table
from datasources.answers.describing import capitalize, describe_term
from datasources.answers.sentences import get_sentences
from datasources.questions.draft import Draft, Term, read_term
from datasources.questions.followups import Followup
from datasources.questions.units import find_unit
from datasources.questions.vocabulary import ColumnName
from utils.formats import format_number
from utils.query_tables import QueryTable

_MOST_NAMED = 3


def format_chart_note(language: str) -> str:
    """That a chart is shown."""
    return get_sentences("followup", language)["chart"]


def format_followup(asked: Followup, table: QueryTable, language: str, *, most_rows: int = MOST_ROWS) -> list[str]:
    """The lines of the answer: a sentence, of several rows a table of the first *most_rows*, and where it comes
    from."""
    words = get_sentences("followup", language)
    return [*_tell(asked, table, language, words, most_rows), words["note"].format(table.source_name)]


def _tell(asked: Followup, table: QueryTable, language: str, words: Mapping[str, str], most_rows: int) -> list[str]:
    shape = _read_shape(table)
    terms, units = shape.select, _read_units(table, shape)
    if asked.function == "COUNT":
        return [words["COUNT"].format(format_number(asked.value, language))]
    if asked.function is not None and asked.column is not None:
        value = write_amount(asked.value, terms[asked.column], language, units)
        name = describe_term(terms[asked.column], shape, language)
        if asked.over == 1:
            return [f"{capitalize(name)}: {value}."]
        return [words[asked.function].format(name, format_number(asked.over, language), value)]
    rows = [table.rows[at] for at in asked.rows]
    if len(rows) <= _MOST_NAMED and (len(rows) == 1 or asked.end):
        named = ", ".join(write_row(row, terms, language, units) for row in rows)
        if asked.end is None or asked.column is None:
            return [f"{named}."]
        return [capitalize(words[asked.end].format(describe_term(terms[asked.column], shape, language), named))]
    lines, shown = write_table(shape, rows[:most_rows], language)
    return [words["all" if shown == table.row_count else "rows"].format(format_number(shown, language)), *lines]


def _read_shape(table: QueryTable) -> Draft:
    """Its columns, and what they were computed of, as answers name them."""
    known = [read_term(each.name) if each.function else None for each in table.columns]
    named = ("", next((each[1] for each in known if each), table.source_name))
    plain = [Term(ColumnName(named, each.name)) for each in table.columns]
    return Draft(named, select=[each[0] if each else other for each, other in zip(known, plain, strict=True)])


def _read_units(table: QueryTable, shape: Draft) -> dict[ColumnName, str]:
    """The units of its columns, by what is said of those that they were computed of."""
    known = zip(shape.select, table.columns, strict=True)
    found = {term.column: find_unit(term.column.column, each.words.split("; ")) for term, each in known if term.column}
    return {column: unit for column, unit in found.items() if unit}
