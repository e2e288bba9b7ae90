"""Two lines of one conversation made one: what happened in memory, and what Redis has that memory does not know."""

import heapq
from collections.abc import Sequence
from itertools import chain, takewhile
from typing import cast

from langchain_core.messages import BaseMessage, HumanMessage
from langgraph.checkpoint.base import Checkpoint


def join_checkpoints(old: Checkpoint, new: Checkpoint) -> Checkpoint:
    """*new*, made without knowing *old*, with what it lacks: the messages of *old*, channels it never had.

    Versions stay those of *new*, so that no node takes the messages of *old* for news.
    """
    values, versions = dict(new["channel_values"]), dict(new["channel_versions"])
    for channel, before in old["channel_values"].items():
        if channel not in values and not _is_internal(channel):
            values[channel] = before
            versions.setdefault(channel, old["channel_versions"].get(channel, 1))
        elif _are_messages(before) and _are_messages(values.get(channel)):
            values[channel] = merge_messages(before, values[channel])
    return cast(Checkpoint, {**new, "channel_values": values, "channel_versions": versions})


def remove_messages(old: Checkpoint, base: Checkpoint, new: Checkpoint) -> Checkpoint:
    """*old* without the messages that *new* removed since *base*: they must not come back with the rest."""
    values = dict(old["channel_values"])
    for channel, before in base["channel_values"].items():
        if _are_messages(before) and _are_messages(values.get(channel)):
            removed = _list_ids(before) - _list_ids(new["channel_values"].get(channel, []))
            values[channel] = [message for message in values[channel] if message.id not in removed]
    return cast(Checkpoint, {**old, "channel_values": values})


def merge_messages(before: Sequence[BaseMessage], after: Sequence[BaseMessage]) -> list[BaseMessage]:
    """All messages of both, each once and as *after* has it: first what they share and what stands between, with the
    rest of the turn they share last; then the turns that only one of them has, by the time they began, else those of
    *before* first."""
    shared, waiting = _list_ids(before) & _list_ids(after), list(after)
    line: list[BaseMessage] = []
    remaining = len(shared)
    for index, message in enumerate(before):
        if remaining == 0:
            ends = [_find_end_of_turn(tail) if shared else 0 for tail in (before[index:], waiting)]
            line += [*before[index : index + ends[0]], *waiting[: ends[1]]]
            return line + _merge_by_time(_split_turns(before[index + ends[0] :]), _split_turns(waiting[ends[1] :]))
        if message.id not in shared:
            line.append(message)
            continue
        own = list(takewhile(lambda other: other.id not in shared, waiting))
        line += waiting[: len(own) + 1]
        del waiting[: len(own) + 1]
        remaining -= 1
    return line + waiting


def _find_end_of_turn(messages: Sequence[BaseMessage]) -> int:
    return sum(1 for _ in takewhile(lambda message: not isinstance(message, HumanMessage), messages))


def _merge_by_time(before: list[list[BaseMessage]], after: list[list[BaseMessage]]) -> list[BaseMessage]:
    if not all(isinstance(_find_start_time(turn), str) for turn in before + after):
        return list(chain(*before, *after))
    return list(chain(*heapq.merge(before, after, key=lambda turn: str(_find_start_time(turn)))))


def _split_turns(messages: Sequence[BaseMessage]) -> list[list[BaseMessage]]:
    turns: list[list[BaseMessage]] = []
    for message in messages:
        if not turns or isinstance(message, HumanMessage):
            turns.append([])
        turns[-1].append(message)
    return turns


def _find_start_time(turn: list[BaseMessage]) -> object:
    return turn[0].additional_kwargs.get("created_at")


def _list_ids(messages: Sequence[BaseMessage]) -> set[str | None]:
    return {message.id for message in messages if message.id}


def _are_messages(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, BaseMessage) for item in value)


def _is_internal(channel: str) -> bool:
    # LangGraph's own: __start__, __pregel_tasks, branch:to:<node>. They belong to a run that is over.
    return channel.startswith("__") or ":" in channel
