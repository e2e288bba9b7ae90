"""The names under which runs are kept.

    run:{<shard>}:<id>          a hash: the record, its owner, whether it is wanted no more
    run:{<shard>}:<id>:events   a stream: batches of events, each under the number of its last one
    runs:{<shard>}:active       a sorted set: runs under way, by when they count as abandoned
    runs:{<shard>}:of:<thread>  a set: the runs of a conversation that are in this shard
    turns:{<shard>}:due         a sorted set: runs whose turns are to be written to SQL, by when it may be tried
    turns:{<shard>}:of:<id>     a hash: such turns, mostly one, by when they were asked
    places:<thread>             a hash: see `agents/answer_places.py`
    runs:control                a stream for all workers: runs to cancel, conversations that were deleted

That a conversation was deleted is kept beside its lease, see utils/checkpointer/keys.py.

A shard is in one slot of a cluster, so that each step is one script call; together they spread over its nodes.
"""

import zlib

SHARDS = 8
CONTROL = "runs:control"
CONTROL_LENGTH, CONTROL_KEPT_S = 10_000, 86_400


def find_shard(run_id: str) -> int:
    """The shard that a run belongs to."""
    return zlib.crc32(run_id.encode()) % SHARDS


def run_key(run_id: str) -> str:
    """The record of a run."""
    return f"run:{{{find_shard(run_id)}}}:{run_id}"


def make_events_key(run_id: str) -> str:
    """The events of a run."""
    return f"{run_key(run_id)}:events"


def make_active_key(run_id: str) -> str:
    """The runs under way among which a run is."""
    return make_active_key_of_shard(find_shard(run_id))


def make_active_key_of_shard(shard: int) -> str:
    """The runs under way of a shard."""
    return f"runs:{{{shard}}}:active"


def make_runs_key(shard: int, thread_id: str) -> str:
    """The runs of a conversation that are in a shard."""
    return f"runs:{{{shard}}}:of:{thread_id}"


def make_turns_key(run_id: str) -> str:
    """The turns of a run that wait to be written to SQL.

    There are several where its `Idempotency-Key` was used again after it had expired.
    """
    return f"turns:{{{find_shard(run_id)}}}:of:{run_id}"


def make_waiting_key(shard: int) -> str:
    """The turns of a shard that wait to be written to SQL."""
    return f"turns:{{{shard}}}:due"


def make_places_key(thread_id: str) -> str:
    """Where the answers of a long conversation stand."""
    return f"places:{thread_id}"
