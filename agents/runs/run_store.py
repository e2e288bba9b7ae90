"""Runs in Redis: who works on which, what they have told, and which were abandoned; under the keys of keys.py."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any
from uuid import uuid4

from redis.exceptions import RedisError

from agents.redis_commands import RedisCommands
from agents.runs.codec import Batch, RunCodec, make_record
from agents.runs.keys import (
    CONTROL,
    CONTROL_KEPT_S,
    CONTROL_LENGTH,
    SHARDS,
    find_shard,
    make_active_key,
    make_active_key_of_shard,
    make_events_key,
    make_runs_key,
    make_turns_key,
    make_waiting_key,
    run_key,
)
from agents.runs.outbox import WaitingTurn
from agents.runs.record import ENDS, Claimed, ControlMessage, Event, RunRecord
from utils.checkpointer.cipher import Keyring
from utils.checkpointer.circuit import Circuit
from utils.checkpointer.clients import AsyncClient
from utils.checkpointer.errors import StateUnreadable
from utils.json_bytes import dump_json
from utils.observers import StoreObservers
from utils.ports import StoreObserver

logger = logging.getLogger("agents.runs")

_NAMES = ("begin", "append", "beat", "due", "claim", "leave", "forget", "cancel", "news", "resume")
_CLAIMED_AT_ONCE = 8
_RETRY_S = 2.0
# What `append` gives; all but the first where a run is wanted no more, is another's, or Redis has lost it, or the last
# events of it.
ADDED, UNWANTED, TAKEN, LOST, EVENTS_MISSING = 1, 0, -1, -2, -3
_TOO_MANY_WAIT = 2


class RunStore:
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
        self._redis, self._worker, self._hold_ms = redis, worker, round(hold_s * 1000)
        self._codec = RunCodec(keys)
        self._stores = stores or StoreObservers()
        folder = files("agents.runs") / "lua"
        self._scripts = {name: (folder / f"{name}.lua").read_text() for name in _NAMES}
        self._claims_from_s = 0.0
        self._circuit = Circuit(
            retry_s=_RETRY_S,
            changed=self._log_state,
            away="Redis does not answer: runs are known to this process only",
            back="Redis answers again: runs are known to all workers",
        )
        self._commands = RedisCommands(redis, self._circuit, self._note_duration)

    # ---- what the owner does

    async def begin(self, record: RunRecord) -> str | None:
        """Register a run as ours. Gives its fingerprint if there is one of that id already, else the empty string."""
        fields = {**record.make_fields(), "owner": self._worker}
        flat = [part for pair in fields.items() for part in pair]
        message = self._codec.seal(record.pack_question().encode(), record.id)
        reply = await self._run_script(
            "begin",
            (run_key(record.id), make_active_key(record.id), make_runs_key(find_shard(record.id), record.thread_id)),
            (record.keep_s * 1000, self._hold_ms, record.id, uuid4().hex, *flat, "message", message),
        )
        return None if reply is None else ("" if reply[0] else reply[1].decode())

    async def append(
        self, record: RunRecord, batch: Batch, *, after: int = 0, turn: WaitingTurn | None = None
    ) -> int | None:
        """Add events, of which the last may be the end; *after* is the number of the last one that we have added.

        *turn* waits from now on to be written to the transcript; it comes with the end.

        `ADDED`; 2 if that is so, but *turn* does not wait, since too many do; `UNWANTED`; `TAKEN`; `LOST`;
        `EVENTS_MISSING` if events up to *after* are not there any more.
        """
        last, event = batch[-1] if batch else (0, {})
        sealed = self._codec.seal(dump_json([event for _, event in batch]), record.id) if batch else b""
        status = ENDS.get(event.get("type", ""), "")
        run, shard = record.id, find_shard(record.id)
        keys = (run_key(run), make_events_key(run), make_active_key(run), make_turns_key(run), make_waiting_key(shard))
        waiting = (turn.sealed, turn.keep_ms, turn.max_in_shard, turn.hold_ms, turn.asked_at) if turn else ("",)
        state: int | None = await self._run_script(
            "append", keys, (record.keep_s * 1000, run, self._worker, last, sealed, status, after, *waiting)
        )
        if state == _TOO_MANY_WAIT and turn:
            turn.note_dropped()
        return state

    async def send_heartbeat(self, records: Iterable[RunRecord]) -> dict[str, int]:
        """Say that we still work on these. Gives for each what `append` would, as far as Redis answers."""
        states: dict[str, int] = {}
        shards: dict[tuple[int, int], list[str]] = {}
        for record in records:
            shards.setdefault((find_shard(record.id), record.keep_s), []).append(record.id)
        for (_, keep_s), ids in shards.items():
            keys = [
                make_active_key(ids[0]),
                *(key for run_id in ids for key in (run_key(run_id), make_events_key(run_id))),
            ]
            reply = await self._run_script("beat", keys, (keep_s * 1000, self._hold_ms, self._worker, *ids))
            states |= dict(zip(ids, reply or (), strict=False))
        return states

    async def leave(self, run_id: str) -> None:
        """Let another worker go on with a run of ours at once."""
        await self._run_script("leave", (run_key(run_id), make_active_key(run_id)), (run_id, self._worker))

    async def forget(self, run_id: str) -> None:
        """Remove a run of ours that could not begin."""
        await self._run_script(
            "forget", (run_key(run_id), make_events_key(run_id), make_active_key(run_id)), (run_id, self._worker)
        )

    async def resume(self, run_id: str, approval: str) -> bool:
        """Make a run that waits for a person ours; False if it does not wait (any more), or is wanted no more.

        Without an *approval* it is to be ended.

        Raises:
            StoreUnavailable: Redis is away.
        """
        keys, arguments = (run_key(run_id), make_active_key(run_id)), (self._hold_ms, run_id, self._worker, approval)
        return bool(await self._commands.run_command("EVAL", self._scripts["resume"], len(keys), *keys, *arguments))

    # ---- what any worker does

    async def record(self, run_id: str) -> RunRecord | None:
        """What is known of a run.

        Raises:
            StoreUnavailable: it cannot be known now.
        """
        fields = await self._commands.run_command("HGETALL", run_key(run_id))
        return self._codec.read_record(run_id, fields) if fields and b"deleted" not in fields else None

    async def is_deleted(self, run_id: str) -> bool:
        """Whether the conversation of the run was deleted since the run was registered.

        Raises:
            StoreUnavailable: it cannot be known now.
        """
        return bool(await self._commands.run_command("HEXISTS", run_key(run_id), "deleted"))

    async def is_unwanted(self, run_id: str) -> bool:
        """Whether the run was cancelled, or its conversation deleted.

        Raises:
            StoreUnavailable: it cannot be known now.
        """
        return any(await self._commands.run_command("HMGET", run_key(run_id), "cancelled", "deleted"))

    async def read_events(self, run_id: str, number: int) -> Batch:
        """The events of a run from the one after *number* on, as many as there are now.

        Raises:
            StoreUnavailable: it cannot be known now.
        """
        entries = await self._commands.run_command("XRANGE", make_events_key(run_id), f"{number + 1}-0", "+")
        return self._codec.read_after(run_id, entries, number)

    async def read_last_event(self, run_id: str) -> tuple[int, Event] | None:
        """What was told last of a run, with its number.

        Raises:
            StoreUnavailable: it cannot be known now.
        """
        entries = await self._commands.run_command("XREVRANGE", make_events_key(run_id), "+", "-", "COUNT", 1)
        return self._codec.read_batch(run_id, entries[0])[-1] if entries else None

    async def read_new_events(self, places: Sequence[tuple[str, int]]) -> list[Batch] | None:
        """For each run and the number of the last event a reader has, the events after it."""
        new_events: dict[int, Batch] = {}
        shards: dict[int, list[int]] = {}
        for index, (run_id, _) in enumerate(places):
            shards.setdefault(find_shard(run_id), []).append(index)
        for indexes in shards.values():
            keys = [make_events_key(places[index][0]) for index in indexes]
            reply = await self._run_script("news", keys, [places[index][1] for index in indexes])
            if reply is None:
                return None
            for index, entries in zip(indexes, reply, strict=True):
                run_id, last = places[index]
                new_events[index] = self._codec.read_after(run_id, entries, last)
        return [new_events[index] for index in range(len(places))]

    async def cancel(self, run_id: str) -> str:
        """Let whoever works on the run end it. Gives its status; one that is not `running` stays as it is.

        Raises:
            StoreUnavailable: nobody can be told now.
        """
        status: bytes = await self._commands.run_command("EVAL", self._scripts["cancel"], 1, run_key(run_id))
        if status == b"running":
            await self._commands.run_command("XADD", CONTROL, "MAXLEN", "~", CONTROL_LENGTH, "*", "cancel", run_id)
            await self._commands.run_command("EXPIRE", CONTROL, CONTROL_KEPT_S)
        return status.decode()

    async def read_control(self, after: str, *, wait_ms: int) -> list[ControlMessage] | None:
        """What all workers are told; waits for the first one."""
        if not self._circuit.may_try():
            return None
        try:
            reply = await self._redis.execute_command("XREAD", "BLOCK", wait_ms, "STREAMS", CONTROL, after)
        except RedisError as exc:
            self._circuit.note_failure(exc)
            return None
        self._circuit.note_success()
        streams = reply.items() if isinstance(reply, Mapping) else reply or ()
        return [
            ControlMessage(at.decode(), name.decode(), value.decode())
            for _, entries in streams
            for at, fields in entries
            for name, value in fields.items()
        ]

    async def find_control_position(self) -> str | None:
        """Where the control stream is now."""
        reply = await self._commands.try_command("XREVRANGE", CONTROL, "+", "-", "COUNT", 1)
        return None if reply is None else (reply[0][0].decode() if reply else "0")

    async def claim_abandoned(self) -> list[Claimed]:
        """Runs whose worker is not heard of any more; they are ours from now on. A few at a time.

        None for a while after Redis was away: the workers that live have to be heard of again first.
        """
        claimed: list[Claimed] = []
        for shard in range(SHARDS):
            run_ids = await self._run_script("due", (make_active_key_of_shard(shard),), (_CLAIMED_AT_ONCE,))
            if time.monotonic() < self._claims_from_s:  # maybe since this very call, which found it back
                break
            for run_id in run_ids or ():
                one = await self._claim(run_id.decode())
                claimed += [one] if one else []
            if len(claimed) >= _CLAIMED_AT_ONCE:
                break
        return claimed

    async def _claim(self, run_id: str) -> Claimed | None:
        keys = (run_key(run_id), make_events_key(run_id), make_active_key(run_id))
        reply = await self._run_script("claim", keys, (self._hold_ms, run_id, self._worker))
        if not reply:
            return None
        flat, last = reply
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        message, is_readable = "", True
        try:
            message = self._codec.unseal(fields[b"message"], run_id).decode()
        except StateUnreadable as exc:
            logger.error("Cannot resume an abandoned run: %s", exc)
            is_readable = False
        number = int(last.partition(b"-")[0] or 0)
        return Claimed(make_record(run_id, fields, message), number, b"cancelled" in fields, is_readable)

    def _log_state(self, persistence: str) -> None:
        if persistence == "redis":
            self._claims_from_s = time.monotonic() + self._hold_ms / 1000 + _RETRY_S

    def _note_duration(self, duration_s: float, succeeded: bool) -> None:
        self._stores.note_duration("redis", "runs", duration_s, succeeded=succeeded)

    async def _run_script(self, name: str, keys: Sequence[str], args: Sequence[Any]) -> Any:
        return await self._commands.try_command("EVAL", self._scripts[name], len(keys), *keys, *args)
