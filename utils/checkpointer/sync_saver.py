"""The methods of a checkpointer for callers without an event loop, as LangGraph's `invoke` is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple, DeltaChannelHistory

from .connections import Connections


class SyncCheckpointer(BaseCheckpointSaver[int]):
    """Runs each method of asyncio in the event loop that `connections` have for that."""

    connections: Connections

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections of the sync interface."""
        self.connections.close()

    def put(self, *args: Any, **kwargs: Any) -> RunnableConfig:
        """See `aput`."""
        return self.connections.run(self.aput(*args, **kwargs))

    def put_writes(self, *args: Any, **kwargs: Any) -> None:
        """See `aput_writes`."""
        self.connections.run(self.aput_writes(*args, **kwargs))

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """See `aget_tuple`."""
        return self.connections.run(self.aget_tuple(config))

    def list(self, *args: Any, **kwargs: Any) -> Iterator[CheckpointTuple]:
        """See `alist`."""
        result = self.alist(*args, **kwargs)

        async def read_next() -> CheckpointTuple | None:
            return await anext(result, None)

        while (one := self.connections.run(read_next())) is not None:
            yield one

    def get_delta_channel_history(self, **kwargs: Any) -> Mapping[str, DeltaChannelHistory]:
        """See `aget_delta_channel_history`."""
        return self.connections.run(self.aget_delta_channel_history(**kwargs))

    def delete_thread(self, thread_id: str) -> None:
        """See `adelete_thread`."""
        self.connections.run(self.adelete_thread(thread_id))

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """See `adelete_for_runs`."""
        self.connections.run(self.adelete_for_runs(run_ids))

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """See `acopy_thread`."""
        self.connections.run(self.acopy_thread(source_thread_id, target_thread_id))

    def prune(self, thread_ids: Sequence[str], **kwargs: Any) -> None:
        """See `aprune`."""
        self.connections.run(self.aprune(thread_ids, **kwargs))
