"""LangGraph's msgpack serializer, closed: a type that is not listed is refused, neither imported nor passed on raw.

LangGraph's own default imports and calls whatever class a checkpoint names (CVE-2026-28277), and its JSON form builds
objects from constructor calls in the data (CVE-2025-64439).
"""

from collections.abc import Collection, Iterable
from typing import Any

import ormsgpack
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from utils.checkpointer.errors import UnreadableValue

TypeName = tuple[str, ...]

_MESSAGES = {
    "base": ("BaseMessage", "BaseMessageChunk"),
    "human": ("HumanMessage", "HumanMessageChunk"),
    "ai": ("AIMessage", "AIMessageChunk"),
    "system": ("SystemMessage", "SystemMessageChunk"),
    "chat": ("ChatMessage", "ChatMessageChunk"),
    "tool": ("ToolMessage", "ToolMessageChunk"),
    "function": ("FunctionMessage", "FunctionMessageChunk"),
    "modifier": ("RemoveMessage",),
}
_PLAIN = {
    "builtins": ("set", "frozenset"),
    "collections": ("deque",),
    "datetime": ("datetime", "date", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "langchain_core.documents.base": ("Document",),
    "langgraph.types": ("Command", "Interrupt", "Overwrite", "Send", "TimeoutPolicy"),
    "uuid": ("UUID",),
    "zoneinfo": ("ZoneInfo",),
}
_READABLE = ("null", "bytes", "bytearray", "msgpack")
# Extension codes of langgraph.checkpoint.serde.jsonplus: 0-5 name a type first, 6 is a numpy array, 7 wraps a value.
_NAMED, _ARRAY, _SNAPSHOT = range(6), 6, 7


def known_types() -> frozenset[TypeName]:
    """LangChain's messages, LangGraph's own types and a few plain values, as (module, name)."""
    messages = {(f"langchain_core.messages.{module}", name) for module, names in _MESSAGES.items() for name in names}
    return frozenset(messages | {(module, name) for module, names in _PLAIN.items() for name in names})


class StrictSerializer(JsonPlusSerializer):
    """Writes what JsonPlusSerializer writes, reads only *allowed* types (default: `known_types()`)."""

    def __init__(self, allowed: Collection[TypeName] | None = None) -> None:
        self._allowed = frozenset(allowed or known_types())
        super().__init__(allowed_msgpack_modules=sorted(self._allowed))

    def with_msgpack_allowlist(self, extra_allowlist: Iterable[TypeName | type]) -> "StrictSerializer":
        """The same with further types."""
        extra = {(t.__module__, t.__name__) if isinstance(t, type) else tuple(t) for t in extra_allowlist}
        return self if extra <= self._allowed else StrictSerializer(self._allowed | extra)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value.

        Raises:
            UnreadableValue: not msgpack, or broken, or it names a type that is not allowed.
        """
        kind, payload = data
        if kind not in _READABLE:
            raise UnreadableValue(f"the serialization {kind!r} is not read here")
        if kind == "msgpack":
            self._check(payload)
        return super().loads_typed(data)

    def _check(self, payload: bytes) -> None:
        # A pass of its own, because LangGraph's hook answers a forbidden type with its raw data instead of an error.
        refused: list[str] = []

        def hook(code: int, data: bytes) -> None:
            if code in _NAMED:
                named = ormsgpack.unpackb(data, ext_hook=hook, option=ormsgpack.OPT_NON_STR_KEYS)
                if (named[0], named[1]) not in self._allowed:
                    refused.append(f"{named[0]}.{named[1]}")
            elif code == _SNAPSHOT:
                ormsgpack.unpackb(data, ext_hook=hook, option=ormsgpack.OPT_NON_STR_KEYS)
            elif code != _ARRAY:
                refused.append(f"extension {code}")

        try:
            ormsgpack.unpackb(payload, ext_hook=hook, option=ormsgpack.OPT_NON_STR_KEYS)
        except (ValueError, TypeError, IndexError, KeyError) as exc:
            raise UnreadableValue("broken msgpack") from exc
        if refused:
            raise UnreadableValue(f"it names types that are not allowed: {', '.join(sorted(set(refused)))}")
