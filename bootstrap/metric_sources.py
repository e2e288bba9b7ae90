"""What the sampler of the metrics looks at every second; nothing here asks a store."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, ExceptionContext, QueuePool, event

from agents.answer_cache import AnswerCache
from agents.state import AnswerModel
from bootstrap.monitor import Monitor
from domain.db import Database
from providers.charts.renderer import ChartRenderer
from providers.embeddings.caching import CachingEmbedder
from providers.embeddings.openai import OpenAIEmbedder
from providers.gate import Gate
from utils.checkpointer import FallbackCheckpointer
from utils.expiring import Expiring
from utils.ports import Embedder, StoreObserver
from utils.telemetry import Telemetry
from utils.telemetry import catalogue as series

if TYPE_CHECKING:  # it imports prometheus_client
    from utils.telemetry.sampling import Look, Sampler

_BEGAN = "pustaka.statement_began_s"  # in what SQLAlchemy keeps beside a connection for whoever uses it


@dataclass(frozen=True, slots=True)
class Models:
    """What there is to look at of models: the gates before their endpoints by kind, and caches by name."""

    gates: Mapping[str, Gate]
    caches: Mapping[str, Expiring[Any, Any]]


def list_models(model: AnswerModel, embedder: Embedder, cached: Embedder, answers: AnswerCache | None) -> Models:
    """The models of a service; *cached* is *embedder*, maybe with a cache of questions."""
    gates = {}
    if model.is_language_model:
        from providers.chat.remote import RemoteModel  # here: it takes long to import

        if isinstance(model.chat, RemoteModel):
            gates["chat"] = model.chat.gate
    if isinstance(embedder, OpenAIEmbedder):
        gates["embedding"] = embedder.gate
    caches: dict[str, Expiring[Any, Any]] = {}
    if isinstance(cached, CachingEmbedder):
        caches["queries"] = cached.vectors
    if answers is not None:
        caches["answers"] = answers.answers
    return Models(gates, caches)


def register_metric_sources(telemetry: Telemetry, monitor: Monitor, models: Models, charts: ChartRenderer) -> None:
    """Let the sampler look at everything that *monitor* knows of, at *models* and at *charts*."""
    assert telemetry.sampler is not None  # noqa: S101 - else there is nothing to call this for
    looks = (sample_monitor(monitor), sample_checkpointer(monitor.checkpointer), sample_database(monitor.database))
    telemetry.sampler.looks += [*looks, sample_models(models), sample_charts(charts)]


def sample_monitor(monitor: Monitor) -> "Look":
    """Which stores can be reached, whether turns can be served, and how many vectors are to come."""

    def look(sampler: "Sampler") -> None:
        status, put = monitor.status, sampler.instruments.put
        for store, state in (("redis", status.redis), ("database", status.database), ("index", status.index)):
            put(series.STORE_UP, state == "ok", store)
        if monitor.language_model:
            put(series.MODEL_UP, status.chat_model == "ok", "chat")
        put(series.READY, not status.blocking)
        put(series.PENDING, monitor.count_pending())
        put(series.SESSIONS, monitor.active_sessions)
        if writer := monitor.transcript_writer:
            put(series.TRANSCRIPT_WAITING, writer.waiting)
            put(series.TRANSCRIPT_OLDEST, writer.oldest_s)
            sampler.set_total(series.TRANSCRIPT_WRITTEN, writer.written)
            sampler.set_total(series.TRANSCRIPT_DROPPED, writer.dropped)
        put(series.DISK_FREE, monitor.disk.measure_free_bytes())
        put(series.DISK_RESERVE, monitor.disk.reserve_bytes)

    return look


def sample_checkpointer(checkpointer: FallbackCheckpointer) -> "Look":
    """What the conversations cost in Redis, and what memory stands in for."""

    def look(sampler: "Sampler") -> None:
        figures, put = checkpointer.meter.snapshot(), sampler.instruments.put
        for name, seen in figures.operations.items():
            sampler.set_total(series.CHECKPOINTER_CALLS, seen.calls, name)
            sampler.set_total(series.CHECKPOINTER_SECONDS, seen.seconds, name)
            sampler.set_total(series.CHECKPOINTER_SENT, seen.sent_bytes, name)
            sampler.set_total(series.CHECKPOINTER_RECEIVED, seen.received_bytes, name)
            sampler.set_total(series.CHECKPOINTER_MISSES, seen.misses, name)
            for reason, count in seen.failures.items():
                sampler.set_total(series.CHECKPOINTER_FAILURES, count, name, reason)
        sampler.set_total(series.CHECKPOINTER_RELOADS, figures.script_reloads)
        sampler.set_total(series.MEMORY_BEGAN, figures.memory.began)
        sampler.set_total(series.MEMORY_RETURNED, figures.memory.returned)
        sampler.set_total(series.MEMORY_LOST, figures.memory.lost)
        put(series.MEMORY_ACTIVE, checkpointer.persistence == "memory")
        put(series.MEMORY_CONVERSATIONS, figures.memory.conversations)
        put(series.MEMORY_BYTES, figures.memory.held_bytes)

    return look


def sample_charts(renderer: ChartRenderer) -> "Look":
    """How many pictures were drawn, and what that took."""

    def look(sampler: "Sampler") -> None:
        sampler.set_total(series.CHARTS, renderer.drawn_count, "ok")
        sampler.set_total(series.CHARTS, renderer.failed_count, "failed")
        sampler.set_total(series.CHART_SECONDS, renderer.drawing_s)

    return look


def sample_database(database: Database) -> "Look":
    """How many connections are in use."""
    pool = database.engine.pool

    def look(sampler: "Sampler") -> None:
        if isinstance(pool, QueuePool):
            sampler.instruments.put(series.DATABASE_CONNECTIONS, pool.checkedout())

    return look


def watch_gate(telemetry: Telemetry, kind: str, gate: Gate) -> None:
    """Look at how many calls run and wait there, too."""
    if telemetry.sampler is not None:
        telemetry.sampler.looks.append(partial(_put_gate, kind=kind, gate=gate))


def _put_gate(sampler: "Sampler", kind: str, gate: Gate) -> None:
    sampler.instruments.put(series.MODEL_RUNNING, gate.running, kind)
    sampler.instruments.put(series.MODEL_WAITING, gate.waiting, kind)


def sample_models(models: Models) -> "Look":
    """How many calls run and wait, and what is answered from memory."""

    def look(sampler: "Sampler") -> None:
        put = sampler.instruments.put
        for kind, gate in models.gates.items():
            _put_gate(sampler, kind, gate)
        for name, cache in models.caches.items():
            sampler.set_total(series.CACHE_LOOKUPS, cache.hits, name, "hit")
            sampler.set_total(series.CACHE_LOOKUPS, cache.misses, name, "miss")
            put(series.CACHE_ENTRIES, len(cache), name)

    return look


def time_statements(database: Database, stores: StoreObserver) -> None:
    """Tell *stores* of every SQL statement from now on; to be called before the first one."""

    @event.listens_for(database.engine, "before_cursor_execute")
    def begin(
        connection: Connection, cursor: object, statement: str, values: object, context: object, many: bool
    ) -> None:
        connection.info[_BEGAN] = time.perf_counter()

    @event.listens_for(database.engine, "after_cursor_execute")
    def end(
        connection: Connection, cursor: object, statement: str, values: object, context: object, many: bool
    ) -> None:
        stores.note_duration("database", "statement", time.perf_counter() - connection.info.pop(_BEGAN), succeeded=True)

    @event.listens_for(database.engine, "handle_error")
    def fail(failure: ExceptionContext) -> None:
        began_s = failure.connection.info.pop(_BEGAN, None) if failure.connection else None
        if began_s is not None:
            stores.note_duration("database", "statement", time.perf_counter() - began_s, succeeded=False)
