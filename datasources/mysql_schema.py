"""What a database of MySQL or MariaDB holds: its tables as `information_schema` tells them, and samples."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pymysql

from datasources.access import DEFAULT_SCHEMA
from datasources.schema import Column, ForeignKey, SchemaLimits, Table, add_samples, quote_name

_SCHEMA = DEFAULT_SCHEMA["mysql"]
_COLUMNS = """
SELECT c.table_name, c.column_name, c.column_type, c.is_nullable = 'YES'
FROM information_schema.columns c
JOIN (SELECT table_name FROM information_schema.tables
      WHERE table_schema = DATABASE() AND table_type IN ('BASE TABLE', 'VIEW') ORDER BY table_name LIMIT %s) t
  ON t.table_name = c.table_name
WHERE c.table_schema = DATABASE() ORDER BY c.table_name, c.ordinal_position
"""
_KEYS = """
SELECT table_name, constraint_name, column_name, referenced_table_name, referenced_column_name
FROM information_schema.key_column_usage
WHERE table_schema = DATABASE() AND (constraint_name = 'PRIMARY' OR referenced_table_schema = DATABASE())
ORDER BY table_name, constraint_name, ordinal_position
"""
_UNREADABLE = re.compile(r"(tiny|medium|long)?blob|(var)?binary|bit|geometry|point|linestring|polygon|multi|vector")


def read_tables(connection: "pymysql.Connection[Any]", limits: SchemaLimits) -> list[Table]:
    """One more than the limit, where there are more."""
    columns: dict[str, list[Column]] = {}
    keys: dict[tuple[str, str], list[Sequence[str]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(_COLUMNS, (limits.tables + 1,))
        for name, column, kind, is_nullable in cursor.fetchall():
            columns.setdefault(name, []).append(Column(column, kind, bool(is_nullable)))
        cursor.execute(_KEYS)
        for name, constraint, *key in cursor.fetchall():
            keys.setdefault((name, constraint), []).append(key)
    tables = {name: Table((_SCHEMA, name), tuple(each)) for name, each in columns.items()}
    for (name, _), parts in keys.items():
        if (table := tables.get(name)) is None:
            continue
        own, other = tuple(each[0] for each in parts), parts[0][1]
        if other is None:
            tables[name] = replace(table, primary_key=own)
        else:
            key = ForeignKey(own, (_SCHEMA, other), tuple(each[2] for each in parts))
            tables[name] = replace(table, foreign_keys=(*table.foreign_keys, key))
    return list(tables.values())


def sample_table(connection: "pymysql.Connection[Any]", database: str, table: Table, limits: SchemaLimits) -> Table:
    """*table* with samples of its values."""
    names = [each.name for each in table.columns if not _UNREADABLE.match(each.type)]
    if not names:
        return add_samples(table, [], [])
    cells = ", ".join(f"LEFT(CAST({quote_name(each)} AS CHAR), 200)" for each in names)
    query = f"SELECT {cells} FROM {quote_name(database)}.{quote_name(table.name[1])} LIMIT {limits.sampled_rows:d}"  # noqa: S608 # quoted
    with connection.cursor() as cursor:
        cursor.execute(query)
        return add_samples(table, cursor.fetchall(), names)
