"""The database itself refuses a row of one tenant that refers to what is another's."""

from typing import Any

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from domain.db import Database
from domain.models import AnswerRating, Base, Chunk, Dataset, Document, Job, TenantOwned, WebPage, WebSource
from tests.domain.records import ACME, GLOBEX

# By child and column: what else it needs, and the parent.
REFERENCES: list[tuple[type[Base], str, dict[str, Any], str]] = [
    (Document, "dataset_id", {"origin": "o", "source": "s"}, "datasets"),
    (
        Chunk,
        "document_id",
        {"chunk_id": "c", "position": 0, "start": 0, "end": 1, "language": "", "text": "t"},
        "documents",
    ),
    (Job, "document_id", {}, "documents"),
    (Job, "web_source_id", {"kind": "crawl"}, "web_sources"),
    (WebPage, "web_source_id", {"url": "u", "crawl": 1, "position": 0, "depth": 0}, "web_sources"),
]


@pytest.fixture
def parents(database: Database) -> dict[str, str]:
    """The ids of a dataset, a document and a web source of globex, by table."""
    with database.open_write_session() as session:
        dataset, document = Dataset(tenant_id=GLOBEX.tenant_id, name="d"), Document(origin="parent", source="s")
        document.tenant_id = GLOBEX.tenant_id
        source = WebSource(tenant_id=GLOBEX.tenant_id, url="u", kind="page", max_depth=1, max_pages=1)
        session.add_all([dataset, document, source])
        session.flush()
        return {
            "datasets": dataset.dataset_id,
            "documents": document.document_id,
            "web_sources": source.web_source_id,
        }


@pytest.mark.parametrize(("child", "column", "more", "parent"), REFERENCES, ids=lambda value: str(value)[:24])
def test_a_row_that_refers_to_what_is_another_tenants_is_refused(
    database: Database, parents: dict[str, str], child: type[Base], column: str, more: dict[str, Any], parent: str
) -> None:
    row = {**more, column: parents[parent]}
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"), database.open_write_session() as session:
        session.add(child(tenant_id=ACME.tenant_id, **row))
    with database.open_write_session() as session:
        session.add(child(tenant_id=GLOBEX.tenant_id, **row))


def test_every_reference_between_rows_of_tenants_names_the_tenant(database: Database) -> None:
    """Of tables to come, too."""
    owned = {mapper.class_.__tablename__ for mapper in Base.registry.mappers if issubclass(mapper.class_, TenantOwned)}
    found = inspect(database.engine)
    references = [(table, key) for table in owned for key in found.get_foreign_keys(table)]
    between = [(table, key) for table, key in references if key["referred_table"] in owned]
    assert len(between) >= len(REFERENCES)
    for table, key in between:
        assert ("tenant_id", "tenant_id") in zip(key["constrained_columns"], key["referred_columns"], strict=True), (
            table
        )


def test_a_rating_is_kept_whoever_owns_its_conversation(database: Database) -> None:
    owner = "s" * 80 + "@" + "b" * 40  # the longest subject, and the longest id of a bot
    said = {"run_id": "r", "conversation_id": "c", "rating": "up", "question": "q", "answer": "a"}
    with database.open_write_session() as session:
        for tenant in (ACME, GLOBEX):
            row = AnswerRating(tenant_id=tenant.tenant_id, owner_id=owner, stands_alone=True, answered=True, **said)
            session.add(row)
    with database.open_read_session() as session:
        kept = session.execute(text("SELECT tenant_id, owner_id FROM answer_ratings ORDER BY tenant_id")).all()
    assert [tuple(row) for row in kept] == [(tenant.tenant_id, owner) for tenant in (ACME, GLOBEX)]
