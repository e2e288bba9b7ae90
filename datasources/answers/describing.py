"""What a draft asks for, in words: names as the database has them, the rest in the language of the question."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby

from datasources.questions.draft import Draft, Filter, Term
from datasources.questions.vocabulary import ColumnName
from utils.formats import format_cell, format_day

_ISO_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "COUNT": "number of {}", "COUNT DISTINCT": "number of different {}", "AVG": "average {}", "SUM": "total {}",
        "MAX": "largest {}", "MIN": "smallest {}", "MONTH": "month of {}", "YEAR": "year of {}", "of": "{} of {}",
        "each": "for each {}", "where": "where {}", "and": " and ", "or": " or ", "=": "{} is {}",
        ">": "{} is more than {}", "<": "{} is less than {}", ">=": "{} is from {} on", "days": "{} is from {} to {}",
        "most": "with the largest {}", "least": "with the smallest {}", "DESC": "by {}, largest first",
        "ASC": "by {}, smallest first", "first": "(the first {})",
    },
    "es": {
        "COUNT": "número de {}", "COUNT DISTINCT": "número de {} distintos", "AVG": "promedio de {}",
        "SUM": "total de {}", "MAX": "mayor {}", "MIN": "menor {}", "MONTH": "mes de {}", "YEAR": "año de {}",
        "of": "{} de {}", "each": "por {}", "where": "donde {}", "and": " y ", "or": " o ", "=": "{} es {}",
        ">": "{} es más de {}", "<": "{} es menos de {}", ">=": "{} es desde {}", "days": "{} es del {} al {}",
        "most": "con mayor {}", "least": "con menor {}", "DESC": "por {}, de mayor a menor",
        "ASC": "por {}, de menor a mayor", "first": "(los primeros {})",
    },
    "id": {
        "COUNT": "jumlah {}", "COUNT DISTINCT": "jumlah {} yang berbeda", "AVG": "rata-rata {}", "SUM": "total {}",
        "MAX": "{} terbesar", "MIN": "{} terkecil", "MONTH": "bulan dari {}", "YEAR": "tahun dari {}",
        "of": "{} dari {}", "each": "untuk setiap {}", "where": "dengan {}", "and": " dan ", "or": " atau ",
        "=": "{} adalah {}", ">": "{} lebih dari {}", "<": "{} kurang dari {}", ">=": "{} mulai {}",
        "days": "{} dari {} sampai {}", "most": "dengan {} terbesar", "least": "dengan {} terkecil",
        "DESC": "menurut {}, dari yang terbesar", "ASC": "menurut {}, dari yang terkecil", "first": "({} pertama)",
    },
}  # fmt: skip


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
    words = get_words(language)
    table = humanize(draft.table[1])
    asked = ", ".join(describe_term(each, draft, language) for each in draft.select)
    is_count = any(each.column is None for each in draft.select)
    told = [asked if is_count or not asked else words["of"].format(asked, table)]
    if draft.group:
        told.append(words["each"].format(describe_term(draft.group, draft, language)))
    if draft.filters:
        told.append(words["where"].format(words["and"].join(_list_conditions(draft, language))))
    if draft.extreme and draft.extreme.column:
        end = "most" if draft.extreme.function == "MAX" else "least"
        told.append(words[end].format(humanize(draft.extreme.column.column)))
    if draft.order:
        told.append(words[draft.order[1]].format(describe_term(draft.order[0], draft, language)))
        if draft.limit and draft.limit > 1:
            told.append(words["first"].format(draft.limit))
    return " ".join(filter(None, told))


def describe_term(term: Term, draft: Draft, language: str) -> str:
    """A column, or what is computed of it."""
    words = get_words(language)
    if term.column is None:
        return words["COUNT"].format(humanize(draft.table[1]))
    named = _name_column(term.column, draft, language)
    return words[term.function].format(named) if term.function else named


def get_words(language: str) -> Mapping[str, str]:
    """The words of *language*, else the English ones."""
    return _WORDS.get(language, _WORDS["en"])


def _name_column(column: ColumnName, draft: Draft, language: str) -> str:
    """Of another table with that: the name of a plant."""
    named = humanize(column.column)
    if column.table == draft.table:
        return named
    return get_words(language)["of"].format(named, humanize(column.table[1]))


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
    words, days = get_words(language), [format_day(each.isoformat(), language) for each in (first, last)]
    return words["="].format(name, days[0]) if first == last else words["days"].format(name, *days)


def _describe_filter(one: Filter, name: str, language: str) -> str:
    words = get_words(language)
    values = words["or"].join(format_cell(each, language) for each in one.values)
    return words["=" if one.operator == "IN" else one.operator].format(name, values)
