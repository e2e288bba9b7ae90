"""Checkpoints as JSON, for people and other programs: messages with role, text and id, other values as it goes."""

import base64
import dataclasses
import math
from collections.abc import Mapping
from datetime import date, time
from enum import Enum
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.checkpoint.base import CheckpointTuple
from pydantic import BaseModel

_ROLES = {"human": "user", "ai": "assistant"}


def export_checkpoint(checkpoint: CheckpointTuple) -> dict[str, Any]:
    """A checkpoint with its metadata, values and pending writes."""
    names = checkpoint.config["configurable"]
    parent = checkpoint.parent_config
    return {
        "checkpoint_ns": names["checkpoint_ns"],
        "checkpoint_id": names["checkpoint_id"],
        "parent_checkpoint_id": parent["configurable"]["checkpoint_id"] if parent else None,
        "created_at": checkpoint.checkpoint["ts"],
        "metadata": convert_to_json(checkpoint.metadata),
        "channel_versions": convert_to_json(checkpoint.checkpoint["channel_versions"]),
        "values": convert_to_json(checkpoint.checkpoint["channel_values"]),
        "pending_writes": [
            {"task_id": task_id, "channel": channel, "value": convert_to_json(value)}
            for task_id, channel, value in checkpoint.pending_writes or ()
        ],
    }


def convert_to_json(value: object) -> Any:
    """*value* as JSON has it. An object becomes its fields and its `type`, bytes become Base64, keys become strings."""
    if value is None or isinstance(value, str | bool | int):
        return str(value) if isinstance(value, Enum) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): convert_to_json(item) for key, item in value.items()}
    if isinstance(value, bytes | bytearray):
        return {"type": "bytes", "base64": base64.b64encode(value).decode()}
    if isinstance(value, date | time):
        return value.isoformat()
    fields = _list_fields(value)
    if fields is not None:
        return {name: convert_to_json(item) for name, item in fields.items()}
    try:
        return [convert_to_json(item) for item in value]  # type: ignore[attr-defined]  # a list, a set, a deque: or it is none
    except TypeError:
        return str(value)


def _list_fields(value: object) -> dict[str, Any] | None:
    """What an object consists of; None if it is none that says so."""
    named = {"type": type(value).__name__}
    if isinstance(value, BaseModel):
        named |= {"role": _ROLES.get(value.type, value.type)} if isinstance(value, BaseMessage) else {}
        # Not model_dump, which warns of what does not fit the field's type.
        return named | {name: getattr(value, name) for name in type(value).model_fields} | (value.model_extra or {})
    if dataclasses.is_dataclass(value):
        return named | {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    if type(value).__module__ == "langgraph.types":  # Send keeps its fields in slots
        return named | {name: getattr(value, name, None) for name in getattr(value, "__slots__", ())}
    return None
