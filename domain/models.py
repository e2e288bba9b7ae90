"""The tables, typed; `domain/migrations` makes them, and a test holds the two together.

Some columns have the name of an earlier day (`cut`, `recipe`, `words_in`): under another one, instances of the version
before could not go on beside those that are being upgraded.
"""

import re
import uuid
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    SmallInteger,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# Without names a constraint made on SQLite could not be altered by the same migration on PostgreSQL.
NAMES = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
PRESENT = "state <> 'removed'"
NOT_DELETED = "deleted_at IS NULL"
ERASABLE = "deleted_at IS NOT NULL AND turn_count > 0"
UNCOMPARED = "state = 'ready' AND compared_version <> version"
FIRST_CHUNKING_VERSION = "1/220/400/80/16"  # of chunks that do not say how they were cut


def now() -> datetime:
    """The present moment, in UTC."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite drops the zone when it stores one; this puts it back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


class PlainString(TypeDecorator[str]):
    """A text as every database takes it: PostgreSQL refuses NUL, and none takes half a surrogate pair."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return value if value is None else UNSTORABLE.sub("\ufffd", value)


class PlainText(PlainString):
    """A text of any length, without what no database takes."""

    impl = Text
    cache_ok = True


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {datetime: UtcDateTime}  # noqa: RUF012 - SQLAlchemy reads it as a class attribute


def refer_within_tenant(
    table: str, column: str, parent: str, *, ondelete: str | None = None, deferrable: bool | None = None
) -> ForeignKeyConstraint:
    """A reference to a row of the same tenant: the database refuses one to another's.

    *deferrable*: it is looked at when the transaction ends.
    """
    return ForeignKeyConstraint(
        ["tenant_id", column],
        [f"{parent}.tenant_id", f"{parent}.{column}"],
        name=f"fk_{table}_tenant_id_{column}_{parent}",
        ondelete=ondelete,
        deferrable=deferrable,
        initially="DEFERRED" if deferrable else None,
    )


class IndexState(StrEnum):
    """What an index is for; exactly one serves."""

    SERVING = "serving"  # answers questions
    BUILDING = "building"  # is filled, to serve once it is whole and its check passes
    REFUSED = "refused"  # whole, but its check did not pass; an operator decides
    KEPT = "kept"  # served before; it is followed up, so that one can go back to it at once
    DROPPING = "dropping"  # to be removed


class DocumentState(StrEnum):
    """How far a document is on its way into the index that serves."""

    STORED = "stored"  # its file is kept and nothing was read from it yet; see `Job`
    PENDING = "pending"  # the index does not hold this version yet
    SEARCHABLE = "searchable"  # found by its words; vectors are to come
    READY = "ready"  # found by words and by meaning
    FAILED = "failed"  # could not be read and never was; `error` says why
    REMOVED = "removed"  # gone for readers; the row goes once the index holds nothing of it


class DatasetRole(StrEnum):
    """What the service itself uses a dataset for; a tenant has at most one of each."""

    DEFAULT = "default"  # documents of folders, web sources and imports
    LOADED = "loaded"  # documents of /api/load-document, which names no dataset


class CrawlState(StrEnum):
    """How a crawl is by the version before."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobKind(StrEnum):
    """What a job is about."""

    DOCUMENT = "document"  # its newest file is read
    CRAWL = "crawl"  # a web source is read


class JobStatus(StrEnum):
    """What became of a job so far."""

    PENDING = "pending"  # waits for a worker
    PROCESSING = "processing"  # a worker has it, or the index follows it
    COMPLETED = "completed"
    FAILED = "failed"  # `error` says why, `advice` what to do
    CANCELLED = "cancelled"


class JobStage(StrEnum):
    """How far a job has come; it is resumed at its stage. The first four are of documents, the others of crawls."""

    STORED = "stored"  # the file is kept
    READING = "reading"  # its text is taken out and cut
    RECOGNISING = "recognising"  # pages without text are read by OCR; the others can be found already
    INDEXING = "indexing"  # the passages are in SQL; the index follows
    QUEUED = "queued"  # nothing is done yet
    CRAWLING = "crawling"  # pages are fetched; whoever has it next goes on with those that are left


class ConflictStatus(StrEnum):
    """What has become of a conflict."""

    OPEN = "open"
    DISMISSED = "dismissed"  # by an administrator: it is none, or may stay
    GONE = "gone"  # a document has changed, was removed, or does not hold any more


class Tenant(Base):
    """One customer; everything else belongs to exactly one."""

    __tablename__ = "tenants"

    tenant_id: Mapped[str] = mapped_column(PlainString(63), primary_key=True)
    links_generation: Mapped[int] = mapped_column(default=0, server_default="0")  # see `document_links`
    # Days that conversations are kept in SQL; 0: not at all. None: as the setting says.
    transcript_retention_days: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class TenantOwned:
    """A table whose rows belong to a tenant each: sessions refuse statements that forget to name it.

    See `domain/tenant_filters.py`.
    """

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.tenant_id"))


class ApiKey(TenantOwned, Base):
    """A key of a tenant. The key itself is not kept, only its SHA-256.

    A rotated key has a former secret too, which is valid until `former_until`.
    """

    __tablename__ = "api_keys"

    key_id: Mapped[str] = mapped_column(PlainString(16), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.tenant_id"), index=True)
    name: Mapped[str] = mapped_column(PlainString(80))
    prefix: Mapped[str] = mapped_column(PlainString(24))  # what a list may show of it
    secret_hash: Mapped[str] = mapped_column(PlainString(64))
    former_hash: Mapped[str | None] = mapped_column(PlainString(64))
    former_until: Mapped[datetime | None]
    bot_id: Mapped[str | None] = mapped_column(PlainString(40))  # the one that it may talk to; None: any
    scopes: Mapped[list[str]] = mapped_column(JSON, default=list)  # or ["all"]: also those of versions to come
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]  # to about a minute
    revoked_at: Mapped[datetime | None]


class Bot(TenantOwned, Base):
    """A bot of a tenant, as it is now; how it answers is in its newest `BotVersion`."""

    __tablename__ = "bots"

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.tenant_id"), primary_key=True)
    bot_id: Mapped[str] = mapped_column(PlainString(40), primary_key=True)
    name: Mapped[str] = mapped_column(PlainString(200))
    is_enabled: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=0)  # goes on counting where one of a removed bot's id is made again
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
    removed_at: Mapped[datetime | None]


class BotVersion(TenantOwned, Base):
    """How a bot answers since one change of it; rows are not altered, so that a run goes on with its version."""

    __tablename__ = "bot_versions"
    __table_args__ = (ForeignKeyConstraint(["tenant_id", "bot_id"], ["bots.tenant_id", "bots.bot_id"]),)

    tenant_id: Mapped[str] = mapped_column(PlainString(63), primary_key=True)
    bot_id: Mapped[str] = mapped_column(PlainString(40), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    config: Mapped[dict[str, Any]] = mapped_column(JSON)  # what it says itself; the rest is as the settings say
    created_at: Mapped[datetime] = mapped_column(default=now)


class ChatModel(TenantOwned, Base):
    """A language model of a tenant, as it is now; how it is reached is in its newest `ChatModelVersion`."""

    __tablename__ = "chat_models"

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.tenant_id"), primary_key=True)
    model_id: Mapped[str] = mapped_column(PlainString(40), primary_key=True)
    version: Mapped[int] = mapped_column(default=0)  # goes on counting where one of a removed model's id is made again
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)
    removed_at: Mapped[datetime | None]


class ChatModelVersion(TenantOwned, Base):
    """How a model is reached since one change of it; rows are not altered, so that a run goes on with its version.

    Only the key is written anew where the key that it is encrypted under is: see `domain/model_keys.py`.
    """

    __tablename__ = "chat_model_versions"
    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "model_id"], ["chat_models.tenant_id", "chat_models.model_id"]),
    )

    tenant_id: Mapped[str] = mapped_column(PlainString(63), primary_key=True)
    model_id: Mapped[str] = mapped_column(PlainString(40), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    provider: Mapped[str] = mapped_column(PlainString(20))
    base_url: Mapped[str] = mapped_column(PlainString(500))
    model: Mapped[str] = mapped_column(PlainString(200))  # as its provider calls it
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON)  # what it says itself; the rest is left to the provider
    api_key: Mapped[bytes | None]  # encrypted
    api_key_end: Mapped[str] = mapped_column(PlainString(4))  # its last characters, for people to tell it by
    created_at: Mapped[datetime] = mapped_column(default=now)


class DataSourceRow(TenantOwned, Base):
    """A database of a tenant that questions are put to. What it is reached by, and what it holds, are encrypted."""

    __tablename__ = "data_sources"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        Index("ix_data_sources_listed", "tenant_id", "created_at", "source_id"),
    )

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.tenant_id"), primary_key=True)
    source_id: Mapped[str] = mapped_column(PlainString(36), primary_key=True)
    version: Mapped[int] = mapped_column(default=1)
    name: Mapped[str] = mapped_column(PlainString(200))
    type: Mapped[str] = mapped_column(PlainString(20))
    location: Mapped[str] = mapped_column(PlainString(500))  # of its address what people may see
    description: Mapped[str] = mapped_column(PlainText, default="")
    allowed_tables: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # those that may be read
    open_to_visitors: Mapped[bool] = mapped_column(default=False)  # also whoever may only chat is answered from it
    uri: Mapped[bytes]  # encrypted; of an SQLite file only where there are keys
    schema_read: Mapped[bytes | None]  # likewise: it has samples
    schema_read_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class Dataset(TenantOwned, Base):
    """A tenant's collection of documents."""

    __tablename__ = "datasets"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        Index("ix_datasets_tenant_id_role", "tenant_id", "role", unique=True),
        Index("ix_datasets_listed", "tenant_id", "created_at", "dataset_id"),
        Index("uq_datasets_tenant_id_dataset_id", "tenant_id", "dataset_id", unique=True),
    )

    dataset_id: Mapped[str] = mapped_column(PlainString(36), primary_key=True, default=lambda: str(uuid.uuid4()))
    name: Mapped[str] = mapped_column(PlainString(200))
    role: Mapped[str | None] = mapped_column(PlainString(20))  # a `DatasetRole`; None for those that people make
    document_links: Mapped[str | None] = mapped_column(PlainString(8))  # a `LinkMode`; None: as the setting says
    links_generation: Mapped[int] = mapped_column(default=0, server_default="0")
    description: Mapped[str] = mapped_column(PlainText, default="")
    tags: Mapped[list[str]] = mapped_column(JSON, default=list)
    labels: Mapped[dict[str, object]] = mapped_column("metadata", JSON, default=dict)  # `metadata` is SQLAlchemy's
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class Document(TenantOwned, Base):
    """A document as it was last read: where it came from and how far it is on its way into the index."""

    __tablename__ = "documents"
    __table_args__ = (
        UniqueConstraint("tenant_id", "origin"),
        Index("ix_documents_dataset_id_external_id", "dataset_id", "external_id", unique=True),
        # Lists, in their order, and what is counted for every file that is taken in; with the state, which SQLite looks
        # at once more: else it would read each row to count them.
        *(
            Index(name, *columns, sqlite_where=text(PRESENT), postgresql_where=text(PRESENT))
            for name, columns in {
                "ix_documents_listed": ("tenant_id", "created_at", "document_id", "state"),
                "ix_documents_listed_in_dataset": ("tenant_id", "dataset_id", "created_at", "document_id", "state"),
            }.items()
        ),
        # SQLite, which knows nothing of how many rows there are, would look for several ids among all of the tenant's.
        Index("uq_documents_tenant_id_document_id", "tenant_id", "document_id", unique=True),
        # At the end of a transaction: 1.0.0, which knows nothing of it, may write both in any order.
        refer_within_tenant("documents", "dataset_id", "datasets", deferrable=True),
        Index("ix_documents_by_status", "tenant_id", "status", "created_at", "document_id"),
        Index("ix_documents_by_status_in_dataset", "tenant_id", "dataset_id", "status", "created_at", "document_id"),
        Index(
            "ix_documents_uncompared",
            "tenant_id",
            "created_at",
            sqlite_where=text(UNCOMPARED),
            postgresql_where=text(UNCOMPARED),
        ),
        # What the indexer asks twice a second: only the few rows with work to do are in it.
        Index(
            "ix_documents_unindexed",
            "tenant_id",
            "created_at",
            sqlite_where=text("words_in <> 15 AND state <> 'failed' AND state <> 'stored'"),
            postgresql_where=text("words_in <> 15 AND state <> 'failed' AND state <> 'stored'"),
        ),
    )

    document_id: Mapped[str] = mapped_column(PlainString(36), primary_key=True, default=lambda: str(uuid.uuid4()))
    # What it is recognised by, never shown and never made of what a person typed: a path on the server, the address of
    # a web page, or its own id where it was uploaded.
    origin: Mapped[str] = mapped_column(PlainString(4096))
    external_id: Mapped[str | None] = mapped_column(
        PlainString(200)
    )  # its owner's name for it, by which it is replaced
    source: Mapped[str] = mapped_column(PlainString(4096))  # what a reader sees instead
    title: Mapped[str] = mapped_column(PlainString(500), default="")
    url: Mapped[str | None] = mapped_column(PlainString(2000))
    language: Mapped[str] = mapped_column(PlainString(8), default="")
    media_type: Mapped[str] = mapped_column(PlainString(120), default="")
    size_bytes: Mapped[int] = mapped_column(default=0)
    content_hash: Mapped[str] = mapped_column(PlainString(64), default="")  # SHA-256 of the file
    parser_version: Mapped[str] = mapped_column("recipe", PlainString(40), default="")  # another one reads it again
    version: Mapped[int] = mapped_column(default=1)
    state: Mapped[str] = mapped_column(PlainString(16), default=DocumentState.PENDING)
    # Both are written by triggers alone, see migration 0015: the status of its job, if any, and that for readers.
    job_status: Mapped[str | None] = mapped_column(PlainString(16), deferred=True)
    status: Mapped[str | None] = mapped_column(PlainString(16), deferred=True)
    error: Mapped[str | None] = mapped_column(PlainText)  # why the last attempt to read it failed
    chunk_count: Mapped[int] = mapped_column(default=0)  # in the index that serves, once it is cut for that
    # Slots of the indexes that hold the words of this version, or nothing of a removed one; bits as in `Chunk`.
    lexical_slots: Mapped[int] = mapped_column("words_in", SmallInteger, default=0, server_default="0")
    details: Mapped[dict[str, object]] = mapped_column(JSON, default=dict)  # pages, characters: for the reader's list
    dataset_id: Mapped[str | None] = mapped_column(PlainString(36))  # None once it is removed with its dataset
    given_title: Mapped[str | None] = mapped_column(PlainString(500))  # wins over what the file calls itself
    links_generation: Mapped[int] = mapped_column(default=0, server_default="0")
    tags: Mapped[list[str]] = mapped_column(JSON, default=list, server_default=text("'[]'"))
    labels: Mapped[dict[str, object]] = mapped_column("metadata", JSON, default=dict, server_default=text("'{}'"))
    compared_version: Mapped[int] = mapped_column(default=0, server_default="0")  # with other documents, for conflicts
    version_at: Mapped[datetime | None]  # when this version came in; None: before that was kept, or it is not read yet
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class DocumentVersion(TenantOwned, Base):
    """What a document was at one time, and the files that keep it: see `domain/document_files.py`.

    Without a reference to its document, whose row may go first: this one goes with its files.
    """

    __tablename__ = "document_versions"
    __table_args__ = (
        Index("ix_document_versions_tenant_id_content_hash", "tenant_id", "content_hash"),
        Index("ix_document_versions_tenant_id_text_hash", "tenant_id", "text_hash"),
        Index(
            "ix_document_versions_kept",
            "tenant_id",
            "size_bytes",
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "ix_document_versions_deleted",
            "tenant_id",
            sqlite_where=text("deleted_at IS NOT NULL"),
            postgresql_where=text("deleted_at IS NOT NULL"),
        ),
    )

    document_id: Mapped[str] = mapped_column(PlainString(36), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    content_hash: Mapped[str] = mapped_column(PlainString(64))  # the file as it came
    text_hash: Mapped[str] = mapped_column(PlainString(64))  # what was read from it, an `Extracted`
    file_name: Mapped[str] = mapped_column(PlainString(255))
    title: Mapped[str] = mapped_column(PlainString(500))
    language: Mapped[str] = mapped_column(PlainString(8))
    media_type: Mapped[str] = mapped_column(PlainString(120))
    size_bytes: Mapped[int]
    pages: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(default=now)
    replaced_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]  # nobody may open it any more; its files are to go


class Chunk(TenantOwned, Base):
    """A piece of a document, and which indexes have its words and its vector; its id is the passage's.

    A document is cut once for each chunking version of an index, and once for that it was loaded for.

    Each index has a slot, one of the four lowest bits. A bit is set when the index of that slot has it. With it the
    bits of slots that no index uses are set, so that 15 means that nothing is left to do.
    """

    __tablename__ = "chunks"
    __table_args__ = (
        refer_within_tenant("chunks", "document_id", "documents", ondelete="CASCADE"),
        Index("ix_chunks_document_id_cut_position", "document_id", "cut", "position", unique=True),
        Index(
            "ix_chunks_without_vector",
            "tenant_id",
            "document_id",
            "position",
            sqlite_where=text("vectors_in <> 15"),
            postgresql_where=text("vectors_in <> 15"),
        ),
    )

    chunk_id: Mapped[str] = mapped_column(PlainString(36), primary_key=True)
    document_id: Mapped[str] = mapped_column(PlainString(36))
    chunking_version: Mapped[str] = mapped_column("cut", PlainString(40), server_default=FIRST_CHUNKING_VERSION)
    position: Mapped[int]  # from 0, in reading order of its chunking version
    page: Mapped[int | None]
    heading: Mapped[str] = mapped_column(PlainText, default="")
    start: Mapped[int]
    end: Mapped[int]
    language: Mapped[str] = mapped_column(PlainString(8))
    text: Mapped[str] = mapped_column(PlainText)
    lexical_slots: Mapped[int] = mapped_column(
        "words_in", SmallInteger, default=0, server_default="0"
    )  # slots of indexes
    dense_slots: Mapped[int] = mapped_column(
        "vectors_in", SmallInteger, default=0, server_default="0"
    )  # slots of indexes


class WebSource(TenantOwned, Base):
    """A page or a site that is read from the web, once or again and again. Each crawl is a `Job`."""

    __tablename__ = "web_sources"
    __table_args__ = (
        UniqueConstraint("tenant_id", "url"),
        Index("uq_web_sources_tenant_id_web_source_id", "tenant_id", "web_source_id", unique=True),
    )

    web_source_id: Mapped[str] = mapped_column(PlainString(36), primary_key=True, default=lambda: str(uuid.uuid4()))
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.tenant_id"), index=True)
    url: Mapped[str] = mapped_column(PlainString(2000))
    kind: Mapped[str] = mapped_column(PlainString(8))  # page or site
    max_depth: Mapped[int]
    max_pages: Mapped[int]
    every_s: Mapped[int | None]  # seconds from the end of one crawl to the next
    next_at: Mapped[datetime | None] = mapped_column(index=True)  # when a job is made for the next crawl, if ever
    crawl: Mapped[int] = mapped_column(default=0)  # which one: they are counted from 1
    counts: Mapped[dict[str, int]] = mapped_column(JSON, default=dict)  # pages by what became of them
    problems: Mapped[list[dict[str, str]]] = mapped_column(JSON, default=list)  # some addresses, with reasons
    # Written by the version before, which has no jobs for crawls: read of sources without one, and left as they are.
    state: Mapped[str] = mapped_column(PlainString(16), default=CrawlState.WAITING)
    holder: Mapped[str | None] = mapped_column(PlainString(64))
    held_until: Mapped[datetime | None]
    cancelled: Mapped[bool] = mapped_column(default=False, server_default=false())
    error: Mapped[str | None] = mapped_column(PlainText)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=now)


class WebPage(TenantOwned, Base):
    """An address of a web source: one that is still to be fetched, or what was found there when it last was."""

    __tablename__ = "web_pages"
    __table_args__ = (
        refer_within_tenant("web_pages", "web_source_id", "web_sources", ondelete="CASCADE"),
        Index("ix_web_pages_tenant_id_url", "tenant_id", "url"),
        Index(
            "ix_web_pages_waiting",
            "tenant_id",
            "web_source_id",
            "waiting",
            sqlite_where=text("waiting = 1"),
            postgresql_where=text("waiting"),
        ),
    )

    web_source_id: Mapped[str] = mapped_column(PlainString(36), primary_key=True)
    url: Mapped[str] = mapped_column(PlainString(2000), primary_key=True)
    crawl: Mapped[int]  # the last one it was met in
    position: Mapped[int]  # in the order they were met
    depth: Mapped[int]  # links away from the first page
    hops: Mapped[int] = mapped_column(default=0)  # redirects before it
    tries: Mapped[int] = mapped_column(default=0)  # in this crawl
    waiting: Mapped[bool] = mapped_column(default=True)
    listed: Mapped[bool] = mapped_column(default=False)  # by a sitemap
    taken: Mapped[bool] = mapped_column(default=False)  # there is a document of it
    alias: Mapped[bool] = mapped_column(default=False)  # it named another address as its own
    missed: Mapped[int] = mapped_column(default=0)  # crawls one after the other that did not find it
    etag: Mapped[str | None] = mapped_column(PlainString(200))
    last_modified: Mapped[str | None] = mapped_column(PlainString(200))
    text_hash: Mapped[str] = mapped_column(PlainString(64), default="")


class Job(TenantOwned, Base):
    """A piece of work in the background: the truth about it, whoever does it.

    A worker holds it by a lease; whoever finds a lease that has run out gives the job to the next one. A document or a
    web source has one job, its newest: that takes the place of the row, and a worker that still has the former one can
    write nothing any more.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        refer_within_tenant("jobs", "document_id", "documents", ondelete="CASCADE"),
        refer_within_tenant("jobs", "web_source_id", "web_sources", ondelete="CASCADE"),
        UniqueConstraint("document_id"),
        Index(
            "ix_jobs_web_source",
            "tenant_id",
            "web_source_id",
            unique=True,
            sqlite_where=text("web_source_id IS NOT NULL"),
            postgresql_where=text("web_source_id IS NOT NULL"),
        ),
        # What workers ask every second: only jobs that are not over are in it.
        Index(
            "ix_jobs_open",
            "tenant_id",
            "not_before",
            sqlite_where=text("status IN ('pending', 'processing')"),
            postgresql_where=text("status IN ('pending', 'processing')"),
        ),
        Index("ix_jobs_tenant_id_content_hash", "tenant_id", "content_hash"),
        Index("ix_jobs_tenant_id_document_id", "tenant_id", "document_id"),  # as of documents
    )

    job_id: Mapped[str] = mapped_column(PlainString(36), primary_key=True, default=lambda: str(uuid.uuid4()))
    kind: Mapped[str] = mapped_column(PlainString(16), default=JobKind.DOCUMENT)
    # What it is about, by its kind: the document and the file to read in the store of files, or the web source.
    document_id: Mapped[str | None] = mapped_column(PlainString(36))
    content_hash: Mapped[str] = mapped_column(PlainString(64), default="")
    file_name: Mapped[str] = mapped_column(PlainString(255), default="")
    size_bytes: Mapped[int] = mapped_column(default=0)
    web_source_id: Mapped[str | None] = mapped_column(PlainString(36))
    payload: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # of kinds that need more than that
    status: Mapped[str] = mapped_column(PlainString(16), default=JobStatus.PENDING)
    stage: Mapped[str] = mapped_column(PlainString(16), default=JobStage.STORED)
    progress: Mapped[float] = mapped_column("share_done", default=0.0)  # of its stage, 0 to 1
    # The pages recognised so far, as whoever recognises them writes them: megabytes, so that no list reads them.
    recognised: Mapped[str | None] = mapped_column(PlainText, deferred=True)
    attempts: Mapped[int] = mapped_column(default=0)  # at its stage
    not_before: Mapped[datetime] = mapped_column(default=now)
    worker: Mapped[str | None] = mapped_column(PlainString(64))
    lease_until: Mapped[datetime | None]  # None while nobody has to say that it lives
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    # Who asked for it, see `auth/background.py`; None in rows of 1.0.0, whose work is the service's own.
    subject_id: Mapped[str | None] = mapped_column(PlainString(80))
    subject_kind: Mapped[str | None] = mapped_column(PlainString(16))
    error: Mapped[str | None] = mapped_column(PlainText)
    advice: Mapped[str | None] = mapped_column(PlainText)
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class PagesRead(TenantOwned, Base):
    """How many pages of a tenant's documents were read on a day, in UTC: for its quota."""

    __tablename__ = "pages_read"

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.tenant_id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    pages: Mapped[int]


class AnswerRating(TenantOwned, Base):
    """What somebody thought of an answer, with what makes a question of a set out of it: conversations expire.

    Its words may be encrypted: rating_texts.py reads and writes them.
    """

    __tablename__ = "answer_ratings"
    __table_args__ = (
        Index("ix_answer_ratings_tenant_id_conversation_id", "tenant_id", "conversation_id"),
        Index("ix_answer_ratings_listed", "tenant_id", "rated_at", "run_id"),
        Index("ix_answer_ratings_by_rating", "tenant_id", "rating", "rated_at", "run_id"),
        Index("ix_answer_ratings_of_owner", "tenant_id", "owner_id", "rated_at", "run_id"),
        Index("ix_answer_ratings_of_owner_by_rating", "tenant_id", "owner_id", "rating", "rated_at", "run_id"),
    )

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.tenant_id"), primary_key=True)
    run_id: Mapped[str] = mapped_column(PlainString(128), primary_key=True)
    owner_id: Mapped[str] = mapped_column(PlainString(128), default="")  # as the conversation's
    conversation_id: Mapped[str] = mapped_column(PlainString(128))
    rating: Mapped[str] = mapped_column(PlainString(8))  # up or down
    comment: Mapped[str] = mapped_column(PlainText, default="")
    expected: Mapped[str] = mapped_column(PlainText, default="")  # what would have been right
    question: Mapped[str] = mapped_column(PlainText)
    stands_alone: Mapped[bool]  # the question was the first of its conversation
    answer: Mapped[str] = mapped_column(PlainText)
    answered: Mapped[bool]  # from the documents; else it was a refusal
    sources: Mapped[list[str] | str] = mapped_column(JSON, default=list)  # that it cites, in order; or all words
    rated_at: Mapped[datetime] = mapped_column(default=now)


class Conversation(TenantOwned, Base):
    """A conversation in the transcript, which outlives its state in Redis; its turns are in `Turn`.

    Its title may be encrypted: transcript_texts.py reads and writes it. A deleted one stays without texts for as long
    as a turn of it could still come in: what ended at `erased_through` or before is not taken.
    """

    __tablename__ = "conversations"
    __table_args__ = (
        Index(
            "ix_conversations_listed",
            "tenant_id",
            "owner_id",
            "updated_at",
            "conversation_id",
            sqlite_where=text(NOT_DELETED),
            postgresql_where=text(NOT_DELETED),
        ),
        Index("ix_conversations_used", "tenant_id", "used_at"),
        Index(
            "ix_conversations_erasable",
            "tenant_id",
            "deleted_at",
            sqlite_where=text(ERASABLE),
            postgresql_where=text(ERASABLE),
        ),
    )

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.tenant_id"), primary_key=True)
    owner_id: Mapped[str] = mapped_column(PlainString(128), primary_key=True)  # with the bot; empty: it is shared
    conversation_id: Mapped[str] = mapped_column(PlainString(128), primary_key=True)
    subject_id: Mapped[str] = mapped_column(PlainString(80))  # who began it
    bot_id: Mapped[str] = mapped_column(PlainString(40))
    channel: Mapped[str] = mapped_column(PlainString(16))
    language: Mapped[str] = mapped_column(PlainString(8))  # of its first question
    title: Mapped[str] = mapped_column(PlainText)
    sealed_title: Mapped[str | None] = mapped_column(Text)  # in place of `title`, where texts are encrypted
    is_title_given: Mapped[bool] = mapped_column(default=False)  # by a person
    turn_count: Mapped[int] = mapped_column(default=0)
    message_count: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]  # when its first question was asked
    updated_at: Mapped[datetime]  # when its last turn ended
    used_at: Mapped[datetime]  # when it was last asked in or read, about
    deleted_at: Mapped[datetime | None]
    erased_through: Mapped[int] = mapped_column(BigInteger, default=0)  # as `Turn.sequence`


class Turn(TenantOwned, Base):
    """A question and what became of it. Its texts may be encrypted: transcript_texts.py reads and writes them."""

    __tablename__ = "messages"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "owner_id", "conversation_id"],
            ["conversations.tenant_id", "conversations.owner_id", "conversations.conversation_id"],
            name="fk_messages_conversation",
            ondelete="CASCADE",
        ),
        Index("ix_messages_in_order", "tenant_id", "owner_id", "conversation_id", "sequence", "run_id"),
    )

    tenant_id: Mapped[str] = mapped_column(PlainString(63), primary_key=True)
    run_id: Mapped[str] = mapped_column(PlainString(128), primary_key=True)
    owner_id: Mapped[str] = mapped_column(PlainString(128))
    conversation_id: Mapped[str] = mapped_column(PlainString(128))
    # Beside `run_id`: an `Idempotency-Key` that has expired may be used again, and names the run.
    asked_at: Mapped[datetime] = mapped_column(primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)  # orders the turns of a conversation: its end in µs since 1970
    # The run of the turn that it follows, or "start"; None: of the one before it in order, as of all of 1.0.0.
    parent_run_id: Mapped[str | None] = mapped_column(PlainString(160))
    status: Mapped[str] = mapped_column(PlainString(16))  # of its run: completed, failed or cancelled
    bot_version: Mapped[int]
    language: Mapped[str] = mapped_column(PlainString(8))  # of the question
    question: Mapped[str] = mapped_column(PlainText)
    answer: Mapped[str | None] = mapped_column(PlainText)  # None where there is none
    citations: Mapped[list[dict[str, Any]]] = mapped_column(JSON)  # with document, version and place
    support: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    details: Mapped[dict[str, Any]] = mapped_column(JSON)  # what else the answer has
    tool_calls: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    sealed: Mapped[str | None] = mapped_column(Text)  # in place of the six, where texts are encrypted
    is_refusal: Mapped[bool]  # the documents do not hold the answer
    model: Mapped[str] = mapped_column(PlainString(200))
    tokens: Mapped[int | None]  # input and output together
    cost: Mapped[float | None]  # None where it is not known
    ended_at: Mapped[datetime]


class ConversationShare(TenantOwned, Base):
    """A link that shows a conversation, up to the turn of the sharing, to whoever has it, until it ends.

    Of the token in it the SHA-256 alone is kept. The texts stay where they are, and go with the conversation.
    """

    __tablename__ = "conversation_shares"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "owner_id", "conversation_id"],
            ["conversations.tenant_id", "conversations.owner_id", "conversations.conversation_id"],
            name="fk_conversation_shares_conversation",
            ondelete="CASCADE",
        ),
        UniqueConstraint("token_hash", name="uq_conversation_shares_token_hash"),
        Index("ix_conversation_shares_listed", "tenant_id", "owner_id", "conversation_id", "created_at", "share_id"),
    )

    tenant_id: Mapped[str] = mapped_column(PlainString(63), primary_key=True)
    share_id: Mapped[str] = mapped_column(String(36), primary_key=True, default=lambda: str(uuid.uuid4()))
    owner_id: Mapped[str] = mapped_column(PlainString(128))
    conversation_id: Mapped[str] = mapped_column(PlainString(128))
    token_hash: Mapped[str] = mapped_column(String(64))
    through_sequence: Mapped[int] = mapped_column(BigInteger)  # the `Turn.sequence` of the last turn that it shows
    run_id: Mapped[str | None] = mapped_column(PlainString(128))  # of that turn; None of links of 1.0.0
    created_at: Mapped[datetime] = mapped_column(default=now)
    expires_at: Mapped[datetime]


class Webhook(TenantOwned, Base):
    """An address of a tenant that is told of events. Its secret is encrypted: webhooks.py reads and writes it."""

    __tablename__ = "webhooks"
    __table_args__ = (Index("ix_webhooks_listed", "tenant_id", "created_at", "webhook_id"),)

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.tenant_id"), primary_key=True)
    webhook_id: Mapped[str] = mapped_column(PlainString(36), primary_key=True)
    url: Mapped[str] = mapped_column(PlainString(500))
    events: Mapped[list[str]] = mapped_column(JSON)
    secret: Mapped[bytes]
    delivered_at: Mapped[datetime | None]  # when it last took an event
    failure: Mapped[str | None] = mapped_column(PlainString(300))  # why it did not since then
    created_at: Mapped[datetime] = mapped_column(default=now)


class WebhookDelivery(TenantOwned, Base):
    """An event that a webhook has to be told of; it goes once that has taken it, or has been tried often enough.

    It names what it is about alone: texts are read when it is sent, so that what was deleted meanwhile is told to
    nobody.
    """

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        refer_within_tenant("webhook_deliveries", "webhook_id", "webhooks", ondelete="CASCADE"),
        Index("ix_webhook_deliveries_due", "tenant_id", "webhook_id", "not_before"),
    )

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.tenant_id"), primary_key=True)
    delivery_id: Mapped[str] = mapped_column(PlainString(40), primary_key=True)
    webhook_id: Mapped[str] = mapped_column(PlainString(36))
    event: Mapped[str] = mapped_column(PlainString(32))
    subject: Mapped[dict[str, Any]] = mapped_column(JSON)  # the ids of what it is about
    attempts: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[datetime] = mapped_column(default=now)  # while it is being sent, when that is given up
    created_at: Mapped[datetime] = mapped_column(default=now)


class Conflict(TenantOwned, Base):
    """Two sentences of different documents that say different things of the same; `one_id` is the lesser id.

    Without references to the documents, whose rows may go first.
    """

    __tablename__ = "conflicts"
    __table_args__ = (
        Index("ix_conflicts_listed", "tenant_id", "status", "found_at", "conflict_id"),
        Index("ix_conflicts_one", "tenant_id", "one_id"),
        Index("ix_conflicts_other", "tenant_id", "other_id"),
    )

    conflict_id: Mapped[str] = mapped_column(PlainString(36), primary_key=True)  # made of what it is about
    one_id: Mapped[str] = mapped_column(PlainString(36))
    one_version: Mapped[int]
    one_title: Mapped[str] = mapped_column(PlainString(500))
    one_sentence: Mapped[str] = mapped_column(PlainText)
    other_id: Mapped[str] = mapped_column(PlainString(36))
    other_version: Mapped[int]
    other_title: Mapped[str] = mapped_column(PlainString(500))
    other_sentence: Mapped[str] = mapped_column(PlainText)
    kind: Mapped[str] = mapped_column(PlainString(40))  # of the value they differ in, such as "clock"
    status: Mapped[str] = mapped_column(PlainString(16))
    found_at: Mapped[datetime] = mapped_column(default=now)
    dismissed_at: Mapped[datetime | None]  # stays while it is gone, in case it comes back
    gone_at: Mapped[datetime | None]


class IndexRow(Base):
    """An index of all documents, made with one embedding model, one lexical version and one chunking version.

    Several stand side by side.
    """

    __tablename__ = "indexes"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    slot: Mapped[int] = mapped_column(SmallInteger, unique=True)  # its bit in `lexical_slots` and `dense_slots`
    state: Mapped[str] = mapped_column(PlainString(16))
    model: Mapped[str] = mapped_column(PlainString(200))
    dimension: Mapped[int]
    base_url: Mapped[str | None] = mapped_column(PlainString(2000))  # None for the model that comes with the service
    lexical_version: Mapped[str] = mapped_column("recipe", PlainString(40))  # of the rules by which words are told
    chunking_version: Mapped[str] = mapped_column("cut", PlainString(40), server_default=FIRST_CHUNKING_VERSION)
    note: Mapped[str] = mapped_column(PlainText, default="")  # what its check found
    made_at: Mapped[datetime] = mapped_column(default=now)
    served_at: Mapped[datetime | None]  # since when it serves, or last began to
    left_at: Mapped[datetime | None]  # when it last ceased to


class CalibrationRow(TenantOwned, Base):
    """What tells that something is not in a tenant's documents, by one index: see `retrieval/calibration.py`.

    The row is there as soon as a process is to estimate it, and goes with the index.
    """

    __tablename__ = "calibrations"
    __table_args__ = (Index("ix_calibrations_index_number_estimated_at", "index_number", "estimated_at"),)

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.tenant_id"), primary_key=True)
    index_number: Mapped[int] = mapped_column(ForeignKey("indexes.number", ondelete="CASCADE"), primary_key=True)
    # The index has but one, and its number may be given to another index while a process still estimates for this one.
    model: Mapped[str] = mapped_column(PlainString(200), primary_key=True)
    calibration: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # None: too few documents
    passages: Mapped[int] = mapped_column(default=0)  # that had vectors then
    estimated_at: Mapped[datetime | None]  # None before the first time
    lease_until: Mapped[datetime | None]  # until then the process that took it is the one to estimate


class IndexOrder(Base):
    """A request of an operator to the process that has the indexes open, and its outcome."""

    __tablename__ = "index_orders"

    order_id: Mapped[str] = mapped_column(PlainString(36), primary_key=True, default=lambda: str(uuid.uuid4()))
    kind: Mapped[str] = mapped_column(PlainString(16))
    arguments: Mapped[dict[str, object]] = mapped_column(JSON, default=dict)
    taken_up: Mapped[bool] = mapped_column(default=False)
    outcome: Mapped[dict[str, object] | None] = mapped_column(JSON(none_as_null=True))  # None while it is to be done
    made_at: Mapped[datetime] = mapped_column(default=now)
