"""Tables as a language model is shown them: names as SQL writes them, what is said of them, and a few values."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from datasources.access import DEFAULT_SCHEMA, TableName
from datasources.catalog import OpenTable
from datasources.functions import KEYWORDS, Dialect
from datasources.questions.draft import quote_name
from datasources.questions.words import read_name, reduce_word, split_words
from datasources.schema import Column, Table

_LONGEST = 16_000  # characters of all tables
_MAX_COLUMNS, _MAX_SAMPLES, _LONGEST_SAMPLE = 40, 3, 40
_LONGEST_SAID, _MAX_SYNONYMS = 300, 8
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


def write_schema(question: str, tables: Sequence[OpenTable], dialect: Dialect) -> str:
    """*tables*, as many as there is room for; of wide ones the keys and the columns that come nearest to *question*."""
    names = {each.table.name for each in tables}
    result: list[str] = []
    room = _LONGEST
    for opened in tables:
        text = _write_table(question, opened, names, dialect)
        if len(text) > room:
            break
        result.append(text)
        room -= len(text)
    return "\n".join(result)


def _write_table(question: str, opened: OpenTable, names: set[TableName], dialect: Dialect) -> str:
    table, entry = opened.table, opened.entry
    name = _write_name(table.name, dialect)
    column = entry.get("name_column")
    lines = [f"{name}{_write_about(entry)}{f'; its rows are known by {_write_names((column,))}' if column else ''}"]
    columns = _choose_columns(question, opened)
    lines += [f"  {_write_column(each, table, entry, names, dialect)}" for each in columns]
    if len(columns) < len(table.columns):
        lines.append(f"  ({len(table.columns) - len(columns)} more columns)")
    return "\n".join(lines)[: _LONGEST // 2]


def _choose_columns(question: str, opened: OpenTable) -> list[Column]:
    columns = opened.table.columns
    if len(columns) <= _MAX_COLUMNS:
        return list(columns)
    question_words = {reduce_word(word) for word in split_words(question)}
    keys = {*opened.table.primary_key, *(name for key in opened.table.foreign_keys for name in key.columns)}

    def count(column: Column) -> int:
        synonyms = opened.entry["allowed_columns"].get(column.name, {}).get("synonyms", ())
        words = {reduce_word(word) for name in (column.name, *synonyms) for word in read_name(name)}
        return len(words & question_words) + (column.name in keys)

    best = sorted(range(len(columns)), key=lambda at: -count(columns[at]))[:_MAX_COLUMNS]
    return [columns[at] for at in sorted(best)]


def _write_column(
    column: Column, table: Table, entry: Mapping[str, Any], names: set[TableName], dialect: Dialect
) -> str:
    parts = [f"{_write_names((column.name,))} {' '.join(column.type.split())[:40]}".strip()]
    is_key = table.primary_key == (column.name,)
    if is_key:
        parts.append("primary key")
    parts += _write_references(column, table, names, dialect)
    about = _write_about(entry["allowed_columns"].get(column.name, {}))
    values = [json.dumps(str(each)[:_LONGEST_SAMPLE], ensure_ascii=False) for each in column.samples[:_MAX_SAMPLES]]
    has_samples = bool(values) and not (is_key and "INT" in column.type.upper())  # nobody asks for a number of a row
    samples = f"; such as {', '.join(values)}" if has_samples else ""
    return ", ".join(parts) + about + samples


def _write_references(column: Column, table: Table, names: set[TableName], dialect: Dialect) -> list[str]:
    return [
        f"refers to {_write_name(key.other_table, dialect)}"
        + (f".{_write_names(far)}" if (far := key.other_columns) else "")
        for key in table.foreign_keys
        if key.columns == (column.name,) and key.other_table in names
    ]


def _write_about(entry: Mapping[str, Any]) -> str:
    description = " ".join(str(entry.get("description") or "").split())[:_LONGEST_SAID]
    synonyms = [" ".join(str(each).split()) for each in entry.get("synonyms") or ()][:_MAX_SYNONYMS]
    called = f"also called {', '.join(synonyms)}" if synonyms else ""
    text = "; ".join(filter(None, (description, called)))
    return f": {text}" if text else ""


def _write_name(name: TableName, dialect: Dialect) -> str:
    return _write_names(name[1:] if name[0] == DEFAULT_SCHEMA[dialect] else name)


def _write_names(names: Sequence[str]) -> str:
    """Names as in SQL: with quotation marks where a name is not plain."""
    return ".".join(
        each if _PLAIN.fullmatch(each) and each not in KEYWORDS else quote_name(" ".join(each.splitlines()))
        for each in names
    )
