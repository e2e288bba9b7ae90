"""Turns on their way to the transcript in SQL: they wait in Redis, put there by the same step that ends their run.

So a turn that is told to somebody is in the transcript once SQL answers, whichever worker dies meanwhile. While Redis
is away they wait in this process, as the conversation itself does.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import orjson
from redis.exceptions import RedisError

from agents.runs.deletions import RunDeletions
from agents.runs.keys import SHARDS, find_shard, make_turns_key, make_waiting_key
from agents.runs.record import ENDS, Event, RunRecord
from agents.threads import make_thread_id
from agents.traces import TRACE, Trace, add_times
from auth.principal import DEFAULT_BOT, Principal, PrincipalKind
from domain.transcript_writing import FinishedTurn
from utils.checkpointer.cipher import Keyring
from utils.checkpointer.clients import AsyncClient
from utils.checkpointer.errors import UnreadableValue
from utils.errors import StoreUnavailable
from utils.json_bytes import dump_json
from utils.moments import read_micros

logger = logging.getLogger(__name__)

_MAX_WAITING = 80_000
_MAX_OWN = 500
_HOLD_MS = 5_000  # after which another worker may try a turn
_CHANNELS = {PrincipalKind.VISITOR: "web_chat", PrincipalKind.USER: "web_chat"}
# Of the last event what is not of the answer itself, or stands in columns of its own.
_NO_DETAILS = frozenset(
    [
        *("type", "answer", "response", "sources", "citations", "support", "bot_id", "conversation_id", "session_id"),
        *("tool_calls", "data", "usage", "metrics", "artifacts", "persistence", "degraded", "request_id", "run_id"),
        "parent_run_id",
    ]
)


@dataclass(frozen=True, slots=True)
class WaitingTurn:
    """A turn as it waits: its bytes, for how long, and how many may wait beside it.

    For `hold_ms` it is left to the worker that has it anyway.
    """

    sealed: bytes
    keep_ms: int
    max_in_shard: int
    note_dropped: Callable[[], None]
    asked_at: str
    hold_ms: int


class Outbox:
    """The turns that wait, of all workers.

    `own`: some that wait in Redis and ended in this process, which need not be read from there.

    Args:
        default_s: how long the transcript is kept where a tenant does not say it; 0: there is none.
        keys: what turns are encrypted under; None where conversations are not.
        hold_ms: for how long a turn is left to the worker that has it.
    """

    def __init__(
        self,
        redis: AsyncClient,
        *,
        default_s: float,
        keys: Keyring | None = None,
        hold_ms: int = _HOLD_MS,
    ) -> None:
        self._hold_ms = hold_ms
        self._redis, self._default_s, self._keys = redis, default_s, keys
        folder = files("agents.runs") / "lua"
        self._take_script, self._remove_script = (
            (folder / f"{name}_turns.lua").read_text() for name in ("take", "remove")
        )
        self.own: list[FinishedTurn] = []
        self.own_keep_s: Mapping[str, float] = {}  # of the tenants that say it themselves
        self.dropped = 0

    def make_waiting(self, turn: FinishedTurn) -> WaitingTurn | None:
        """What waits of *turn*; None where its tenant has no transcript."""
        keep_s = self.own_keep_s.get(turn.tenant_id, self._default_s)
        if not keep_s:
            return None
        plain = dump_json(turn)
        sealed = plain if self._keys is None else self._keys.encrypt(plain, _name(turn.run_id))
        return WaitingTurn(
            sealed,
            keep_ms=round(keep_s * 1000),
            max_in_shard=-(-_MAX_WAITING // SHARDS),
            note_dropped=self._note_dropped,
            asked_at=turn.asked_at,
            hold_ms=self._hold_ms,
        )

    def note_own(self, turn: FinishedTurn) -> None:
        """*turn* waits in Redis since now; it is this worker's to write, if it does so soon."""
        if len(self.own) < _MAX_OWN:
            self.own.append(turn)

    async def take(self, most: int) -> tuple[list[FinishedTurn], int]:
        """At most so many of each shard, which nobody else is given for some seconds; and how many wait in all.

        Raises:
            RedisError: Redis does not answer.
        """
        turns, waiting = list[FinishedTurn](), 0
        for shard in range(SHARDS):
            key = make_waiting_key(shard)
            count, ids = await self._redis.execute_command("EVAL", self._take_script, 1, key, most, self._hold_ms)
            waiting += count
            run_ids = list(map(bytes.decode, ids))
            for run_id, own_turns in zip(run_ids, await asyncio.gather(*map(self._read, run_ids)), strict=True):
                turns += own_turns or ()
                if own_turns is None:  # too old to be kept
                    await self._redis.execute_command("ZREM", key, run_id)
        return turns, waiting

    async def find(self, run_ids: Sequence[str]) -> list[FinishedTurn]:
        """The waiting turns of these runs.

        Raises:
            StoreUnavailable: Redis does not answer.
        """
        try:
            return [turn for run_id in run_ids for turn in await self._read(run_id) or ()]
        except RedisError as exc:
            raise StoreUnavailable("Redis is away. Try again later.") from exc

    async def remove(self, turns: Iterable[FinishedTurn]) -> None:
        """Let these wait no more: they are written.

        Raises:
            RedisError: Redis does not answer.
        """
        shards = defaultdict[int, list[FinishedTurn]](list)
        for turn in turns:
            shards[find_shard(turn.run_id)].append(turn)
        await asyncio.gather(*(self._remove_from(shard, here) for shard, here in shards.items()))

    async def _remove_from(self, shard: int, turns: Sequence[FinishedTurn]) -> None:
        keys = [make_waiting_key(shard), *(make_turns_key(turn.run_id) for turn in turns)]
        arguments = [part for turn in turns for part in (turn.run_id, turn.asked_at)]
        await self._redis.execute_command("EVAL", self._remove_script, len(keys), *keys, *arguments)

    async def _read(self, run_id: str) -> list[FinishedTurn] | None:
        """The turns of that run that can be read; None where none waits any more."""
        stored = await self._redis.execute_command("HVALS", make_turns_key(run_id))
        turns = [self._open(run_id, sealed) for sealed in stored]
        return [turn for turn in turns if turn is not None] if stored else None

    def _open(self, run_id: str, sealed: bytes) -> FinishedTurn | None:
        """The turn; None where its key is missing, which may come back."""
        try:
            plain = sealed if self._keys is None else self._keys.decrypt(sealed, _name(run_id))
            return FinishedTurn(**orjson.loads(plain))
        except (UnreadableValue, ValueError, TypeError) as exc:
            reason = str(exc) if isinstance(exc, UnreadableValue) else "it is damaged"
            logger.error("A turn cannot be written to the transcript: %s", reason, extra={"run_id": run_id})
            return None

    def _note_dropped(self) -> None:
        self.dropped += 1
        if self.dropped == 1 or self.dropped % 1000 == 0:
            logger.error(
                "%s turns wait for the database, which is the limit: %s turns so far are missing from the transcript.",
                _MAX_WAITING,
                self.dropped,
            )


async def find_waiting(
    outbox: Outbox, deletions: RunDeletions, ctx: Principal, conversation_id: str
) -> list[FinishedTurn]:
    """The turns of the caller's conversation that wait, of whichever run.

    Raises:
        StoreUnavailable: Redis does not answer.
    """
    return await outbox.find(await deletions.list_runs(make_thread_id(ctx, conversation_id)))


def make_finished_turn(record: RunRecord, last: Event, tokens: int, trace: Trace | None = None) -> FinishedTurn:
    """The turn that *record*'s run was, by its *last* event. *trace*: what its answer is made from, if known."""
    ctx, is_answered = record.ctx, last["type"] == "done"
    result: dict[str, Any] = last if is_answered else {}
    bot_id = ctx.bot_id or DEFAULT_BOT
    details = {name: value for name, value in result.items() if name not in _NO_DETAILS}
    if is_answered and trace:
        details[TRACE] = add_times(trace, result["metrics"], result["degraded"])
    return FinishedTurn(
        tenant_id=ctx.tenant_id,
        owner_id=ctx.owner_id,
        conversation_id=record.conversation_id,
        run_id=record.id,
        subject_id=ctx.subject_id,
        bot_id=bot_id,
        bot_version=record.bot_version,
        channel=_CHANNELS.get(ctx.kind, "api"),
        status=ENDS[last["type"]],
        sequence=read_micros(result.get("created_at")),
        asked_at=record.created_at,
        question=record.message,
        answer=result.get("answer"),
        citations=result.get("citations", []),
        support=result.get("support"),
        details=details,
        is_refusal=is_answered and not result["answered"] and not result["clarification"],
        tool_calls=result.get("tool_calls", []),
        model=result.get("model", ""),
        tokens=tokens,
        parent_run_id=result.get("parent_run_id") or record.parent_run_id or None,
    )


def _name(run_id: str) -> bytes:
    return f"turn {run_id}".encode()
