"""Rows that a former version left are what the present one expects of them, and can be gone back to."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import MetaData, insert, select, text

from domain.db import Database, open_database
from domain.models import FIRST_CUT

MIGRATIONS = Path(__file__).parents[2] / "domain" / "migrations"
NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def empty(database_uri: str) -> Iterator[Database]:
    database = open_database(database_uri)
    yield database
    database.close()


def test_documents_from_before_cuts_were_noted_are_of_the_first_one(empty: Database) -> None:
    to(empty, "0006")
    rows = {"acme": "3/220/400/80/16", "globex": "2/220/400/80/16"}
    add(empty, "indexes", number=1, slot=1, state="serving", model="m", dimension=8, recipe="1", note="", made_at=NOW)
    for tenant, recipe in rows.items():
        add_document(empty, tenant, recipe)
    empty.migrate()
    assert column(empty, "chunks", "cut") == dict.fromkeys(rows, FIRST_CUT)
    assert column(empty, "documents", "recipe") == {"acme": "3", "globex": "2"}
    to(empty, "0006", back=True)
    assert column(empty, "documents", "recipe") == rows
    assert column(empty, "chunks", "text") == {"acme": "Of acme.", "globex": "Of globex."}


def test_going_back_leaves_each_document_one_cut_and_the_index_that_serves(empty: Database) -> None:
    to(empty, "0007")
    made = {"model": "m", "dimension": 8, "recipe": "1", "note": "", "made_at": NOW}
    add(empty, "indexes", number=1, slot=1, state="kept", cut=FIRST_CUT, **made)
    add(empty, "indexes", number=2, slot=2, state="serving", cut="1/60/90/21/4", **made)
    for tenant in ("acme", "globex"):
        add_document(empty, tenant, "3", cut=FIRST_CUT)
    add_chunk(empty, "acme", "smaller", cut="1/60/90/21/4", text="Small acme.")
    to(empty, "0006", back=True)
    # Globex's document was not cut for it yet.
    assert column(empty, "chunks", "text") == {"acme": "Small acme.", "globex": "Of globex."}
    assert column(empty, "documents", "recipe") == {"acme": "", "globex": "3/220/400/80/16"}
    assert column(empty, "documents", "words_in") == {"acme": 13, "globex": 13}


def test_going_back_forgets_calibrations_and_nothing_else(empty: Database) -> None:
    empty.migrate()
    made = {"model": "m", "dimension": 8, "recipe": "1", "note": "", "made_at": NOW}
    add(empty, "indexes", number=1, slot=1, state="serving", **made)
    for tenant in ("acme", "globex"):
        add_document(empty, tenant, "3")
        add(empty, "calibrations", tenant_id=tenant, index_number=1, model="m", passages=24, estimated_at=NOW)
    to(empty, "0007", back=True)
    assert column(empty, "chunks", "text") == {"acme": "Of acme.", "globex": "Of globex."}
    empty.migrate()
    assert column(empty, "calibrations", "passages") == {}
    assert column(empty, "chunks", "text") == {"acme": "Of acme.", "globex": "Of globex."}


def test_keys_from_before_scopes_may_do_everything_and_limited_ones_nothing_after_going_back(empty: Database) -> None:
    to(empty, "0008")
    former = {"acme": "aaaaaaaa", "globex": "gggggggg"}
    for tenant, key_id in former.items():
        add(empty, "tenants", tenant_id=tenant, created_at=NOW)
        add_key(empty, tenant, key_id)
    empty.migrate()
    assert column(empty, "api_keys", "scopes", key="key_id") == {key_id: ["all"] for key_id in former.values()}
    add_key(empty, "acme", "limited1", scopes=["search"])
    add_key(empty, "acme", "expires1", scopes=["all"], expires_at=NOW)
    to(empty, "0008", back=True)
    revoked = column(empty, "api_keys", "revoked_at", key="key_id")
    assert {key_id for key_id, moment in revoked.items() if moment} == {"limited1", "expires1"}


def test_ratings_from_before_owners_are_of_shared_conversations(empty: Database) -> None:
    to(empty, "0012")
    rating = {"conversation_id": "c", "stands_alone": True, "answered": True, "rated_at": NOW, "rating": "up"}
    rating |= dict.fromkeys(("comment", "expected", "question", "answer"), "Said.")
    for tenant in ("acme", "globex"):
        add(empty, "tenants", tenant_id=tenant, created_at=NOW)
        add(empty, "answer_ratings", tenant_id=tenant, run_id=f"of-{tenant}", sources=["a.md"], **rating)
    to(empty, "0013")
    assert column(empty, "answer_ratings", "owner_id") == {"acme": "", "globex": ""}
    for run_id, sources in (("plain", ["a.md"]), ("encrypted", "c2VjcmV0")):
        add(empty, "answer_ratings", tenant_id="acme", run_id=run_id, owner_id="k1", sources=sources, **rating)
    to(empty, "0012", back=True)
    assert column(empty, "answer_ratings", "comment", key="run_id").keys() == {"of-acme", "of-globex", "plain"}


def add_key(database: Database, tenant: str, key_id: str, **values: object) -> None:
    given = {"name": "n", "prefix": f"ak_live_{key_id}", "secret_hash": "h", "created_at": NOW, **values}
    add(database, "api_keys", key_id=key_id, tenant_id=tenant, **given)


def to(database: Database, revision: str, *, back: bool = False) -> None:
    """Bring the tables to *revision*."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        (command.downgrade if back else command.upgrade)(config, revision)
        connection.commit()


def add(database: Database, table: str, **values: object) -> None:
    with database.engine.begin() as connection:
        tables = MetaData()
        tables.reflect(connection)
        connection.execute(insert(tables.tables[table]).values(values))


def add_document(database: Database, tenant: str, recipe: str, **of_chunk: object) -> None:
    """A document of one chunk, and its tenant."""
    texts = dict.fromkeys(("source", "title", "language", "media_type", "content_hash"), "")
    numbers = dict.fromkeys(("size_bytes", "version", "chunk_count"), 1)
    when = {"created_at": NOW, "updated_at": NOW}
    add(database, "tenants", tenant_id=tenant, created_at=NOW)
    own = {"document_id": tenant, "tenant_id": tenant, "origin": "/a", "recipe": recipe, "state": "ready"}
    add(database, "documents", **own, **texts, **numbers, **when, details={})
    add_chunk(database, tenant, "whole", text=f"Of {tenant}.", **of_chunk)


def add_chunk(database: Database, tenant: str, name: str, **values: object) -> None:
    place = {"position": 0, "start": 0, "end": 1, "heading": "", "language": "en"}
    own = {"chunk_id": f"{tenant}-{name}", "document_id": tenant, "tenant_id": tenant}
    add(database, "chunks", **own, **place, **values)


def column(database: Database, table: str, name: str, *, key: str = "tenant_id") -> dict[str, object]:
    """By *key*, of which a table has a row each."""
    with database.engine.connect() as connection:
        tables = MetaData()
        tables.reflect(connection)
        rows = connection.execute(select(tables.tables[table].c[key], tables.tables[table].c[name])).all()
    found = {of: value for of, value in rows}
    assert len(found) == len(rows)
    return found


def test_uploaded_documents_get_their_file_names_as_external_ids_and_loaded_ones_a_dataset(empty: Database) -> None:
    to(empty, "0009")
    for tenant in ("acme", "globex"):
        add_document(empty, tenant, "3")
        add_dataset(empty, tenant, f"{tenant}-own", "default" if tenant == "acme" else "documents")
        upload_of_before(empty, tenant, "fees.md")
        upload_of_before(empty, tenant, "rooms.md")
    empty.migrate()
    default = {tenant: dataset_id for dataset_id, tenant, role in rows(empty, "datasets", ROLES) if role == "default"}
    names = {(tenant, name, role) for tenant, name, role in rows(empty, "datasets", ["tenant_id", "name", "role"])}
    assert names == {
        ("acme", "default", None),
        ("acme", "default 2", "default"),
        ("globex", "default", "default"),
        ("globex", "documents", "loaded"),
    }
    found = rows(empty, "documents", ["document_id", "origin", "external_id", "dataset_id"])
    uploads = [f"{tenant}-{name}" for tenant in ("acme", "globex") for name in ("fees.md", "rooms.md")]
    assert sorted(found) == sorted(
        [(tenant, "/a", None, default[tenant]) for tenant in ("acme", "globex")]
        + [(one, f"upload:{one}", one.split("-")[1], f"{one.split('-')[0]}-own") for one in uploads]
    )
    with empty.engine.begin() as connection:  # of this version: another one that is called alike
        connection.execute(text("UPDATE documents SET source = 'fees.md' WHERE document_id = 'acme-rooms.md'"))
    to(empty, "0009", back=True)
    origins = dict(rows(empty, "documents", ["document_id", "origin"]))
    assert origins == {
        "acme": "/a",
        "globex": "/a",
        "acme-fees.md": "dataset:acme-own/fees.md",
        "acme-rooms.md": "upload:acme-rooms.md",
        "globex-fees.md": "dataset:globex-own/fees.md",
        "globex-rooms.md": "dataset:globex-own/rooms.md",
    }
    assert len(rows(empty, "datasets", ["name"])) == 2
    empty.migrate()
    assert column(empty, "chunks", "text") == {"acme": "Of acme.", "globex": "Of globex."}


ROLES = ["dataset_id", "tenant_id", "role"]


def add_dataset(database: Database, tenant: str, dataset_id: str, name: str) -> None:
    when = {"created_at": NOW, "updated_at": NOW}
    add(
        database,
        "datasets",
        dataset_id=dataset_id,
        tenant_id=tenant,
        name=name,
        description="",
        tags=[],
        metadata={},
        **when,
    )


def upload_of_before(database: Database, tenant: str, name: str) -> None:
    """A document as it was when its file's name was what it was recognised by, with its job."""
    document_id, moments = f"{tenant}-{name}", {"created_at": NOW, "updated_at": NOW}
    texts = dict.fromkeys(("title", "language", "media_type", "content_hash"), "")
    numbers = dict.fromkeys(("size_bytes", "version", "chunk_count"), 1)
    own = {"document_id": document_id, "tenant_id": tenant, "dataset_id": f"{tenant}-own"}
    own |= {"origin": f"dataset:{tenant}-own/{name}", "source": name, "recipe": "3", "state": "ready"}
    add(database, "documents", **own, **texts, **numbers, **moments, details={})
    job = {"job_id": document_id, "document_id": document_id, "tenant_id": tenant, "kind": "document"}
    job |= {"content_hash": "a", "file_name": name, "size_bytes": 1, "status": "completed", "stage": "indexing"}
    add(database, "jobs", **job, **moments, share_done=1.0, attempts=1, not_before=NOW, cancel_requested=False)


def rows(database: Database, table: str, names: list[str]) -> list[tuple[object, ...]]:
    with database.engine.connect() as connection:
        tables = MetaData()
        tables.reflect(connection)
        return [tuple(row) for row in connection.execute(select(*(tables.tables[table].c[name] for name in names)))]
