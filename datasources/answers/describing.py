"""What a draft asks for, in words: names as the database has them, the rest in the language of the question."""

import re
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import groupby

from datasources.answers.sentences import get_sentences
from datasources.questions.draft import Draft, Filter, Term
from datasources.questions.vocabulary import ColumnName
from datasources.questions.words import list_bases, read_name
from utils.formats import format_cell, format_day

_ISO_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def humanize(name: str) -> str:
    """A name of a database as words: `next_maintenance`, `UnitPrice`."""
    parted = re.sub(r"(?<=[^\W\d_])(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ")
    words = " ".join(parted.split())
    return words if words.isupper() else words.lower()


def capitalize(text: str) -> str:
    """*text* with a capital at its beginning."""
    return text[:1].upper() + text[1:]


def describe_draft(draft: Draft, language: str) -> str:
    """What *draft* gives, of which rows, in which order."""
    words = get_sentences("description", language)
    parts = [_describe_selection(draft, language)]
    if draft.group and draft.select:
        parts.append(words["each"].format(describe_term(draft.group, draft, language)))
    if draft.filters:
        parts.append(words["where"].format(words["and"].join(_list_conditions(draft, language))))
    if draft.extreme and draft.extreme.column:
        end = "most" if draft.extreme.function == "MAX" else "least"
        parts.append(words[end].format(humanize(draft.extreme.column.column)))
    if draft.order and draft.limit == 1:
        end = "most" if draft.order[1] == "DESC" else "least"
        parts.append(words[end].format(describe_term(draft.order[0], draft, language)))
    elif draft.order:
        parts.append(words[draft.order[1]].format(describe_term(draft.order[0], draft, language)))
        if draft.limit and draft.limit > 1:
            parts.append(words["first"].format(draft.limit))
    return " ".join(filter(None, parts))


def _describe_selection(draft: Draft, language: str) -> str:
    """What is selected: "name of equipment"; of rooms that are known by the column "room", "rooms"."""
    if draft.group and not draft.select:
        return describe_term(draft.group, draft, language)
    table = humanize(draft.table[1])
    names = ", ".join(describe_term(each, draft, language) for each in draft.select)
    [first, *more] = draft.select
    if not more and first.column and not first.function and _is_named_like(first.column, draft):
        return table
    is_count = any(each.column is None for each in draft.select)
    return names if is_count else get_sentences("description", language)["of"].format(names, table)


def _is_named_like(column: ColumnName, draft: Draft) -> bool:
    """Whether the column has the name of its table, maybe in the singular."""
    own = set(list_bases(read_name(draft.table[1])))
    return column.table == draft.table and not own.isdisjoint(list_bases(read_name(column.column)))


def describe_term(term: Term, draft: Draft, language: str) -> str:
    """A column, or what is computed of it."""
    words = get_sentences("description", language)
    if term.column is None:
        return words["COUNT"].format(humanize(draft.table[1]))
    named = _name_column(term.column, draft, language)
    return words[term.function].format(named) if term.function else named


def _name_column(column: ColumnName, draft: Draft, language: str) -> str:
    """The name of a column; of another table with the table's name."""
    named = humanize(column.column)
    if column.table == draft.table:
        return named
    return get_sentences("description", language)["of"].format(named, humanize(column.table[1]))


def _list_conditions(draft: Draft, language: str) -> Iterator[str]:
    for column, group in groupby(draft.filters, key=lambda each: each.column):
        filters, name = list(group), _name_column(column, draft, language)
        days = _read_days(filters)
        if days is None:
            yield from (_describe_filter(each, name, language) for each in filters)
        else:
            yield _describe_days(name, *days, language)


def _read_days(filters: Sequence[Filter]) -> tuple[date, date] | None:
    """The first and the last day that two of them leave."""
    if [each.operator for each in filters] != [">=", "<"]:
        return None
    first, until = (str(each.values[0]) for each in filters)
    if not _ISO_DAY.fullmatch(first) or not _ISO_DAY.fullmatch(until):
        return None
    return date.fromisoformat(first), date.fromisoformat(until) - timedelta(days=1)


def _describe_days(name: str, first: date, last: date, language: str) -> str:
    words = get_sentences("description", language)
    days = [format_day(each.isoformat(), language) for each in (first, last)]
    return words["="].format(name, days[0]) if first == last else words["days"].format(name, *days)


def _describe_filter(one: Filter, name: str, language: str) -> str:
    words = get_sentences("description", language)
    is_amount = one.operator not in ("=", "IN")  # else it is a year, a floor or a number of a room
    values = words["or"].join(
        str(each) if isinstance(each, int) and not is_amount else format_cell(each, language) for each in one.values
    )
    is_figure = one.operator == ">=" and not isinstance(one.values[0], str)
    return words["=" if one.operator == "IN" else "at least" if is_figure else one.operator].format(name, values)
