"""A small database of plants and machines, opened with synonyms, and a row that nobody may see."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import NamedTuple

from datasources.access import TableAccess
from datasources.catalog import OpenTable, list_open_tables
from datasources.questions.values import add_stored_values
from datasources.questions.vocabulary import Vocabulary, make_vocabulary
from datasources.schema import SchemaLimits
from datasources.source import DataSource
from datasources.sqlite import SqliteSource
from datasources.stopping import Stop

TODAY = date(2026, 11, 25)
TABLES = """
CREATE TABLE plant (plant_id INTEGER PRIMARY KEY, name TEXT, region TEXT);
CREATE TABLE equipment (
  id INTEGER PRIMARY KEY, name TEXT, type TEXT, status TEXT, hours INTEGER, next_maintenance TEXT,
  plant_id INTEGER REFERENCES plant (plant_id));
INSERT INTO plant VALUES (1, 'Bandung', 'west'), (2, 'Medan', 'east'), (3, 'Hidden Place', 'south');
INSERT INTO equipment VALUES
  (1, 'Pump A1', 'Pump', 'Active', 100, '2026-11-02', 1), (2, 'Motor B2', 'Motor', 'Stopped', 300, '2026-11-30', 1),
  (3, 'Valve C3', 'Valve', 'Active', 50, '2026-12-01', 2), (4, 'Pump D4', 'Pump', 'Active', 200, '2025-11-20', 2);
"""
SAID = {
    "plant": {"description": "", "synonyms": ["planta", "pabrik"], "allowed_columns": {}},
    "equipment": {
        "description": "",
        "synonyms": ["machine", "mesin", "máquina"],
        "allowed_columns": {
            "next_maintenance": {
                "synonyms": ["due", "due for maintenance", "jatuh tempo", "perlu perawatan", "necesitan mantenimiento"]
            },
            "hours": {"synonyms": ["jam", "horas"]},
        },
    },
}


class OpenPlant(NamedTuple):
    """The database, and what may be read and asked of it."""

    source: DataSource
    access: dict[tuple[str, str], TableAccess]
    tables: list[OpenTable]
    vocabulary: Vocabulary


def open_plant(file: Path) -> OpenPlant:
    """Make it at *file*."""
    connection = sqlite3.connect(file)
    connection.executescript(TABLES)
    connection.close()
    source = SqliteSource(file)
    schema = source.read_schema(SchemaLimits(), Stop())
    access = {table.name: TableAccess(tuple(each.name for each in table.columns)) for table in schema.tables}
    access["main", "plant"] = TableAccess(("plant_id", "name", "region"), "region <> {user.hidden}")
    nothing = {"synonyms": []}
    said = {
        table.name[1]: {
            **SAID[table.name[1]],
            "allowed_columns": {each.name: nothing for each in table.columns} | SAID[table.name[1]]["allowed_columns"],
        }
        for table in schema.tables
    }
    tables = list_open_tables(schema, said, access, "sqlite")
    vocabulary = make_vocabulary(tables)
    add_stored_values(vocabulary, source, access, {"hidden": "south"}, Stop())
    return OpenPlant(source, access, tables, vocabulary)


def open_file(file: Path, tables: str, synonyms: Mapping[str, str]) -> OpenPlant:
    """A database of *tables* as if it had been uploaded: all is open, *synonyms* are of columns, each row counts."""
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(tables)
    return open_all(SqliteSource(file), synonyms)


def open_all(source: DataSource, synonyms: Mapping[str, str]) -> OpenPlant:
    """All of *source*, as if it had been uploaded."""
    schema = source.read_schema(SchemaLimits(), Stop())
    access = {table.name: TableAccess(tuple(each.name for each in table.columns)) for table in schema.tables}
    said = {
        table.name[1]: {
            "description": "",
            "synonyms": [],
            "allowed_columns": {
                each.name: {"synonyms": [synonyms[each.name]] if each.name in synonyms else []}
                for each in table.columns
            },
        }
        for table in schema.tables
    }
    opened = list_open_tables(schema, said, access, source.dialect)
    vocabulary = make_vocabulary(opened, counts_rows=True)
    add_stored_values(vocabulary, source, access, {}, Stop())
    return OpenPlant(source, access, opened, vocabulary)
