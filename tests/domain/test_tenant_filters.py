"""A statement that forgets the tenant is refused, wherever it forgets it; one that names it is carried out."""

from typing import Any

import pytest
from sqlalchemy import Table, bindparam, delete, exists, func, or_, select, union_all, update
from sqlalchemy.orm import aliased

from domain.db import Database
from domain.documents import get_document, replace_document
from domain.models import Base, Chunk, Document, IndexRow, Job, Tenant, TenantOwned
from domain.scoping import (
    count_everywhere,
    delete_everywhere,
    list_tenants,
    list_tenants_with,
    prepare,
    scoped,
    scoped_count,
    scoped_delete,
    scoped_update,
    select_everywhere,
    select_over,
    update_everywhere,
)
from domain.tenant_filters import TenantFilterMissing
from tests.domain.records import ACME, GLOBEX, content

OTHER = aliased(Document)
OURS = Document.tenant_id == "acme"

FORGOTTEN: dict[str, tuple[Any, str]] = {
    "a whole table": (select(Document), "documents"),
    "a column": (select(Document.title), "documents"),
    "by its key": (select(Document).where(Document.document_id == "1"), "documents"),
    "a filter by hand": (select(Document).where(OURS), "documents"),
    "a tenant or something else": (select(Document).where(or_(OURS, Document.size_bytes == 0)), "documents"),
    "a count": (select(func.count()).select_from(Job), "jobs"),
    "an update": (update(Document).values(title=""), "documents"),
    "an update that sets the tenant": (update(Document).values(tenant_id="acme"), "documents"),
    "a delete": (delete(Job).where(Job.status == "failed"), "jobs"),
    "a core table": (select(Base.metadata.tables["api_keys"]), "api_keys"),
    "an alias": (select(OTHER), "documents"),
    "a join": (select(Job).join(Document, Document.document_id == Job.document_id), "documents, jobs"),
    "in what a count is of": (select(func.count()).select_from(select(Job).subquery()), "jobs"),
    "of a query that names it": (select(func.count()).select_from(scoped(ACME, Job).subquery()), "jobs"),
    "one half of a union": (union_all(select(Job.document_id), select(Document.document_id)), "documents, jobs"),
    "in a common table expression": (select(select(Chunk).cte("these").c.text), "chunks"),
    "in what exists": (select(Tenant).where(exists().where(Job.status == "x")), "jobs"),
    "in a condition about no tenant's rows": (
        select(IndexRow).where(IndexRow.number.in_(select(Chunk.position))),
        "chunks",
    ),
    "beside one of no tenant": (select(IndexRow, Document), "documents"),
}
NAMED: dict[str, Any] = {
    "a whole table": scoped(ACME, Document),
    "narrowed": scoped(ACME, Document).where(Document.title == "x").with_only_columns(Document.title).limit(1),
    "a count": scoped_count(ACME, Job),
    "an update": scoped_update(ACME, Document).where(Document.title == "x").values(title=""),
    "a delete": scoped_delete(ACME, Job).where(Job.status == "failed"),
    "a join": scoped(ACME, Job).join(Document, Document.document_id == Job.document_id),
    "over a query": select_over(ACME, func.count()).select_from(scoped(ACME, Document).limit(3).subquery()),
    "for all": select_everywhere(Document).with_only_columns(func.sum(Document.size_bytes)),
    "an update for all": update_everywhere(Document).values(title=""),
    "a delete for all": delete_everywhere(Job),
    "of no tenant": select(Tenant),
    "of an index": select(IndexRow),
}


@pytest.mark.parametrize("name", FORGOTTEN)
def test_a_statement_that_forgets_the_tenant_is_refused_and_says_of_what(database: Database, name: str) -> None:
    statement, tables = FORGOTTEN[name]
    for opened in (database.open_read_session, database.open_write_session):
        with opened() as session, pytest.raises(TenantFilterMissing) as refused:
            session.execute(statement)
        assert f"A statement reads or changes {tables} without a tenant." in str(refused.value)


@pytest.mark.parametrize("name", NAMED)
def test_a_statement_that_names_the_tenant_is_carried_out(database: Database, name: str) -> None:
    with database.open_write_session() as session:
        session.execute(NAMED[name])


def test_what_is_asked_for_one_tenant_or_for_all_is_so(database: Database) -> None:
    for ctx in (ACME, GLOBEX):
        with database.open_write_session() as session:
            replace_document(session, ctx, "a", content(ctx.tenant_id))
    with database.open_write_session() as session:
        assert [row.tenant_id for row in session.scalars(scoped(ACME, Document))] == ["acme"]
        assert session.scalar(scoped_count(GLOBEX, Document)) == 1
        assert count_everywhere(session, Document, Document.version == 1) == 2
        assert [ctx.tenant_id for ctx in list_tenants_with(session, Document, Document.version == 1)] == [
            "acme",
            "globex",
        ]
        assert [ctx.tenant_id for ctx in list_tenants(session)] == ["acme", "globex"]
        session.execute(scoped_update(ACME, Document).values(title="Ours"))
        assert sorted(row.title for row in session.scalars(select_everywhere(Document))) == ["Leave", "Ours"]


@pytest.mark.parametrize("statement", [select(Document.title), scoped(ACME, Document), select_everywhere(Document)])
def test_a_single_look_is_taken_only_by_what_is_made_for_one_tenant(database: Database, statement: Any) -> None:
    with pytest.raises(TenantFilterMissing):
        database.find(ACME, statement)


@pytest.mark.parametrize(
    "statement", [select(Document.title), scoped(ACME, Document), prepare(Document, Document.title)]
)
def test_a_single_look_at_all_tenants_is_said_to_be_one(database: Database, statement: Any) -> None:
    with pytest.raises(TenantFilterMissing):
        database.list_everywhere(statement)


def test_a_single_look_finds_what_is_committed_of_the_caller_alone(database: Database) -> None:
    statement = prepare(Document, Document.title).where(Document.version == bindparam("version"))
    with database.open_write_session() as session:
        replace_document(session, ACME, "a", content("said"))
        assert database.find(ACME, statement, version=1) is None
    for ctx, expected in ((ACME, ("Leave",)), (GLOBEX, None)):
        assert database.find(ctx, statement, version=1, tenant_id="acme") == expected
    with database.open_write_session() as session:  # nothing is left open that is in its way
        session.execute(scoped_update(ACME, Document).values(title="Ours"))
    assert database.find(ACME, statement, version=1) == ("Ours",)


def test_every_table_with_a_tenant_is_owned() -> None:
    owned = {mapper.class_.__tablename__ for mapper in Base.registry.mappers if issubclass(mapper.class_, TenantOwned)}
    tables: list[Table] = list(Base.metadata.tables.values())
    assert owned == {table.name for table in tables if "tenant_id" in table.columns} - {"tenants"}


def test_rows_that_were_found_are_changed_refreshed_and_removed_by_their_keys(database: Database) -> None:
    for ctx in (ACME, GLOBEX):
        with database.open_write_session() as session:
            replace_document(session, ctx, "a", content("said"))
    with database.open_write_session() as session:
        (ours,) = session.scalars(scoped(ACME, Document))
        ours.title = "Other"
        session.flush()
        assert ours.status is not None  # it is read only when it is asked for
        session.refresh(ours)
        assert ours.title == "Other"
        assert get_document(session, ACME, ours.document_id) is ours
        session.execute(scoped_delete(ACME, Chunk))
        session.delete(ours)
    with database.open_read_session() as session:
        assert [session.scalar(scoped_count(ctx, Document)) for ctx in (ACME, GLOBEX)] == [0, 1]


def test_a_row_is_not_fetched_by_its_key_alone(database: Database) -> None:
    with database.open_read_session() as session, pytest.raises(TenantFilterMissing, match="documents"):
        session.get(Document, "1")
