"""Runs in Redis: who works on which, what they have told, and which were abandoned.

    run:{<shard>}:<id>          a hash: the record, its owner, whether it is wanted no more
    run:{<shard>}:<id>:events   a stream: batches of events, each under the number of its last one
    runs:{<shard>}:active       a sorted set: runs under way, by when they count as abandoned
    runs:control                a stream: ids of runs to cancel, for all workers

A shard is in one slot of a cluster, so that each step is one script call; together they spread over its nodes.
"""

import json
import logging
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis.exceptions import RedisError

from agents.runs.record import ENDS, Event, RunRecord
from utils.checkpointer.cipher import Keyring
from utils.checkpointer.circuit import Circuit
from utils.checkpointer.clients import AsyncClient
from utils.checkpointer.errors import StateUnreadable, UnreadableValue
from utils.errors import StoreUnavailable
from utils.ports import StoreObserver, UnobservedStores

logger = logging.getLogger("agents.runs")

SHARDS = 8
CONTROL = "runs:control"
_NAMES = ("begin", "append", "beat", "due", "claim", "leave", "forget", "cancel", "news")
_CONTROL_LENGTH = 10_000
_CLAIMED_AT_ONCE = 8

Batch = list[tuple[int, Event]]  # events with their numbers


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run that has become ours, the number of its last event (0: none), and whether it is wanted no more."""

    record: RunRecord
    last: int
    cancelled: bool


class Journal:
    """What this worker writes and reads of runs. While Redis does not answer, methods give None, at once.

    Args:
        worker: a name that no other process has.
        hold_s: seconds without a beat after which another worker takes a run.
        keys: what messages and events are encrypted under; None where conversations are not.
        stores: hears how long Redis took.
    """

    def __init__(
        self,
        redis: AsyncClient,
        *,
        worker: str,
        hold_s: float,
        keys: Keyring | None = None,
        stores: StoreObserver | None = None,
    ) -> None:
        self._redis, self._worker, self._hold_ms, self._keys = redis, worker, round(hold_s * 1000), keys
        self._stores = stores or UnobservedStores()
        folder = files("agents.runs") / "lua"
        self._scripts = {name: (folder / f"{name}.lua").read_text() for name in _NAMES}
        self._circuit = Circuit(
            retry_s=2.0,
            away="Redis does not answer: runs are known to this process only",
            back="Redis answers again: runs are known to all workers",
        )

    # ---- what the owner does

    async def begin(self, record: RunRecord) -> str | None:
        """Register a run as ours. Gives its fingerprint if there is one of that id already, else the empty string."""
        told = {**record.fields(), "owner": self._worker}
        flat = [part for pair in told.items() for part in pair]
        message = self._sealed(record.message.encode(), record.id)
        reply = await self._call(
            "begin",
            (_run(record.id), _active(record.id)),
            (record.keep_s * 1000, self._hold_ms, record.id, *flat, "message", message),
        )
        return None if reply is None else ("" if reply[0] else reply[1].decode())

    async def append(self, record: RunRecord, batch: Batch) -> int | None:
        """Add events, of which the last may be the end. 1; 0 if the run is wanted no more, -1 if it is not ours, -2 if
        there is none."""
        last, event = batch[-1] if batch else (0, {})
        told = self._sealed(json.dumps([event for _, event in batch]).encode(), record.id) if batch else b""
        status = ENDS.get(event.get("type", ""), "")
        keys = (_run(record.id), _events(record.id), _active(record.id))
        state: int | None = await self._call(
            "append", keys, (record.keep_s * 1000, record.id, self._worker, last, told, status)
        )
        return state

    async def beat(self, records: Iterable[RunRecord]) -> dict[str, int]:
        """Say that we still work on these. Gives for each what `append` would, as far as Redis answers."""
        states: dict[str, int] = {}
        shards: dict[tuple[int, int], list[str]] = {}
        for record in records:
            shards.setdefault((_shard(record.id), record.keep_s), []).append(record.id)
        for (_, keep_s), ids in shards.items():
            keys = [_active(ids[0]), *(key for run_id in ids for key in (_run(run_id), _events(run_id)))]
            reply = await self._call("beat", keys, (keep_s * 1000, self._hold_ms, self._worker, *ids))
            states |= dict(zip(ids, reply or (), strict=False))
        return states

    async def leave(self, run_id: str) -> None:
        """Let another worker go on with a run of ours at once."""
        await self._call("leave", (_run(run_id), _active(run_id)), (run_id, self._worker))

    async def forget(self, run_id: str) -> None:
        """Remove a run of ours that could not begin."""
        await self._call("forget", (_run(run_id), _events(run_id), _active(run_id)), (run_id, self._worker))

    # ---- what any worker does

    async def record(self, run_id: str) -> RunRecord | None:
        """What is known of a run.

        Raises:
            StoreUnavailable: it cannot be known now.
        """
        fields = await self._surely("HGETALL", _run(run_id))
        return self._record(run_id, fields) if fields else None

    async def events_after(self, run_id: str, number: int) -> Batch:
        """The events of a run from the one after *number* on, as many as there are now.

        Raises:
            StoreUnavailable: it cannot be known now.
        """
        entries = await self._surely("XRANGE", _events(run_id), f"{number + 1}-0", "+")
        return [one for entry in entries for one in self._batch(run_id, entry) if one[0] > number]

    async def last_event(self, run_id: str) -> Event | None:
        """What was told last of a run.

        Raises:
            StoreUnavailable: it cannot be known now.
        """
        entries = await self._surely("XREVRANGE", _events(run_id), "+", "-", "COUNT", 1)
        return self._batch(run_id, entries[0])[-1][1] if entries else None

    async def news(self, places: Sequence[tuple[str, int]]) -> list[Batch] | None:
        """For each run and the number of the last event a reader has, the events after it."""
        found: dict[int, Batch] = {}
        shards: dict[int, list[int]] = {}
        for index, (run_id, _) in enumerate(places):
            shards.setdefault(_shard(run_id), []).append(index)
        for indexes in shards.values():
            keys = [_events(places[index][0]) for index in indexes]
            reply = await self._call("news", keys, [places[index][1] for index in indexes])
            if reply is None:
                return None
            for index, entries in zip(indexes, reply, strict=True):
                run_id, last = places[index]
                found[index] = [one for entry in entries for one in self._batch(run_id, entry) if one[0] > last]
        return [found[index] for index in range(len(places))]

    async def cancel(self, run_id: str) -> None:
        """Let whoever works on the run end it.

        Raises:
            StoreUnavailable: nobody can be told now.
        """
        if await self._surely("EVAL", self._scripts["cancel"], 1, _run(run_id)) == b"running":
            await self._surely("XADD", CONTROL, "MAXLEN", "~", _CONTROL_LENGTH, "*", "cancel", run_id)

    async def cancellations(self, after: str, *, wait_ms: int) -> list[tuple[str, str]] | None:
        """Ids of runs that are to be cancelled, each with its place in the control stream; waits for the first one."""
        if not self._circuit.may_try():
            return None
        try:
            reply = await self._redis.execute_command("XREAD", "BLOCK", wait_ms, "STREAMS", CONTROL, after)
        except RedisError as exc:
            self._circuit.failed(exc)
            return None
        self._circuit.worked()
        streams = reply.items() if isinstance(reply, Mapping) else reply or ()
        return [(at.decode(), _only_value(fields).decode()) for _, entries in streams for at, fields in entries]

    async def last_control(self) -> str | None:
        """Where the control stream is now."""
        reply = await self._try("XREVRANGE", CONTROL, "+", "-", "COUNT", 1)
        return None if reply is None else (reply[0][0].decode() if reply else "0")

    async def claim_abandoned(self) -> list[Claimed]:
        """Runs whose worker is not heard of any more; they are ours from now on. A few at a time."""
        claimed: list[Claimed] = []
        for shard in range(SHARDS):
            for run_id in await self._call("due", (f"runs:{{{shard}}}:active",), (_CLAIMED_AT_ONCE,)) or ():
                one = await self._claim(run_id.decode())
                claimed += [one] if one else []
            if len(claimed) >= _CLAIMED_AT_ONCE:
                break
        return claimed

    # ----

    async def _claim(self, run_id: str) -> Claimed | None:
        keys = (_run(run_id), _events(run_id), _active(run_id))
        reply = await self._call("claim", keys, (self._hold_ms, run_id, self._worker))
        if not reply:
            return None
        flat, last = reply
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        try:
            record = self._record(run_id, fields)
        except StateUnreadable as exc:
            logger.error("An abandoned run cannot be gone on with: %s", exc)
            await self.forget(run_id)
            return None
        return Claimed(record, int(last.partition(b"-")[0] or 0), b"cancelled" in fields)

    def _record(self, run_id: str, fields: Mapping[bytes, bytes]) -> RunRecord:
        texts = {name.decode(): value.decode() for name, value in fields.items() if name != b"message"}
        return RunRecord.of(run_id, texts, self._opened(fields[b"message"], run_id).decode())

    def _batch(self, run_id: str, entry: Any) -> Batch:
        place, fields = entry
        events = json.loads(self._opened(_only_value(fields), run_id))
        first = int(place.partition(b"-")[0]) - len(events) + 1
        return list(enumerate(events, first))

    def _sealed(self, plain: bytes, run_id: str) -> bytes:
        return plain if self._keys is None else self._keys.encrypt(plain, f"run {run_id}".encode())

    def _opened(self, sealed: bytes, run_id: str) -> bytes:
        if self._keys is None:
            return sealed
        try:
            return self._keys.decrypt(sealed, f"run {run_id}".encode())
        except UnreadableValue as exc:
            raise StateUnreadable(_run(run_id), str(exc)) from exc

    async def _call(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        return await self._try("EVAL", self._scripts[name], len(keys), *keys, *args)

    async def _try(self, *command: Any) -> Any:
        if not self._circuit.may_try():
            return None
        began_s, reply = time.perf_counter(), None
        try:
            reply = await self._redis.execute_command(*command)
        except RedisError as exc:
            self._circuit.failed(exc)
        else:
            self._circuit.worked()
        self._stores.took("redis", "runs", time.perf_counter() - began_s, succeeded=reply is not None)
        return reply

    async def _surely(self, *command: Any) -> Any:
        reply = await self._try(*command)
        if reply is None:
            raise StoreUnavailable("Redis is away, and runs of other workers cannot be known. Try again later.")
        return reply


def _shard(run_id: str) -> int:
    return zlib.crc32(run_id.encode()) % SHARDS


def _run(run_id: str) -> str:
    return f"run:{{{_shard(run_id)}}}:{run_id}"


def _events(run_id: str) -> str:
    return f"{_run(run_id)}:events"


def _active(run_id: str) -> str:
    return f"runs:{{{_shard(run_id)}}}:active"


def _only_value(fields: Any) -> bytes:
    """The value of an entry of a stream with one field; redis-py makes a dictionary of what is not a script's."""
    value: bytes = next(iter(fields.values())) if isinstance(fields, Mapping) else fields[1]
    return value
