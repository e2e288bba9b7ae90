"""The database: its tables are those of the models, and many processes may use it at once."""

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from domain import indexing, job_leases
from domain.db import Database
from domain.documents import replace_document
from domain.models import Base, Chunk, Document, Job, Tenant
from domain.scoping import select_everywhere, update_everywhere
from tests.domain.records import ACME, GLOBEX, content
from utils.errors import StoreRefused

ROOT = Path(__file__).parents[2]
ON_SQLITE = pytest.mark.parametrize("migrated_uri", ["sqlite"], indirect=True)


def test_the_migrations_make_the_tables_of_the_models(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": False})
        assert compare_metadata(context, Base.metadata) == []


def test_migrating_again_changes_nothing(database: Database) -> None:
    database.migrate()
    with database.open_read_session() as session:
        assert session.scalar(select(func.count()).select_from(Tenant)) == 2


def test_tables_of_a_newer_version_are_left_alone_with_a_clear_error(database: Database) -> None:
    with database.open_write_session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreRefused, match=r"9999.*newer version"):
        database.migrate()
    with database.open_read_session() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


@pytest.mark.long
def test_several_processes_may_open_a_new_database_at_the_same_moment(database_uri: str) -> None:
    script = f"from domain.db_opening import open_database; open_database({database_uri!r}).migrate()"
    starts = [subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stderr=subprocess.PIPE) for _ in range(3)]
    assert [(start.communicate()[1], start.returncode) for start in starts] == [(b"", 0)] * 3


@ON_SQLITE
def test_transactions_that_read_before_they_write_wait_for_each_other(database: Database) -> None:
    def add_one(_: int) -> None:
        with database.open_write_session() as session:
            count = session.scalar(select(func.count()).select_from(Tenant)) or 0
            session.add(Tenant(tenant_id=f"tenant-{count}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add_one, range(80)))
    with database.open_read_session() as session:
        assert session.scalar(select(func.count()).select_from(Tenant)) == 82


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    def half(session: Session) -> None:
        session.add(Tenant(tenant_id="half"))
        session.flush()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), database.open_write_session() as session:
        half(session)
    with database.open_read_session() as session:
        assert session.get(Tenant, "half") is None


def test_a_writer_commits_beside_a_reader_that_goes_on_seeing_what_it_saw(database: Database) -> None:
    with database.open_read_session() as reader:
        assert reader.get(Tenant, "third") is None
        with database.open_write_session() as writer:
            writer.add(Tenant(tenant_id="third"))
        assert reader.get(Tenant, "third") is None


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (
            select_everywhere(Document).with_only_columns(Document.tenant_id).where(indexing.make_waiting_condition(2)),
            "ix_documents_unindexed",
        ),
        (
            select_everywhere(Chunk).with_only_columns(Chunk.tenant_id).where(indexing.make_lacks_vector_condition(2)),
            "ix_chunks_without_vector",
        ),
        (select_everywhere(Job).with_only_columns(Job.tenant_id).where(job_leases.is_open()), "ix_jobs_open"),
    ],
)
def test_looking_for_work_reads_only_what_has_work_to_do(database: Database, query, index) -> None:  # type: ignore[no-untyped-def]
    with database.open_write_session() as session:  # what has no work to do, of which most is
        for ctx in (ACME, GLOBEX):
            replace_document(session, ctx, "/a.md", content(*["done"] * 500))
        session.execute(update_everywhere(Chunk).values(lexical_slots=15, dense_slots=15))
        if database.is_server:
            session.execute(text("ANALYZE chunks"))
    sql = str(query.compile(database.engine, compile_kwargs={"render_postcompile": True, "literal_binds": True}))
    with database.open_read_session() as session:
        if database.is_server:  # which reads small tables from end to end
            session.execute(text("SET LOCAL enable_seqscan = off"))
        plan = session.execute(text(f"EXPLAIN {'' if database.is_server else 'QUERY PLAN '}{sql}")).all()
    assert index in str(plan)
    # Among what has work to do in any index, a bit says in which, of those of one cut.
    of_cut = r"\(\(cut\)::text = \(COALESCE\(\$0, '[^']+'::character varying\)\)::text\)"
    only = rf"\(+({of_cut} AND \(+)?\w+_in\)::integer & 2\) = 0\)+['\"]"
    assert not re.search(rf"Filter: (?!{only})", str(plan))


def test_a_reader_changes_nothing_on_a_server(database: Database) -> None:
    if database.is_server:
        with pytest.raises(StoreRefused, match="read-only"), database.open_read_session() as session:
            session.execute(text("DELETE FROM tenants"))
