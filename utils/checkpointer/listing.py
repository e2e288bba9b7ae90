"""One call of `list`: which batch is read next, and which of its checkpoints are wanted."""

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple

from .errors import StateUnreadable
from .keys import Place
from .plans import Plans
from .reading import Batch, Query
from .scripts import Plan

BATCH = 10  # checkpoints read by one call: bounds how long its script holds the server

logger = logging.getLogger(__name__)


@contextmanager
def skipping_unreadable() -> Iterator[None]:
    """Log a conversation that cannot be read, and go on: one broken or foreign key must not end a scan of all."""
    try:
        yield
    except StateUnreadable as exc:
        logger.error("Left out %s", exc)


class Listing:
    """The state of one listing over one or many conversations, asked for in turn; `accepted` is the newest batch's."""

    def __init__(
        self,
        plans: Plans,
        config: RunnableConfig | None,
        wanted: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> None:
        self.accepted: list[CheckpointTuple] = []
        self._plans, self._query, self._wanted = plans, Query.of(config, before), wanted or {}
        self._left, self._everything = limit, config is None
        self._thread_id: str | None = None
        self._after: Place | None = None

    def next_batch(self, thread_id: str) -> Plan[Batch] | None:
        """The plan that reads the next batch of this conversation; None if it has no more or the limit is reached."""
        begun = thread_id == self._thread_id
        if self._left == 0 or (begun and self._after is None):
            return None
        after = self._after if begun else None
        # Until a reply says where to go on, nothing follows.
        self._thread_id, self._after, self.accepted = thread_id, None, []
        size = BATCH if self._wanted or self._left is None else min(BATCH, self._left)
        return self._plans.batch(thread_id, self._query, after, size)

    def accept(self, batch: Batch) -> None:
        """Take a batch: `accepted` is what of it matches the metadata asked for, within the limit."""
        self._after = batch.last
        matching = [found for found in batch.found if self._matches(found)]
        self.accepted = matching if self._left is None else matching[: self._left]
        if self._left is not None:
            self._left -= len(self.accepted)

    def surviving(self) -> AbstractContextManager[None]:
        """Around reading a batch: over all conversations an unreadable one is skipped, of one it is an error."""
        return skipping_unreadable() if self._everything else nullcontext()

    def _matches(self, found: CheckpointTuple) -> bool:
        return all(found.metadata.get(name) == value for name, value in self._wanted.items())
