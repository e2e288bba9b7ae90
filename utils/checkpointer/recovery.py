"""Bringing a conversation from memory back to Redis."""

import secrets
import uuid
from collections.abc import Mapping
from typing import Any, cast

from langgraph.checkpoint.base import Checkpoint, CheckpointTuple
from langgraph.checkpoint.base.id import uuid6

from .keys import Place
from .memory import Memory
from .merging import joined, without_removed
from .saver import RedisCheckpointer

_RANDOM_BITS = 32  # below the clock in a checkpoint id


async def unknown_history(primary: RedisCheckpointer, memory: Memory, thread_id: str) -> Checkpoint | None:
    """What Redis has of a conversation and its part in *memory* does not know: the newest state there, if another
    worker wrote it or memory began without it. None where there is no such thing.

    Raises:
        StoreUnavailable: Redis went away again.
    """
    head = await primary.aget_tuple(Place(thread_id, "", "").config())
    held = memory.find(thread_id)
    if head is None or held is None or memory.knows(thread_id, head.checkpoint["id"]):
        return None
    newest = _newest(memory.all(primary.serde, thread_id))
    base = await primary.aget_tuple(Place(thread_id, "", held.base_id).config()) if held.base_id else None
    if base is None or newest is None:
        return head.checkpoint
    return without_removed(head.checkpoint, base.checkpoint, newest.checkpoint)


async def write_back(primary: RedisCheckpointer, memory: Memory, thread_id: str, old: Checkpoint | None) -> None:
    """Write all that *memory* holds of a conversation to Redis; the newest state first, joined to *old*.

    Repeating it after a failure, with the same *old*, does no harm.

    Raises:
        StoreUnavailable: Redis went away again.
    """
    found, calls = memory.all(primary.serde, thread_id), memory.calls(thread_id)
    newest = _newest(found)
    if old is not None and newest is not None:
        if newest.checkpoint["id"] < old["id"]:
            # Another worker's turn was the last: what is newest here would not be found.
            found.insert(0, _after(old, newest))
            calls += [(Place.of(found[0].config), call) for place, call in calls if place == Place.of(newest.config)]
        else:
            found[found.index(newest)] = newest = newest._replace(checkpoint=joined(old, newest.checkpoint))
            found.sort(key=lambda kept: kept is not newest)
        found = [_continuing(old, kept) for kept in found]
    elif newest is not None:
        found.sort(key=lambda kept: kept is not newest)
    for kept in found:
        await _put(primary, kept)
    for place, call in calls:
        await primary.aput_writes(place.config(), call.writes, call.task_id, call.task_path)


def _newest(found: list[CheckpointTuple]) -> CheckpointTuple | None:
    return next((kept for kept in found if Place.of(kept.config).namespace == ""), None)


def _after(old: Checkpoint, newest: CheckpointTuple) -> CheckpointTuple:
    whole = cast(Checkpoint, {**joined(old, newest.checkpoint), "id": _id_after(old["id"])})
    place = Place.of(newest.config)
    return newest._replace(
        config=place.at(whole["id"]).config(), parent_config=place.at(old["id"]).config(), checkpoint=whole
    )


def _id_after(checkpoint_id: str) -> str:
    """An id made now, or, where the other worker's clock is ahead of ours, just after *checkpoint_id*."""
    made = str(uuid6())
    if made > checkpoint_id:
        return made
    return str(uuid.UUID(int=uuid.UUID(checkpoint_id).int + 1 + secrets.randbits(_RANDOM_BITS)))


def _continuing(old: Checkpoint, kept: CheckpointTuple) -> CheckpointTuple:
    place = Place.of(kept.config)
    if kept.parent_config is not None or place.namespace:
        return kept
    return kept._replace(parent_config=place.at(old["id"]).config())


async def _put(primary: RedisCheckpointer, kept: CheckpointTuple) -> None:
    names: Mapping[str, Any] = kept.config["configurable"]
    place = Place(names["thread_id"], names["checkpoint_ns"], "")
    config = kept.parent_config or place.config()
    await primary.arestore(config, kept.checkpoint, kept.metadata)
