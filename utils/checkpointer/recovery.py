"""Bringing a conversation from memory back to Redis."""

from collections.abc import Mapping
from typing import Any, cast

from langchain_core.messages import BaseMessage
from langgraph.checkpoint.base import Checkpoint, CheckpointTuple

from utils.checkpointer.keys import Place
from utils.checkpointer.memory import Memory
from utils.checkpointer.saver import RedisCheckpointer


async def unknown_history(primary: RedisCheckpointer, memory: Memory, thread_id: str) -> Checkpoint | None:
    """The state that Redis has of a conversation which began in memory without it; None where there is no such thing.

    Raises:
        StoreUnavailable: Redis went away again.
    """
    held = memory.find(thread_id)
    head = await primary.aget_tuple(Place(thread_id, "", "").config())
    if head is None or held is None or not held.rootless or ("", head.checkpoint["id"]) in held.checkpoints:
        return None
    return head.checkpoint


async def write_back(primary: RedisCheckpointer, memory: Memory, thread_id: str, old: Checkpoint | None) -> None:
    """Write all that *memory* holds of a conversation to Redis; the newest checkpoint first, joined to the *old* state.

    Repeating it after a failure, with the same *old*, does no harm.

    Raises:
        StoreUnavailable: Redis went away again.
    """
    found = memory.all(primary.serde, thread_id)
    newest = next((kept for kept in found if Place.of(kept.config).namespace == ""), None)
    for kept in sorted(found, key=lambda kept: kept is not newest):
        if old is not None and Place.of(kept.config).namespace == "":
            kept = _continuing(old, kept, whole=kept is newest)
        await _put(primary, kept)
    for place, call in memory.calls(thread_id):
        await primary.aput_writes(place.config(), call.writes, call.task_id, call.task_path)


def _continuing(old: Checkpoint, kept: CheckpointTuple, *, whole: bool) -> CheckpointTuple:
    parent = kept.parent_config or Place.of(kept.config).at(old["id"]).config()
    return kept._replace(parent_config=parent, checkpoint=joined(old, kept.checkpoint) if whole else kept.checkpoint)


def joined(old: Checkpoint, new: Checkpoint) -> Checkpoint:
    """*new*, made without knowing *old*, with what it lacks: the older messages before its own, channels it never had.

    Versions stay those of *new*, so that no node takes the older messages for news.
    """
    values, versions = dict(new["channel_values"]), dict(new["channel_versions"])
    for channel, before in old["channel_values"].items():
        if channel not in values and not _is_internal(channel):
            values[channel] = before
            versions.setdefault(channel, old["channel_versions"].get(channel, 1))
        elif _are_messages(before) and _are_messages(values.get(channel)):
            values[channel] = _in_line(before, values[channel])
    return cast(Checkpoint, {**new, "channel_values": values, "channel_versions": versions})


def _in_line(before: list[BaseMessage], after: list[BaseMessage]) -> list[BaseMessage]:
    known = {message.id for message in after if message.id}
    return [message for message in before if message.id not in known] + after


def _are_messages(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, BaseMessage) for item in value)


def _is_internal(channel: str) -> bool:
    # LangGraph's own: __start__, __pregel_tasks, branch:to:<node>. They belong to a run that is over.
    return channel.startswith("__") or ":" in channel


async def _put(primary: RedisCheckpointer, kept: CheckpointTuple) -> None:
    names: Mapping[str, Any] = kept.config["configurable"]
    place = Place(names["thread_id"], names["checkpoint_ns"], "")
    config = kept.parent_config or place.config()
    await primary.aput(config, kept.checkpoint, kept.metadata, kept.checkpoint["channel_versions"])
