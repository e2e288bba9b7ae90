"""What is asked of the store of conversations beyond LangGraph's interface."""

from collections.abc import Mapping
from typing import Protocol

from langgraph.checkpoint.base import CheckpointTuple

from utils.checkpointer.reading import ListPart, Window


class ConversationStore(Protocol):
    """Where the state of conversations is kept."""

    @property
    def persistence(self) -> str:
        """Where conversations are kept now: "redis", or "memory" while it is away."""

    def persistence_of(self, thread_id: str) -> str:
        """Where this one is; in memory also after Redis is back, until its next turn."""

    async def ttl_s(self, thread_id: str) -> int | None:
        """Seconds the conversation has left, None where there is none."""

    async def look(self, thread_id: str) -> CheckpointTuple | None:
        """The newest checkpoint, for one who goes on from nothing."""

    async def aget_parts(self, thread_id: str, windows: Mapping[str, Window]) -> dict[str, ListPart] | None:
        """A part of each list in the channels that *windows* name, all of the same moment; None where there is no
        conversation, or it is not known."""

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete the state of a conversation."""

    def forget_conversation(self, thread_id: str) -> None:
        """Drop what is held of it in memory."""
