"""The history of delta channels, and whether it is all there.

Retention keeps the ancestors that kept checkpoints are rebuilt from; but a checkpoint that stays for another's sake, or
whose run was deleted, may lack some of its own. LangGraph would take what is left for the whole value.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple, DeltaChannelHistory

from .errors import StateUnreadable
from .keys import Place, state_key
from .scripts import Plan

Get = Callable[[RunnableConfig], Plan[CheckpointTuple | None]]


def delta_history(get: Get, config: RunnableConfig, channels: Sequence[str]) -> Plan[Mapping[str, DeltaChannelHistory]]:
    """What each of *channels* is rebuilt from, as `BaseCheckpointSaver.get_delta_channel_history` says.

    Raises:
        StateUnreadable: an ancestor that is needed was removed.
    """
    history = {channel: DeltaChannelHistory(writes=[]) for channel in channels}
    found = yield from get(config)
    unseeded = set(channels)
    while found is not None and found.parent_config is not None and unseeded:
        child, found = found, (yield from get(found.parent_config))
        if found is None:
            _refuse_gap(child, unseeded)
            break
        for write in reversed(found.pending_writes or ()):
            if write[1] in unseeded:
                history[write[1]]["writes"].insert(0, write)
        values = found.checkpoint["channel_values"]
        for channel in unseeded & values.keys():
            history[channel]["seed"] = values[channel]
        unseeded -= values.keys()
    return history


def _refuse_gap(child: CheckpointTuple, unseeded: set[str]) -> None:
    counters: Mapping[str, Any] = child.metadata.get("counters_since_delta_snapshot") or {}
    # A channel without a counter was never written: nothing of it is missing.
    missing = sorted(unseeded & counters.keys() - child.checkpoint["channel_values"].keys())
    if missing:
        place = Place.of(child.config)
        reason = f"checkpoint {place.checkpoint_id}: what {missing} were rebuilt from was removed"
        raise StateUnreadable(state_key(place.thread_id), reason)
