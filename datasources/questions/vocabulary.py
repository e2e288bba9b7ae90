"""The words by which a question may name the tables, columns and values of a database."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasources.access import TableName
from datasources.catalog import OpenTable
from datasources.questions.units import find_unit
from datasources.questions.words import STOP, list_bases, list_values, read_name, split_name, split_words
from datasources.schema import Column, Table

Words = tuple[str, ...]
_LONGEST_VALUE = 50  # characters
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_TEXTS = re.compile("CHAR|TEXT|CLOB|^ENUM$|^SET$")
_NO_FIGURES = re.compile(r"BOOL|UUID|JSON|BYTEA|BLOB|\[\]$")
_NAMES = frozenset((("name",), ("title",), ("nombre",), ("titulo",), ("nama",), ("judul",)))


@dataclass(frozen=True, slots=True)
class ColumnName:
    """A column that may be read."""

    table: TableName
    column: str


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What can be named. Keys are words in their basic form; of `values`, the words of the value as it is.

    `units` are those of columns of figures, see `find_unit`. `counts_rows`: each row is one thing, also where two have
    the same name and no primary key tells them apart.
    `name_columns`: what people know rows by, where somebody has said so.
    """

    tables: Mapping[TableName, Table]
    table_names: Mapping[Words, TableName]
    column_names: Mapping[Words, Sequence[ColumnName]]
    units: Mapping[ColumnName, str] = field(default_factory=dict)
    values: dict[Words, set[tuple[ColumnName, str]]] = field(default_factory=lambda: defaultdict(set))
    counts_rows: bool = False
    name_columns: Mapping[TableName, str] = field(default_factory=dict)

    def add_values(self, table: TableName, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Let questions name what *rows* hold."""
        for row in rows:
            for column, value in zip(columns, row, strict=True):
                words = tuple(split_words(value)) if isinstance(value, str) and len(value) < _LONGEST_VALUE else ()
                is_common = len(words) == 1 and (words[0] in STOP or words[0].isdigit() or len(words[0]) < 2)
                if words and not is_common:
                    self.values[words].add((ColumnName(table, column), str(value)))

    def find_table(self, words: Sequence[str]) -> TableName | None:
        """The table that *words* name."""
        return next((self.table_names[each] for each in list_bases(words) if each in self.table_names), None)

    def find_columns(self, words: Sequence[str]) -> Sequence[ColumnName]:
        """The columns that *words* name."""
        return next((self.column_names[each] for each in list_bases(words) if each in self.column_names), ())

    def find_values(self, word: str) -> set[tuple[ColumnName, str]]:
        """The places of the value that *word* is, or of which it is the plural or a translation."""
        return next((self.values[each,] for each in list_values(word) if (each,) in self.values), set())

    def find_column(self, table: TableName, name: str) -> Column:
        """A column of the table."""
        return next(each for each in self.tables[table].columns if each.name == name)

    def find_display(self, table: TableName) -> str | None:
        """The column by which people know the rows of the table."""
        if table in self.name_columns:
            return self.name_columns[table]
        names = {each.name: split_name(each.name) for each in self.tables[table].columns}
        if ("first", "name") in names.values():  # of people, whose name is in two columns
            return None
        own = set(list_bases(read_name(table[1])))
        display_names = _NAMES | own | {(*each, "name") for each in own}
        exact = [name for name, words in names.items() if words in display_names]
        ending = [name for name, words in names.items() if words[-1:] in _NAMES]
        return next(iter(exact + ending), None)

    def find_join(self, table: TableName, other: TableName) -> tuple[str, str] | None:
        """The columns by which they are joined: a foreign key of one column, else the one that both have, and that rows
        of one are known by."""
        for one, another in ((table, other), (other, table)):
            for key in self.tables[one].foreign_keys:
                if key.other_table == another and len(key.columns) == 1:
                    far = (key.other_columns or self.tables[another].primary_key or key.columns)[0]
                    return (key.columns[0], far) if one == table else (far, key.columns[0])
        both = {each.name for each in self.tables[table].columns} & {each.name for each in self.tables[other].columns}
        shared = both & {self.find_display(table), self.find_display(other)} - {
            each for each in both if split_name(each) in _NAMES
        }
        return (join, join) if len(shared) == 1 and (join := str(next(iter(shared)))) else None

    def is_text(self, name: ColumnName) -> bool:
        """Whether it holds texts, dates not among them."""
        column = self.find_column(name.table, name.column)
        is_typed_so = not column.type or _TEXTS.search(_name_type(column)) is not None
        return is_typed_so and not self.is_date(name) and not column.type.endswith("[]")

    def is_figure(self, name: ColumnName) -> bool:
        """Whether it may hold figures: neither texts, dates nor what no figure is like."""
        kind = self.find_column(name.table, name.column).type.upper()
        return not self.is_text(name) and not self.is_date(name) and _NO_FIGURES.search(kind) is None

    def is_ordered(self, name: ColumnName) -> bool:
        """Whether it may hold figures or dates, of which there is a largest one."""
        return self.is_figure(name) or self.is_date(name)

    def is_date(self, name: ColumnName) -> bool:
        """Whether it holds dates, also as texts."""
        column = self.find_column(name.table, name.column)
        has_days = bool(column.samples) and all(_DAY.match(str(each)) for each in column.samples)
        return has_days or re.search("DATE|TIMESTAMP", _name_type(column)) is not None


def _name_type(column: Column) -> str:
    """Its type without what stands in parentheses: ENUM, whatever its values are."""
    return column.type.upper().partition("(")[0]


def make_vocabulary(tables: Sequence[OpenTable], *, counts_rows: bool = False) -> Vocabulary:
    """The words for *tables*: the names themselves, and the synonyms. Without values."""
    table_names: dict[Words, TableName] = {}
    column_names: defaultdict[Words, list[ColumnName]] = defaultdict(list)
    for opened in tables:
        table, entry = opened.table, opened.entry
        for name in (table.name[1], *entry["synonyms"]):
            table_names.setdefault(split_name(name), table.name)
        for column in table.columns:
            for name in (column.name, *entry["allowed_columns"][column.name]["synonyms"]):
                named = ColumnName(table.name, column.name)
                if split_name(name) and named not in column_names[split_name(name)]:
                    column_names[split_name(name)].append(named)
    for opened in tables:  # "habitaciones" is also known by its singular, where nothing else is called so
        for name in (opened.table.name[1], *opened.entry["synonyms"]):
            for words in list_bases(read_name(name)):
                table_names.setdefault(words, opened.table.name)
    return Vocabulary(
        {each.table.name: each.table for each in tables},
        table_names,
        {words: columns for words, columns in column_names.items() if columns},
        _read_units(tables),
        counts_rows=counts_rows,
        name_columns={each.table.name: each.entry["name_column"] for each in tables if each.entry.get("name_column")},
    )


def _read_units(tables: Sequence[OpenTable]) -> dict[ColumnName, str]:
    units: dict[ColumnName, str] = {}
    for opened in tables:
        for column in opened.table.columns:
            entry = opened.entry["allowed_columns"][column.name]
            unit = find_unit(column.name, (*entry["synonyms"], str(entry.get("description") or "")))
            if unit:
                units[ColumnName(opened.table.name, column.name)] = unit
    return units
