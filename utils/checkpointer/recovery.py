"""Bringing conversations from memory back to Redis, and what keeps two from doing it at once."""

import asyncio
import logging
import secrets
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Protocol, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.base.id import uuid6

from .circuit import Circuit
from .errors import Conflict, StateUnreadable, StoreUnavailable
from .keys import CheckpointAddress
from .memory import Memory
from .merging import join_checkpoints, remove_messages
from .saver import RedisCheckpointer

logger = logging.getLogger(__name__)
_REMEMBERED = 500  # conversations whose state in Redis a turn under way may still have to be joined to
_RANDOM_BITS = 32  # below the clock in a checkpoint id


class ConversationLeases(Protocol):
    """Who has a turn in a conversation; of several workers only one may bring it back."""

    def hold_or_share(self, thread_id: str) -> AbstractAsyncContextManager[None]:
        """Keep the other workers out for the length of the block; `Conflict` where one of them is in."""

    async def is_held(self, thread_id: str) -> bool:
        """Whether a turn is under way in the conversation."""


class Recovery:
    """Writes what *memory* holds to *primary*, a conversation at a time."""

    def __init__(
        self, primary: RedisCheckpointer, memory: Memory, circuit: Circuit, leases: ConversationLeases | None
    ) -> None:
        self._primary, self._memory, self._circuit, self._leases = primary, memory, circuit, leases
        self._joined_to: OrderedDict[str, Checkpoint] = OrderedDict()
        self._under_way: dict[str, asyncio.Future[None]] = {}
        self._unreadable: set[str] = set()

    async def return_all(self, limit_s: float) -> int:
        """Bring back what is held and not in use, beginning no other one after *limit_s*. Gives how many went."""
        until, returned = time.monotonic() + limit_s, 0
        for thread_id in self._memory.threads():
            if thread_id in self._unreadable or (self._leases and await self._leases.is_held(thread_id)):
                continue
            try:
                returned += await self.return_one(thread_id)
                if time.monotonic() > until or self._circuit.persistence == "memory":
                    break
            except StateUnreadable as exc:
                logger.error("A conversation stays in memory, since what Redis has of it cannot be read: %s", exc)
                self._unreadable.add(thread_id)
        return returned

    async def return_one(self, thread_id: str) -> bool:
        """Bring back a conversation; whether it was held, and now is not.

        Raises:
            StateUnreadable: what Redis has under its key is broken or foreign.
        """
        if thread_id in self._under_way:
            await asyncio.wait([self._under_way[thread_id]])
            return False
        if self._memory.left_s(thread_id) is None or not self._circuit.may_try():
            return False
        lease: AbstractAsyncContextManager[None] = nullcontext()
        if self._leases is not None:
            lease = self._leases.hold_or_share(thread_id)
        try:
            async with self.paused(thread_id), lease:
                await self._move(thread_id)
        except StoreUnavailable as exc:
            self._circuit.note_failure(exc)
            return False
        except Conflict:
            return False
        self._circuit.note_success()
        return True

    @asynccontextmanager
    async def paused(self, thread_id: str) -> AsyncIterator[None]:
        """Let nothing of the conversation return in the block, once what is under way is done."""
        while thread_id in self._under_way:
            await asyncio.wait([self._under_way[thread_id]])
        self._under_way[thread_id] = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            self._under_way.pop(thread_id).set_result(None)

    def forget(self, thread_id: str) -> None:
        """The conversation is not to be joined to anything any more."""
        self._joined_to.pop(thread_id, None)

    def rejoin(self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata) -> Checkpoint:
        """A checkpoint as it is to be stored.

        A turn that was under way while its conversation went back to Redis goes on without the messages found there. A
        turn that begins afterwards, with an input, has read them.
        """
        address = CheckpointAddress.from_config(config)
        old = None if address.namespace else self._joined_to.get(address.thread_id)
        if old is None:
            return checkpoint
        if self._memory.left_s(address.thread_id) is not None:
            return checkpoint  # it has not returned yet, only a part of it: joined when it does
        if metadata.get("source") != "loop":
            self.forget(address.thread_id)
            return checkpoint
        return join_checkpoints(old, checkpoint)

    async def _move(self, thread_id: str) -> None:
        entry = self._memory.find(thread_id)
        revision = -1
        while entry is not None and entry.revision != revision:  # until nothing was added meanwhile
            revision = entry.revision
            old = self._joined_to.get(thread_id) or await self._find_unknown_history(thread_id)
            if old is not None:
                self._joined_to[thread_id] = old
            await self._write_back(thread_id, old)
        self._memory.forget(thread_id)
        self._primary.meter.count("returned")
        self._unreadable.discard(thread_id)
        while len(self._joined_to) > _REMEMBERED:
            self._joined_to.popitem(last=False)

    async def _find_unknown_history(self, thread_id: str) -> Checkpoint | None:
        """What Redis has of the conversation and its part in memory does not know: the newest state there, if another
        worker wrote it or memory began without it. None where there is no such thing."""
        head = await self._primary.aget_tuple(CheckpointAddress(thread_id, "", "").config())
        entry = self._memory.find(thread_id)
        if head is None or entry is None or self._memory.knows(thread_id, head.checkpoint["id"]):
            return None
        newest, base = _find_newest(self._memory.all(self._primary.serde, thread_id)), None
        if entry.base_id:
            base = await self._primary.aget_tuple(CheckpointAddress(thread_id, "", entry.base_id).config())
        if base is None or newest is None:
            return head.checkpoint
        return remove_messages(head.checkpoint, base.checkpoint, newest.checkpoint)

    async def _write_back(self, thread_id: str, old: Checkpoint | None) -> None:
        """Write all that memory holds of a conversation to Redis; the newest state first, joined to *old*.

        Repeating it after a failure, with the same *old*, does no harm.
        """
        found, writes = self._memory.all(self._primary.serde, thread_id), self._memory.writes(thread_id)
        newest = _find_newest(found)
        if newest is not None:
            if old is not None and newest.checkpoint["id"] < old["id"]:
                # Another worker's turn was the last: what is newest here would not be found.
                last = _continue(old, newest)
                of_newest = CheckpointAddress.from_config(newest.config)
                writes += [(CheckpointAddress.from_config(last.config), call) for at, call in writes if at == of_newest]
                found.insert(0, last)
            else:
                found.remove(newest)
                whole = newest.checkpoint if old is None else join_checkpoints(old, newest.checkpoint)
                found.insert(0, newest._replace(checkpoint=whole))
        for one in found:
            address = CheckpointAddress.from_config(one.config)
            begins = one.parent_config is None and not address.namespace
            parent = address.at(old["id"] if old is not None and begins else "").config()
            await self._primary.arestore(one.parent_config or parent, one.checkpoint, one.metadata)
        for at, call in writes:
            await self._primary.aput_writes(at.config(), call.writes, call.task_id, call.task_path)


def _find_newest(checkpoints: list[CheckpointTuple]) -> CheckpointTuple | None:
    return next((one for one in checkpoints if CheckpointAddress.from_config(one.config).namespace == ""), None)


def _continue(old: Checkpoint, newest: CheckpointTuple) -> CheckpointTuple:
    """The state of *newest* joined to *old*, as a checkpoint after that."""
    whole = cast(Checkpoint, {**join_checkpoints(old, newest.checkpoint), "id": _make_id_after(old["id"])})
    address = CheckpointAddress.from_config(newest.config)
    return newest._replace(
        config=address.at(whole["id"]).config(), parent_config=address.at(old["id"]).config(), checkpoint=whole
    )


def _make_id_after(checkpoint_id: str) -> str:
    """An id made now, or, where the other worker's clock is ahead of ours, just after *checkpoint_id*."""
    new_id = str(uuid6())
    if new_id > checkpoint_id:
        return new_id
    return str(uuid.UUID(int=uuid.UUID(checkpoint_id).int + 1 + secrets.randbits(_RANDOM_BITS)))
