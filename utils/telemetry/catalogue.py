"""Every series there is. A label has few values, known beforehand: never an id, a path, a tenant or what people wrote.

docs/operating.md holds the same table; a test compares. Names and units follow
https://prometheus.io/docs/practices/naming/
"""

from dataclasses import dataclass
from typing import Literal

Mode = Literal["livesum", "livemax", "livemin"]

_REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_TURN_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0, 120.0)
_STORE_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
_LAG_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


@dataclass(frozen=True, slots=True)
class Series:
    """One metric: what it is called, what kind, what it tells; `buckets` in its unit, for histograms.

    `mode`: how the gauges of several processes become one; those of ended processes do not count.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    description: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    mode: Mode = "livesum"


def _add_counter(name: str, description: str, *labels: str) -> Series:
    return Series(f"pustaka_{name}_total", "counter", description, labels)


def _add_gauge(name: str, description: str, *labels: str, mode: Mode = "livesum") -> Series:
    return Series(f"pustaka_{name}", "gauge", description, labels, mode=mode)


def _add_seconds(name: str, description: str, *labels: str, buckets: tuple[float, ...]) -> Series:
    return Series(f"pustaka_{name}_seconds", "histogram", description, labels, buckets)


BUILD = _add_gauge(
    "build_info", "1, with the version of the service and of Python.", "version", "python", mode="livemax"
)
WORKERS = _add_gauge("workers", "Processes that serve.")
CPU = _add_counter("cpu_seconds", "CPU time of the processes that serve, user and system, in seconds.")
MEMORY = _add_gauge("resident_memory_bytes", "Resident memory of the processes that serve; shared pages count in each.")
LOOP_LAG = _add_seconds("event_loop_lag", "Delay of the event loop, measured ten times a second.", buckets=_LAG_S)

REQUESTS = _add_seconds(
    "http_request_duration",
    "Requests until their response was made, streams until their end; `status` is a class such as 2xx, or "
    "`disconnected` for a client that left first.",
    "route", "method", "status",
    buckets=_REQUEST_S,
)  # fmt: skip
REQUESTS_ACTIVE = _add_gauge("http_requests_in_progress", "Requests being worked on, open streams included.")
STREAMS = _add_gauge("open_streams", "Streams of events that are open.")
PROBLEMS = _add_counter("problems", "Refusals and failures answered, by the slug of the problem document.", "problem")
POOL_BUSY = _add_gauge("sync_pool_busy", "Blocking views and bodies that have a thread.")
POOL_QUEUE = _add_gauge("sync_pool_queue", "Blocking views and bodies that wait for a thread.")

RUNS_ACTIVE = _add_gauge("active_runs", "Turns being worked on.")
TURNS_WAITING = _add_gauge("waiting_turns", "Turns that wait for a place (MAX_CONCURRENT_TURNS).")
TURNS = _add_seconds(
    "turn_duration",
    "Turns from their begin to their end in this process, by `outcome`: answered, refused (the documents hold no "
    "answer), asked_back (what the question is about), waiting (for approval), failed, cancelled, busy (the "
    "conversation had another), handed_over (to another process).",
    "outcome",
    buckets=_TURN_S,
)  # fmt: skip
TURN_FAILURES = _add_counter("turn_failures", "Turns that failed, by the slug of the problem.", "problem")
TURN_FALLBACKS = _add_counter(
    "turn_fallbacks",
    "Turns in which the language model failed and quotes answered: model-unavailable, model-timeout, model-busy.",
    "reason",
)
STAGES = _add_seconds("turn_stage_duration", "Stages of turns: retrieve, answer, verify.", "stage", buckets=_TURN_S)
FIRST_TOKEN = _add_seconds(
    "time_to_first_token", "Streamed turns from their begin to the first piece of the answer.", buckets=_TURN_S
)
PIECES = _add_counter("streamed_pieces", "Pieces of answers as the model gave them, mostly a token each.")
TAKEN_OVER = _add_counter("runs_taken_over", "Runs continued here after another process ended.")

MODEL_CALLS = _add_seconds(
    "model_call_duration",
    "Calls to a model's endpoint with all their tries, until the whole answer was there, without the wait in line; "
    "`kind`: chat, tenant_chat (of tenants' own models), embedding, speech_to_text, "
    "text_to_speech, emotion; `outcome`: ok, failed, cancelled.",
    "kind", "outcome",
    buckets=_TURN_S,
)  # fmt: skip
MODEL_ERRORS = _add_counter("model_errors", "Tries of a call to a model's endpoint that failed.", "kind", "reason")
MODEL_RUNNING = _add_gauge("model_calls_running", "Calls to a model's endpoint that are under way.", "kind")
MODEL_WAITING = _add_gauge("model_calls_waiting", "Calls that wait in line for one of those to end.", "kind")
MODEL_TOKENS = _add_counter(
    "model_tokens", "Tokens as the endpoint reports them, `direction`: input, output.", "kind", "direction"
)
MODEL_FALLBACKS = _add_counter("model_fallbacks", "Calls for which LLM_FALLBACK_MODEL was asked.")
MODEL_UP = _add_gauge("model_up", "1 if the model answered all processes when they asked last.", "kind", mode="livemin")

CACHE_LOOKUPS = _add_counter(
    "cache_lookups", "Questions looked up in a cache; `outcome`: hit, miss.", "cache", "outcome"
)
CACHE_ENTRIES = _add_gauge("cache_entries", "What the caches of all processes hold.", "cache")

STORE_UP = _add_gauge(
    "store_up", "1 if all processes reach the store: redis, database, index.", "store", mode="livemin"
)
STORE_CALLS = _add_seconds(
    "store_call_duration",
    "Calls to stores: redis (check, limit, runs), database (check, statement), index (check, search), where check is "
    "the monitor's look, and data_source (query), databases of tenants; `outcome`: ok, failed. Calls for conversations "
    "are those of the checkpointer.",
    "store", "operation", "outcome",
    buckets=_STORE_S,
)  # fmt: skip
DATABASE_CONNECTIONS = _add_gauge("database_connections", "Connections of the SQL pool that are in use.")
SESSIONS = _add_gauge(
    "active_sessions",
    "Conversations in SQL that were used in the last 15 minutes, counted every 10 s.",
    mode="livemax",
)
CHARTS = _add_counter("charts", "Pictures of charts that were drawn; `outcome`: ok, failed.", "outcome")
CHART_SECONDS = _add_counter("chart_seconds", "Seconds that drawing them took.")
READY = _add_gauge("ready", "1 if all processes are ready for turns.", mode="livemin")
PENDING = _add_gauge("indexing_pending_passages", "Passages whose vectors are still to come.", mode="livemax")
TRANSCRIPT_WAITING = _add_gauge(
    "transcript_waiting_turns", "Turns that have ended and wait to be written to the database.", mode="livemax"
)
TRANSCRIPT_OLDEST = _add_gauge(
    "transcript_oldest_wait_seconds",
    "For how long the oldest of them waits that cannot be written; 0 where all can.",
    mode="livemax",
)
TRANSCRIPT_WRITTEN = _add_counter("transcript_turns_written", "Turns written to the database.")
TRANSCRIPT_DROPPED = _add_counter(
    "transcript_turns_dropped", "Turns that are not in the database, because too many waited already."
)
DISK_FREE = _add_gauge("disk_free_bytes", "Free where DATA_DIR is.", mode="livemin")
DISK_RESERVE = _add_gauge(
    "disk_reserve_bytes", "Kept free there (DISK_RESERVE_MB): below it documents are refused.", mode="livemax"
)

CHECKPOINTER_CALLS = _add_counter("checkpointer_calls", "Calls to Redis for conversations.", "operation")
CHECKPOINTER_SECONDS = _add_counter("checkpointer_seconds", "Seconds that callers waited for them.", "operation")
CHECKPOINTER_SENT = _add_counter("checkpointer_sent_bytes", "Bytes of their arguments.", "operation")
CHECKPOINTER_RECEIVED = _add_counter("checkpointer_received_bytes", "Bytes of their replies.", "operation")
CHECKPOINTER_MISSES = _add_counter("checkpointer_misses", "Writes that had to be sent again whole.", "operation")
CHECKPOINTER_FAILURES = _add_counter("checkpointer_failures", "Calls that failed.", "operation", "reason")
CHECKPOINTER_RELOADS = _add_counter("checkpointer_script_reloads", "Times Redis had lost a script.")
MEMORY_ACTIVE = _add_gauge("memory_fallback_active", "Processes that keep conversations in memory, Redis being away.")
MEMORY_BEGAN = _add_counter("memory_fallback_began", "Times memory began to stand in for Redis.")
MEMORY_RETURNED = _add_counter("memory_fallback_returned", "Conversations brought back from memory to Redis.")
MEMORY_LOST = _add_counter("memory_fallback_lost", "Conversations given up because memory was full.")
MEMORY_CONVERSATIONS = _add_gauge("memory_fallback_conversations", "Conversations held in memory.")
MEMORY_BYTES = _add_gauge("memory_fallback_bytes", "What they take.")

CATALOGUE: tuple[Series, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Series))
"""All of them, in the order above."""
