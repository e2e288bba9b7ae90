"""Whatever later migrations do to the tables of 1.0.0, its rows are kept, there and back."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Boolean, Date, DateTime, Float, MetaData, Numeric, Table, inspect, select, text
from sqlalchemy.types import JSON

from domain.db import Database
from domain.db_opening import open_database

MIGRATIONS = Path(__file__).parents[2] / "domain" / "migrations"
BASELINE = "0015"
TENANTS = ("acme", "globex")
NOW = datetime(2026, 11, 22, tzinfo=UTC)
# Values that a constraint or an index of some rows is about; of other columns any value of their kind will do.
GIVEN = {
    "documents": {"state": "ready", "job_status": "completed", "status": "completed", "words_in": 1},
    "jobs": {"status": "completed"},
}


@pytest.fixture
def empty(database_uri: str) -> Iterator[Database]:
    database = open_database(database_uri)
    yield database
    database.close()


def test_rows_of_the_baseline_stay_through_every_later_migration_and_on_the_way_back(empty: Database) -> None:
    migrate(empty, BASELINE)
    add_a_row_of_every_table(empty)
    before = rows_of(empty)
    assert {len(rows) for rows in before.values()} == {len(TENANTS)}
    empty.migrate()
    after = rows_of(empty)
    kept = {table: [{name: row[name] for name in rows[0]} for row in after[table]] for table, rows in before.items()}
    assert kept == before
    migrate(empty, BASELINE, back=True)
    assert rows_of(empty) == before


def test_a_document_of_a_dataset_that_is_not_there_is_kept_without_one(empty: Database) -> None:
    migrate(empty, BASELINE)
    add_a_row_of_every_table(empty)
    with empty.engine.begin() as connection:
        connection.execute(text("UPDATE documents SET dataset_id = 'globex' WHERE tenant_id = 'acme'"))
    empty.migrate()
    with empty.engine.connect() as connection:
        found = connection.execute(text("SELECT tenant_id, dataset_id FROM documents ORDER BY tenant_id")).all()
        chunks = connection.execute(text("SELECT count(*) FROM chunks")).scalar()
    assert ([tuple(row) for row in found], chunks) == ([("acme", None), ("globex", "globex")], 2)


def test_everything_the_migrations_make_can_be_taken_back(empty: Database) -> None:
    empty.migrate()
    migrate(empty, "base", back=True)
    assert set(inspect(empty.engine).get_table_names()) == {"alembic_version"}
    empty.migrate()
    with empty.open_read_session() as session:
        assert session.execute(text("SELECT count(*) FROM documents")).scalar() == 0


def migrate(database: Database, revision: str, *, back: bool = False) -> None:
    """Bring the tables to *revision*."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        (command.downgrade if back else command.upgrade)(config, revision)
        connection.commit()


def add_a_row_of_every_table(database: Database) -> None:
    """One for each tenant."""
    with database.engine.begin() as connection:
        for table in tables_of(database):
            for number, tenant in enumerate(TENANTS, start=1):
                row = {column.name: value(column.type, tenant, number) for column in table.columns}
                connection.execute(table.insert().values(row | GIVEN.get(table.name, {})))


def value(kind: Any, tenant: str, number: int) -> object:
    """One of *kind* that no other tenant has; the same for columns that refer to each other."""
    if isinstance(kind, JSON):
        return [tenant]
    if isinstance(kind, Boolean):
        return True
    if isinstance(kind, Date | DateTime):
        return NOW if isinstance(kind, DateTime) else NOW.date()
    return number if getattr(kind, "python_type", str) is int or isinstance(kind, Float | Numeric) else tenant[:8]


def tables_of(database: Database) -> list[Table]:
    """Parents first."""
    found = MetaData()
    found.reflect(database.engine)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def rows_of(database: Database) -> dict[str, list[dict[str, object]]]:
    with database.engine.connect() as connection:
        return {
            table.name: [dict(row) for row in connection.execute(select(table).order_by(table.columns[0])).mappings()]
            for table in tables_of(database)
        }
