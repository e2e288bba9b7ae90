"""Whole installations of two tenants, made and read without the service: for tests that move them."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import redis
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import empty_checkpoint
from sqlalchemy import select

from auth.principal import Principal
from bootstrap.stores import index_folder, make_server_index
from bootstrap.valkey import ValkeyChild
from config import Settings, load_settings
from domain import index_marks, indexing
from domain.db import Database
from domain.db_opening import open_database
from domain.documents import list_documents, record_failure, replace_document
from domain.keys import create_key, ensure_tenant
from domain.models import Base, now
from domain.passages import make_passage
from domain.scoping import EVERYWHERE
from retrieval.edge import EdgeIndex
from retrieval.index import PassageIndex, Stored
from tests.domain.records import ACME, GLOBEX, content
from utils.checkpointer import RedisCheckpointer
from utils.ports import FloatArray

MODEL, DIMENSION = "multilingual-e5-small-q4", 384  # what the service uses with nothing configured
TENANTS = (ACME, GLOBEX)
LIVES_S = (600, 86_400)
NEARLY_S = 5.0


class Known:
    """What is asked of an embedder to open an index: no model is loaded."""

    model, dimension = MODEL, DIMENSION


@dataclass(frozen=True)
class Contents:
    """Everything an installation holds; `ends` are moments, in seconds since 1970, by state key."""

    rows: dict[str, list[dict[str, Any]]]
    passages: dict[str, dict[str, Stored]]
    conversations: dict[bytes, tuple[bytes | None, dict[bytes, bytes]]]
    ends: dict[bytes, float]


def fill_embedded(data_dir: Path, *, documents: int = 3, conversations: int = 4) -> None:
    """An embedded installation: per tenant *documents* in every state, *conversations* in all."""
    data_dir.mkdir(parents=True)
    database = open_database(f"sqlite:///{data_dir / 'pustaka.db'}")
    database.migrate()
    for ctx in TENANTS:
        _load(database, ctx, documents)
    asyncio.run(_index(database, data_dir))
    database.close()
    names = [f"{TENANTS[number % 2].tenant_id}/talk }}{number}% é" for number in range(conversations)]
    with embedded_redis(data_dir) as url:
        for which, life_s in enumerate(LIVES_S):
            converse(url, *names[which::2], life_s=life_s)


def converse(url: str, *thread_ids: str, life_s: int, question: str = "¿Cuándo?") -> None:
    """Conversations of two turns, as the service keeps them."""
    saver = RedisCheckpointer.from_url(url, ttl_s=life_s)
    for thread_id in thread_ids:
        _talk(saver, thread_id, question)
    saver.close()


def _talk(saver: RedisCheckpointer, thread_id: str, question: str) -> None:
    config: Any = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
    messages: list[Any] = []
    for turn in range(2):
        messages += [HumanMessage(question, id=f"q{turn}"), AIMessage(f"Am Montag. {thread_id} " * 40, id=f"a{turn}")]
        checkpoint = empty_checkpoint()
        checkpoint["channel_values"] = {"messages": list(messages)}
        checkpoint["channel_versions"] = {"messages": turn + 1}
        metadata: Any = {"source": "loop", "step": turn, "parents": {}}
        config = saver.put(config, checkpoint, metadata, checkpoint["channel_versions"])
    saver.put_writes(config, [("messages", "unfinished")], "task")


def read_embedded(data_dir: Path) -> Contents:
    """What an embedded installation holds."""
    settings = _settings(data_dir=data_dir)
    database = open_database(f"sqlite:///{data_dir / 'pustaka.db'}")
    index = EdgeIndex.open(index_folder(settings, data_dir, MODEL), dimension=DIMENSION)
    with embedded_redis(data_dir) as url:
        return _read(database, index, url)


def read_production(database_uri: str, redis_url: str, qdrant_url: str, qdrant_key: str) -> Contents:
    """What the servers hold."""
    settings = _settings(qdrant_url=qdrant_url, qdrant_api_key=qdrant_key)
    index = make_server_index(settings, Known())  # type: ignore[arg-type] # two of its properties are all that is used
    return _read(open_database(database_uri), index, redis_url)


def assert_same(one: Contents, other: Contents) -> None:
    """Rows, passages, vectors and bytes are equal, and every conversation ends at the same time."""
    assert one.rows == other.rows
    assert one.passages.keys() == other.passages.keys()
    for tenant_id, passages in one.passages.items():
        _assert_same_passages(passages, other.passages[tenant_id])
    _assert_same_talks((one.conversations, one.ends), (other.conversations, other.ends))


def assert_same_conversations(one: Path, other: Path) -> None:
    """Two embedded installations have the same conversations."""
    with embedded_redis(one) as url, embedded_redis(other) as other_url:
        _assert_same_talks(_talks(url), _talks(other_url))


def _assert_same_talks(one: tuple[Any, Any], other: tuple[Any, Any]) -> None:
    assert one[0] == other[0]
    assert one[1].keys() == other[1].keys()
    for key, end in one[1].items():
        assert abs(end - other[1][key]) < NEARLY_S, key


def forget_document(data_dir: Path, ctx: Principal, source: str) -> None:
    """Remove a document from an embedded installation, as the service does."""
    database = open_database(f"sqlite:///{data_dir / 'pustaka.db'}")
    index = EdgeIndex.open(index_folder(_settings(data_dir=data_dir), data_dir, MODEL), dimension=DIMENSION)

    async def forget(document_id: str) -> None:
        await index.delete_documents(ctx, [document_id])
        await index.close()

    with database.open_write_session() as session:
        document = next(document for document in list_documents(session, ctx) if document.source == source)
        asyncio.run(forget(document.document_id))
        session.delete(document)
    database.close()


@contextmanager
def embedded_redis(data_dir: Path) -> Iterator[str]:
    """The URL of the Valkey in a data folder, which runs as long."""
    valkey = ValkeyChild(data_dir)
    valkey.start()
    try:
        yield valkey.url
    finally:
        valkey.stop()


def _settings(**fields: Any) -> Settings:
    return load_settings(_env_file=None, **fields)


def _load(database: Database, ctx: Principal, documents: int) -> None:
    with database.open_write_session() as session:
        ensure_tenant(session, ctx.tenant_id)
        key, _ = create_key(session, ctx.tenant_id, "Büro")
        key.revoked_at = now() if ctx is GLOBEX else None
        for number in range(documents):
            texts = [f"{ctx.tenant_id} {number}.{part}: hari libur 🌴" for part in range(4)]
            replace_document(session, ctx, f"/srv/{number}.md", content(*texts, source=f"{number}.md"))
        record_failure(session, ctx, "/srv/broken.pdf", "broken.pdf", "It is not a PDF.")


async def _index(database: Database, data_dir: Path) -> None:
    """All documents but each tenant's last are in the index, all but the first two with their vectors."""
    folder = index_folder(_settings(data_dir=data_dir), data_dir, MODEL)
    folder.parent.mkdir(parents=True)
    index = EdgeIndex.open(folder, dimension=DIMENSION)
    for ctx in TENANTS:
        with database.open_write_session() as session:
            waiting = indexing.list_documents_without_words(session, ctx, 10_000)[:-1]
            passages = [make_passage(document, chunk) for document, chunks in waiting for chunk in chunks]
            await index.put(ctx, passages)
            index_marks.mark_words(session, ctx, passages)
            index_marks.mark_searchable(session, ctx, [document for document, _ in waiting])
            await index.put_vectors(ctx, {passage.passage_id: vector_of(passage.text) for passage in passages[4:]})
            index_marks.mark_vectors(session, ctx, passages[4:])
    await index.close()


def vector_of(text: str) -> FloatArray:
    """Any vector of length 1, always the same for the same text."""
    values = np.random.default_rng(len(text) + sum(map(ord, text))).normal(size=DIMENSION).astype(np.float32)
    unit: FloatArray = values / np.linalg.norm(values)
    return unit


def _read(database: Database, index: PassageIndex, redis_url: str) -> Contents:
    with database.open_read_session() as session:
        rows = {
            table.name: [
                dict(row)
                for row in session.execute(
                    select(table).order_by(*table.primary_key), execution_options=EVERYWHERE
                ).mappings()
            ]
            for table in Base.metadata.sorted_tables
        }
    database.close()
    return Contents(rows, asyncio.run(_passages(index)), *_talks(redis_url))


def _talks(redis_url: str) -> tuple[Any, Any]:
    with redis.Redis.from_url(redis_url) as client:
        keys: list[bytes] = sorted(client.scan_iter("state:*"))
        talks = {key: (client.get(key[7:-1]), client.hgetall(key)) for key in keys}
        ends: Any = {key: time.time() + client.pttl(key) / 1000 for key in keys}
        assert all(client.ttl(key) > 0 for key in client.scan_iter("checkpoint:*"))
    return talks, ends


async def _passages(index: PassageIndex) -> dict[str, dict[str, Stored]]:
    if prepare := getattr(index, "prepare", None):
        await prepare()
    found: dict[str, dict[str, Stored]] = {}
    for ctx in TENANTS:
        batches = [batch async for batch in index.export(ctx)]
        found[ctx.tenant_id] = {stored.passage.passage_id: stored for batch in batches for stored in batch}
    await index.close()
    return found


def _assert_same_passages(one: dict[str, Stored], other: dict[str, Stored]) -> None:
    assert one.keys() == other.keys()
    for passage_id, stored in one.items():
        twin = other[passage_id]
        assert stored.passage == twin.passage
        assert (stored.vector is None) == (twin.vector is None)
        if stored.vector is not None and twin.vector is not None:
            np.testing.assert_allclose(stored.vector, twin.vector, atol=1e-5)


def documents_of(database: Database, ctx: Principal) -> list[tuple[str, str]]:
    """A tenant's documents with their state."""
    with database.open_read_session() as session:
        return [(document.source, document.state) for document in list_documents(session, ctx)]
