"""The tables of 1.0.0. Later versions alter them in migrations of their own; this one stays as it is."""

from functools import partial
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy import JSON, Boolean, Column, Date, Double, ForeignKey, Index, Integer, SmallInteger, String, Text
from sqlalchemy import UniqueConstraint as Unique

from domain.models import NAMES

revision = "0015"  # the last of the steps that led here, whose tables are the same
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
FIRST_CUT = "1/220/400/80/16"
METADATA = sa.MetaData(naming_convention=NAMES)
required = partial(Column, nullable=False)


def upgrade() -> None:
    METADATA.create_all(op.get_bind(), checkfirst=False)
    _create_triggers()


def downgrade() -> None:
    _drop_triggers()
    METADATA.drop_all(op.get_bind(), checkfirst=False)


def _tenant(**options: Any) -> "Column[str]":
    return required("tenant_id", String(63), ForeignKey("tenants.tenant_id"), **options)


def _partial(name: str, *columns: str, where: str, postgresql: str = "") -> Index:
    """An index of some rows. *postgresql*: the condition in its own words, where they differ from SQLite's."""
    return Index(name, *columns, sqlite_where=sa.text(where), postgresql_where=sa.text(postgresql or where))


sa.Table(
    "tenants",
    METADATA,
    required("tenant_id", String(63), primary_key=True),
    required("links_generation", Integer, server_default="0"),
    required("created_at", MOMENT),
)
sa.Table(
    "api_keys",
    METADATA,
    required("key_id", String(16), primary_key=True),
    _tenant(index=True),
    required("name", String(80)),
    required("prefix", String(24)),
    required("secret_hash", String(64)),
    Column("former_hash", String(64)),
    Column("former_until", MOMENT),
    required("scopes", JSON, server_default=sa.text("'[]'")),
    required("created_at", MOMENT),
    Column("expires_at", MOMENT),
    Column("last_used_at", MOMENT),
    Column("revoked_at", MOMENT),
)
sa.Table(
    "datasets",
    METADATA,
    required("dataset_id", String(36), primary_key=True),
    _tenant(),
    required("name", String(200)),
    Column("role", String(20)),
    Column("document_links", String(8)),
    required("links_generation", Integer, server_default="0"),
    required("description", Text),
    required("tags", JSON),
    required("metadata", JSON),
    required("created_at", MOMENT),
    required("updated_at", MOMENT),
    Unique("tenant_id", "name"),
    Index("ix_datasets_tenant_id_role", "tenant_id", "role", unique=True),
    Index("ix_datasets_listed", "tenant_id", "created_at", "dataset_id"),
)
_PRESENT = "state <> 'removed'"
sa.Table(
    "documents",
    METADATA,
    required("document_id", String(36), primary_key=True),
    _tenant(),
    required("origin", String(4096)),
    Column("external_id", String(200)),
    required("source", String(4096)),
    required("title", String(500)),
    Column("url", String(2000)),
    required("language", String(8)),
    required("media_type", String(120)),
    required("size_bytes", Integer),
    required("content_hash", String(64)),
    required("recipe", String(40)),
    required("version", Integer),
    required("state", String(16)),
    Column("job_status", String(16)),
    Column("status", String(16)),
    Column("error", Text),
    required("chunk_count", Integer),
    required("words_in", SmallInteger, server_default="0"),
    required("details", JSON),
    Column("dataset_id", String(36)),
    Column("given_title", String(500)),
    required("links_generation", Integer, server_default="0"),
    required("tags", JSON, server_default=sa.text("'[]'")),
    required("metadata", JSON, server_default=sa.text("'{}'")),
    required("created_at", MOMENT),
    required("updated_at", MOMENT),
    Unique("tenant_id", "origin"),
    Index("ix_documents_dataset_id_external_id", "dataset_id", "external_id", unique=True),
    _partial("ix_documents_listed", "tenant_id", "created_at", "document_id", "state", where=_PRESENT),
    _partial(
        "ix_documents_listed_in_dataset",
        *("tenant_id", "dataset_id", "created_at", "document_id", "state"),
        where=_PRESENT,
    ),
    Index("ix_documents_tenant_id_document_id", "tenant_id", "document_id"),
    Index("ix_documents_by_status", "tenant_id", "status", "created_at", "document_id"),
    Index("ix_documents_by_status_in_dataset", "tenant_id", "dataset_id", "status", "created_at", "document_id"),
    _partial(
        "ix_documents_unindexed",
        *("tenant_id", "created_at"),
        where="words_in <> 15 AND state <> 'failed' AND state <> 'stored'",
    ),
)
sa.Table(
    "document_versions",
    METADATA,
    required("document_id", String(36), primary_key=True),
    required("version", Integer, primary_key=True),
    _tenant(),
    required("content_hash", String(64)),
    required("text_hash", String(64)),
    required("file_name", String(255)),
    required("title", String(500)),
    required("language", String(8)),
    required("media_type", String(120)),
    required("size_bytes", Integer),
    Column("pages", Integer),
    required("created_at", MOMENT),
    Column("replaced_at", MOMENT),
    Column("deleted_at", MOMENT),
    Index("ix_document_versions_tenant_id_content_hash", "tenant_id", "content_hash"),
    Index("ix_document_versions_tenant_id_text_hash", "tenant_id", "text_hash"),
    _partial("ix_document_versions_kept", "tenant_id", "size_bytes", where="deleted_at IS NULL"),
    _partial("ix_document_versions_deleted", "tenant_id", where="deleted_at IS NOT NULL"),
)
sa.Table(
    "chunks",
    METADATA,
    required("chunk_id", String(36), primary_key=True),
    _tenant(),
    required("document_id", String(36), ForeignKey("documents.document_id", ondelete="CASCADE")),
    required("cut", String(40), server_default=FIRST_CUT),
    required("position", Integer),
    Column("page", Integer),
    required("heading", Text),
    required("start", Integer),
    required("end", Integer),
    required("language", String(8)),
    required("text", Text),
    required("words_in", SmallInteger, server_default="0"),
    required("vectors_in", SmallInteger, server_default="0"),
    Index("ix_chunks_document_id_cut_position", "document_id", "cut", "position", unique=True),
    _partial("ix_chunks_without_vector", "tenant_id", "document_id", "position", where="vectors_in <> 15"),
)
sa.Table(
    "web_sources",
    METADATA,
    required("web_source_id", String(36), primary_key=True),
    _tenant(index=True),
    required("url", String(2000)),
    required("kind", String(8)),
    required("max_depth", Integer),
    required("max_pages", Integer),
    Column("every_s", Integer),
    Column("next_at", MOMENT, index=True),
    required("state", String(16)),
    required("crawl", Integer),
    Column("holder", String(64)),
    Column("held_until", MOMENT),
    required("cancelled", Boolean, server_default=sa.false()),
    required("counts", JSON),
    required("problems", JSON),
    Column("error", Text),
    Column("started_at", MOMENT),
    Column("finished_at", MOMENT),
    required("created_at", MOMENT),
    Unique("tenant_id", "url"),
)
sa.Table(
    "web_pages",
    METADATA,
    required("web_source_id", ForeignKey("web_sources.web_source_id", ondelete="CASCADE"), primary_key=True),
    required("url", String(2000), primary_key=True),
    _tenant(),
    required("crawl", Integer),
    required("position", Integer),
    required("depth", Integer),
    required("hops", Integer),
    required("tries", Integer),
    required("waiting", Boolean),
    required("listed", Boolean),
    required("taken", Boolean),
    required("alias", Boolean),
    required("missed", Integer),
    Column("etag", String(200)),
    Column("last_modified", String(200)),
    required("text_hash", String(64)),
    Index("ix_web_pages_tenant_id_url", "tenant_id", "url"),
    _partial(
        "ix_web_pages_waiting", "tenant_id", "web_source_id", "waiting", where="waiting = 1", postgresql="waiting"
    ),
)
sa.Table(
    "jobs",
    METADATA,
    required("job_id", String(36), primary_key=True),
    _tenant(),
    required("document_id", String(36), ForeignKey("documents.document_id", ondelete="CASCADE")),
    required("kind", String(16)),
    required("content_hash", String(64)),
    required("file_name", String(255)),
    required("size_bytes", Integer),
    required("status", String(16)),
    required("stage", String(16)),
    required("share_done", Double),
    Column("recognised", Text),
    required("attempts", Integer),
    required("not_before", MOMENT),
    Column("worker", String(64)),
    Column("lease_until", MOMENT),
    required("cancel_requested", Boolean),
    Column("error", Text),
    Column("advice", Text),
    required("created_at", MOMENT),
    required("updated_at", MOMENT),
    Unique("document_id"),
    _partial("ix_jobs_open", "tenant_id", "not_before", where="status IN ('pending', 'processing')"),
    Index("ix_jobs_tenant_id_content_hash", "tenant_id", "content_hash"),
    Index("ix_jobs_tenant_id_document_id", "tenant_id", "document_id"),
)
sa.Table(
    "pages_read",
    METADATA,
    _tenant(primary_key=True),
    required("day", Date, primary_key=True),
    required("pages", Integer),
)
sa.Table(
    "answer_ratings",
    METADATA,
    _tenant(primary_key=True),
    required("run_id", String(128), primary_key=True),
    required("owner_id", String(80), server_default=""),
    required("conversation_id", String(128)),
    required("rating", String(8)),
    required("comment", Text),
    required("expected", Text),
    required("question", Text),
    required("stands_alone", Boolean),
    required("answer", Text),
    required("answered", Boolean),
    required("sources", JSON),
    required("rated_at", MOMENT),
    Index("ix_answer_ratings_tenant_id_conversation_id", "tenant_id", "conversation_id"),
    Index("ix_answer_ratings_listed", "tenant_id", "rated_at", "run_id"),
    Index("ix_answer_ratings_by_rating", "tenant_id", "rating", "rated_at", "run_id"),
    Index("ix_answer_ratings_of_owner", "tenant_id", "owner_id", "rated_at", "run_id"),
    Index("ix_answer_ratings_of_owner_by_rating", "tenant_id", "owner_id", "rating", "rated_at", "run_id"),
)
sa.Table(
    "indexes",
    METADATA,
    required("number", Integer, primary_key=True, autoincrement=False),
    required("slot", SmallInteger, unique=True),
    required("state", String(16)),
    required("model", String(200)),
    required("dimension", Integer),
    Column("base_url", String(2000)),
    required("recipe", String(40)),
    required("cut", String(40), server_default=FIRST_CUT),
    required("note", Text),
    required("made_at", MOMENT),
    Column("served_at", MOMENT),
    Column("left_at", MOMENT),
)
sa.Table(
    "calibrations",
    METADATA,
    _tenant(primary_key=True),
    required("index_number", ForeignKey("indexes.number", ondelete="CASCADE"), primary_key=True),
    required("model", String(200), primary_key=True),
    Column("calibration", JSON),
    required("passages", Integer),
    Column("estimated_at", MOMENT),
    Column("lease_until", MOMENT),
    Index("ix_calibrations_index_number_estimated_at", "index_number", "estimated_at"),
)
sa.Table(
    "index_orders",
    METADATA,
    required("order_id", String(36), primary_key=True),
    required("kind", String(16)),
    required("arguments", JSON),
    required("taken_up", Boolean),
    Column("outcome", JSON),
    required("made_at", MOMENT),
)

# How readers are told that a document is: as its job, or without a job as the index has it. Triggers write it, so that
# no writer of jobs or of documents can forget it.
_STATUS = (
    "CASE WHEN NEW.state = 'removed' THEN 'removed' WHEN NEW.job_status IS NOT NULL THEN NEW.job_status "
    "WHEN NEW.state = 'stored' THEN 'pending' WHEN NEW.state IN ('pending', 'searchable') THEN 'processing' "
    "WHEN NEW.state = 'ready' THEN 'completed' ELSE 'failed' END"
)
_NOTE_JOB = "UPDATE documents SET job_status = NEW.status WHERE document_id = NEW.document_id;"
_NOTE_STATE = f"UPDATE documents SET status = {_STATUS} WHERE document_id = NEW.document_id;"  # noqa: S608 - no input
_SQLITE_TRIGGERS = (
    ("jobs_note_status_added", "INSERT ON jobs", _NOTE_JOB),
    ("jobs_note_status", "UPDATE OF status ON jobs", _NOTE_JOB),
    ("documents_note_status_added", "INSERT ON documents", _NOTE_STATE),
    ("documents_note_status", "UPDATE OF state, job_status ON documents", _NOTE_STATE),
)
_POSTGRESQL_TRIGGERS = (
    ("jobs", "AFTER INSERT OR UPDATE OF status", "note_job_status", f"{_NOTE_JOB} RETURN NULL;"),
    (
        *("documents", "BEFORE INSERT OR UPDATE OF state, job_status", "note_status"),
        f"NEW.status := {_STATUS}; RETURN NEW;",
    ),
)


def _create_triggers() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for name, event, work in _SQLITE_TRIGGERS:
            op.execute(f"CREATE TRIGGER {name} AFTER {event} BEGIN {work} END")
        return
    for table, event, function, work in _POSTGRESQL_TRIGGERS:
        op.execute(f"CREATE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {work} END $$")
        op.execute(f"CREATE TRIGGER {table}_note_status {event} ON {table} FOR EACH ROW EXECUTE FUNCTION {function}()")


def _drop_triggers() -> None:
    if op.get_bind().dialect.name == "sqlite":
        return  # they go with their tables
    for table, _, function, _ in _POSTGRESQL_TRIGGERS:
        op.execute(f"DROP TRIGGER {table}_note_status ON {table}")
        op.execute(f"DROP FUNCTION {function}()")
