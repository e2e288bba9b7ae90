"""What `flask state` prints: tables for people, JSON for programs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from langchain_core.messages import BaseMessage

from agents.threads import parse_thread
from cli.tables import align_columns
from utils.checkpointer.export import convert_to_json
from utils.checkpointer.inspection import CheckpointEntry, ConversationOverview, StoredConversation
from utils.checkpointer.sizes import ConversationSizes

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_HEAD = ("CONVERSATION", "STEP", "CHECKPOINTS", "BYTES", "AGE", "UNUSED", "LEFT")


def as_json(result: StoredConversation | CheckpointEntry) -> dict[str, Any]:
    """A conversation, or a checkpoint that cannot be read, as an object without content."""
    if isinstance(result, CheckpointEntry):
        return {"checkpoint_ns": result.namespace, "checkpoint_id": result.checkpoint_id, "problem": result.problem}
    thread = parse_thread(result.thread_id)
    summary = result.summary.model_dump(mode="json", by_alias=True) if result.summary else {}
    return {
        **summary,
        "thread_id": result.thread_id,
        "tenant": thread.tenant_id,
        "subject": thread.owner_id or None,
        "conversation_id": thread.conversation_id,
        "expires_in_s": result.left_s,
        "problem": result.problem or None,
    }


def format_list(conversations: Sequence[StoredConversation], *, total: int) -> str:
    """A table of conversations, and how many there are."""
    rows = [_HEAD, *(_format_row(one, datetime.now(UTC)) for one in conversations)]
    count = f"{total} conversations" + (
        f", {len(conversations)} shown: see --limit" if len(conversations) < total else ""
    )
    return "\n".join([*align_columns(rows), "", count]) if conversations else "No conversations."


def format_overview(overview: ConversationOverview, *, messages: bool, as_json: bool) -> str:
    """What a conversation is made of."""
    if as_json:
        return json.dumps(_describe_overview(overview, messages))
    return "\n".join(_format_sections(overview, messages))


def format_sizes(sizes: ConversationSizes, *, as_json: bool) -> str:
    """Bytes by kind, what both keys take of the server's memory, and what is saved."""
    if as_json:
        return json.dumps(asdict(sizes) | {"stored_bytes": sizes.stored_bytes, "saving": round(sizes.saving, 2)})
    kinds = [(kind, str(sizes.counts.get(kind, 0)), str(size)) for kind, size in sizes.bytes_by_kind.items()]
    lines = align_columns([("KIND", "FIELDS", "BYTES"), *kinds, ("together", "", str(sizes.stored_bytes))])
    lines += ["", *(f"{escape(key)}: {_format_memory(used)}" for key, used in sizes.memory_bytes.items()), ""]
    values = _format_size(sizes.values_bytes)
    lines.append(f"Values: {values} uncompressed, {sizes.compression:.1f} times smaller as stored.")
    lines.append(
        f"Every checkpoint whole and uncompressed: {_format_size(sizes.whole_bytes)}, {sizes.saving:.1f} times as much."
    )
    if sizes.unreadable:
        lines.append(f"{sizes.unreadable} fields cannot be read.")
    return "\n".join(lines)


def _format_row(conversation: StoredConversation, now: datetime) -> tuple[str, ...]:
    name, expiry = (
        escape(conversation.thread_id),
        _format_time(conversation.left_s) if conversation.left_s is not None else "no end",
    )
    summary = conversation.summary
    if summary is None:
        return name, f"({conversation.problem})", "", "", "", "", expiry
    age, unused = (_format_time((now - then).total_seconds()) for then in (summary.created_at, summary.updated_at))
    step = "-" if summary.step is None else str(summary.step)
    return name, step, str(summary.checkpoints), _format_size(summary.size_bytes), age, unused, expiry


def _describe_overview(overview: ConversationOverview, messages: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {
        **as_json(overview.found),
        "heads": overview.heads,
        "checkpoints_by_namespace": overview.counts,
        "newest": [asdict(line) for line in overview.newest],
        "channels": [asdict(piece) for piece in overview.channels],
        "pending_writes": [asdict(piece) for piece in overview.pending],
    }
    return facts | ({"messages": list(_list_messages(overview))} if messages else {})


def _format_sections(overview: ConversationOverview, messages: bool) -> Iterator[str]:
    yield from format_list([overview.found], total=1).splitlines()[:2]
    yield ""
    yield from align_columns(
        [
            ("NAMESPACE", "CHECKPOINTS", "NEWEST"),
            *((escape(ns) or "(root)", str(overview.counts[ns]), escape(head)) for ns, head in overview.heads.items()),
        ]
    )
    yield ""
    yield from align_columns(
        [("STEP", "SOURCE", "TIME", "CHECKPOINT", "NAMESPACE"), *map(_format_line, overview.newest)]
    )
    yield ""
    yield from align_columns(
        [("CHANNEL", "BYTES", "KIND"), *((escape(p.channel), str(p.size_bytes), p.kind) for p in overview.channels)]
    )
    if overview.pending:
        yield ""
        yield from align_columns(
            [
                ("PENDING IN", "BYTES", "TASK", "KIND"),
                *((escape(p.channel), str(p.size_bytes), p.task_id, p.kind) for p in overview.pending),
            ]
        )
    if messages:
        yield ""
        yield from (f"{each['role']}: {escape(str(each['content']))}" for each in _list_messages(overview))


def _format_line(line: CheckpointEntry) -> tuple[str, ...]:
    if line.problem:
        return "-", f"({line.problem})", "", escape(line.checkpoint_id), escape(line.namespace)
    step = "-" if line.step is None else str(line.step)
    return step, line.source, line.created_at[:19], line.checkpoint_id, escape(line.namespace)


def _list_messages(overview: ConversationOverview) -> Iterator[dict[str, Any]]:
    values = overview.head.checkpoint["channel_values"] if overview.head else {}
    for value in values.values():
        if isinstance(value, list):
            yield from (convert_to_json(item) for item in value if isinstance(item, BaseMessage))


def _format_time(seconds: float) -> str:
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _format_size(size_bytes: int) -> str:
    if size_bytes < 1_000:
        return f"{size_bytes} B"
    return f"{size_bytes / 1_000:.1f} KB" if size_bytes < 1_000_000 else f"{size_bytes / 1_000_000:.1f} MB"


def _format_memory(used: int | None) -> str:
    return "the server does not say" if used is None else f"{_format_size(used)} of memory"


def escape(text: str) -> str:
    """Names come from outside: a terminal must not obey what may be in them."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)
