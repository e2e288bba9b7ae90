"""Data sources of tenants on both databases: what is encrypted comes back, and opens nowhere else."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from domain import data_source_secrets, data_sources
from domain.data_sources import MAX_SOURCES, SourceSpec
from domain.db import Database
from tests.domain.records import ACME, GLOBEX
from utils.checkpointer.cipher import Keyring
from utils.errors import Conflict, NotFound, NotReady

OLD, BOTH = Keyring({"old": bytes(32)}), Keyring({"new": b"n" * 32, "old": bytes(32)})
NEW = Keyring({"new": b"n" * 32})
SPEC = SourceSpec("postgresql", "postgresql://u:p4ss@h/d", "h:5432/d")


def test_what_is_encrypted_is_rotated_and_bound_to_its_data_source(database: Database) -> None:
    with database.open_write_session() as session:
        ids = {}
        for ctx in (ACME, GLOBEX):
            row = data_sources.create_source(session, ctx, "Staff", "", SPEC, OLD)
            data_source_secrets.store_schema(row, {"tables": ["cañón"]}, OLD)
            ids[ctx.tenant_id] = row.source_id
        with pytest.raises(Conflict):
            data_sources.create_source(session, ACME, "Staff", "", SPEC, OLD)
        with pytest.raises(Conflict, match="STATE_ENCRYPTION_KEYS"):
            data_sources.create_source(session, ACME, "Other", "", SPEC, None)
        with pytest.raises(NotFound):
            data_sources.get_source(session, GLOBEX, ids["acme"])
    with database.open_write_session() as session:
        assert data_sources.list_source_ids(session, ACME) == [ids["acme"]]
        outcomes = [data_source_secrets.rekey(session, ACME, ids["acme"], old=BOTH, new=BOTH) for _ in range(2)]
        assert outcomes == ["done", "current"]
        assert data_source_secrets.rekey(session, GLOBEX, ids["acme"], old=BOTH, new=BOTH) == "absent"
    with database.open_write_session() as session:
        row = data_sources.get_source(session, ACME, ids["acme"])
        assert data_source_secrets.decrypt_uri(row, NEW) == SPEC.uri
        assert data_source_secrets.decrypt_schema(row, NEW) == {"tables": ["cañón"]}
        other = data_sources.get_source(session, GLOBEX, ids["globex"])
        with pytest.raises(NotReady):
            data_source_secrets.decrypt_uri(other, NEW)
        other.uri, other.schema_read = row.uri, row.schema_read
        for open_it in (data_source_secrets.decrypt_uri, data_source_secrets.decrypt_schema):
            with pytest.raises(NotReady):
                open_it(other, BOTH)
    with database.open_write_session() as session:
        stored = session.connection().execute(text("SELECT uri, schema_read FROM data_sources")).fetchall()
        assert b"p4ss" not in b"".join(map(bytes, stored[0]))


def test_a_file_is_stored_without_keys_and_encrypted_once_there_are_some(
    database: Database,
) -> None:
    with database.open_write_session() as session:
        row = data_sources.create_source(
            session, ACME, "Plant", "", SourceSpec("sqlite", "sqlite:///plant.db", "plant.db"), None
        )
        data_source_secrets.store_schema(row, {"tables": []}, None)
        assert (data_source_secrets.decrypt_uri(row, None), data_source_secrets.decrypt_uri(row, OLD)) == (
            "sqlite:///plant.db",
        ) * 2
        assert data_source_secrets.rekey(session, ACME, row.source_id, old=None, new=OLD) == "done"
        assert data_source_secrets.decrypt_uri(row, OLD) == "sqlite:///plant.db"
        assert data_source_secrets.decrypt_schema(row, OLD) == {"tables": []}
        with pytest.raises(NotReady):
            data_source_secrets.decrypt_uri(row, None)
        row.type, row.uri = "postgresql", b"postgresql://u:p4ss@h/d"  # a login is never taken as it is
        with pytest.raises(NotReady):
            data_source_secrets.decrypt_uri(row, OLD)


def test_data_sources_that_are_added_at_once_see_each_other(database: Database) -> None:
    start, file = threading.Barrier(20), SourceSpec("sqlite", "sqlite:///plant.db", "plant.db")

    def add(name: str) -> str:
        start.wait(10)
        try:
            with database.open_write_session() as session:
                data_sources.create_source(session, ACME, name, "", file, None)
        except Conflict as exc:
            return exc.detail.partition(":")[0]
        return "added"

    with ThreadPoolExecutor(20) as pool:
        same = Counter(pool.map(add, ["Same"] * 20))
        assert same == {"added": 1, "There is a data source 'Same' already": 19}
        with database.open_write_session() as session:
            for number in range(MAX_SOURCES - 4):
                data_sources.create_source(session, ACME, f"Before {number}", "", file, None)
        others = Counter(pool.map(add, map(str, range(20))))
        assert others == {"added": 3, f"There are {MAX_SOURCES} data sources already": 17}
    with database.open_write_session() as session:
        assert len(data_sources.list_source_ids(session, ACME)) == MAX_SOURCES
        data_sources.create_source(session, GLOBEX, "Same", "", file, None)
