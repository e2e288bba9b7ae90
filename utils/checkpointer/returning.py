"""When conversations held in memory go back to Redis, and what keeps two from doing it at once."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Protocol

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint, CheckpointMetadata

from .circuit import Circuit
from .errors import Conflict, StateUnreadable, StoreUnavailable
from .keys import Place
from .memory import Memory
from .merging import joined
from .recovery import unknown_history, write_back
from .saver import RedisCheckpointer

logger = logging.getLogger(__name__)
_REMEMBERED = 500  # conversations whose state in Redis a turn under way may still have to be joined to


class Leases(Protocol):
    """Who has a turn in a conversation; of several workers only one may bring it back."""

    def hold_or_share(self, thread_id: str) -> AbstractAsyncContextManager[None]:
        """Keep the other workers out for the length of the block; `Conflict` where one of them is in."""

    async def is_held(self, thread_id: str) -> bool:
        """Whether a turn is under way in the conversation."""


class Returns:
    """Writes what *memory* holds to *primary*, a conversation at a time."""

    def __init__(self, primary: RedisCheckpointer, memory: Memory, circuit: Circuit, leases: Leases | None) -> None:
        self._primary, self._memory, self._circuit, self._leases = primary, memory, circuit, leases
        self._joined_to: OrderedDict[str, Checkpoint] = OrderedDict()
        self._under_way: dict[str, asyncio.Future[None]] = {}
        self._unreadable: set[str] = set()

    async def all_within(self, limit_s: float) -> int:
        """Bring back what is held and not in use, beginning no other one after *limit_s*. Gives how many went."""
        until, returned = time.monotonic() + limit_s, 0
        for thread_id in self._memory.threads():
            if thread_id in self._unreadable or await self._is_in_use(thread_id):
                continue
            try:
                returned += await self.one(thread_id)
                if time.monotonic() > until or self._circuit.persistence == "memory":
                    break
            except StateUnreadable as exc:
                logger.error("A conversation stays in memory, since what Redis has of it cannot be read: %s", exc)
                self._unreadable.add(thread_id)
        return returned

    async def one(self, thread_id: str) -> bool:
        """Bring back a conversation; whether it was held, and now is not.

        Raises:
            StateUnreadable: what Redis has under its key is broken or foreign.
        """
        if thread_id in self._under_way:
            await asyncio.wait([self._under_way[thread_id]])
            return False
        if self._memory.left_s(thread_id) is None or not self._circuit.may_try():
            return False
        try:
            async with self.alone(thread_id), self._shared(thread_id):
                await self._move(thread_id)
        except StoreUnavailable as exc:
            self._circuit.failed(exc)
            return False
        except Conflict:
            return False
        self._circuit.worked()
        return True

    @asynccontextmanager
    async def alone(self, thread_id: str) -> AsyncIterator[None]:
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

    def rejoined(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
    ) -> Checkpoint:
        """A checkpoint as it is to be stored.

        A turn that was under way while its conversation went back to Redis goes on without the messages found there. A
        turn that begins afterwards, with an input, has read them.
        """
        place = Place.of(config)
        old = None if place.namespace else self._joined_to.get(place.thread_id)
        if old is None:
            return checkpoint
        if self._memory.left_s(place.thread_id) is not None:
            return checkpoint  # it has not returned yet, only a part of it: joined when it does
        if metadata.get("source") != "loop":
            self.forget(place.thread_id)
            return checkpoint
        return joined(old, checkpoint)

    async def _is_in_use(self, thread_id: str) -> bool:
        return self._leases is not None and await self._leases.is_held(thread_id)

    def _shared(self, thread_id: str) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self._leases is None else self._leases.hold_or_share(thread_id)

    async def _move(self, thread_id: str) -> None:
        held = self._memory.find(thread_id)
        revision = -1
        while held is not None and held.revision != revision:  # until nothing was added meanwhile
            revision = held.revision
            old = self._joined_to.get(thread_id) or await unknown_history(self._primary, self._memory, thread_id)
            if old is not None:
                self._joined_to[thread_id] = old
            await write_back(self._primary, self._memory, thread_id, old)
        self._memory.forget(thread_id)
        self._primary.meter.returned()
        self._unreadable.discard(thread_id)
        while len(self._joined_to) > _REMEMBERED:
            self._joined_to.popitem(last=False)
