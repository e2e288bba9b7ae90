"""LangGraph's msgpack serializer, closed: a type that is not listed is refused, neither imported nor passed on raw.

It is refused when it is written already: what the next turn could not read must not look as if it had been kept.

LangGraph's own default imports and calls whatever class a checkpoint names (CVE-2026-28277), and its JSON form builds
objects from constructor calls in the data (CVE-2025-64439).
"""

from collections.abc import Collection, Iterable
from functools import cache
from importlib import import_module
from typing import Any

import ormsgpack
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from .errors import TypeNotAllowed, UnreadableValue
from .models import MODEL, pack_model, unpack_model

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
    "ipaddress": ("IPv4Address", "IPv4Interface", "IPv4Network", "IPv6Address", "IPv6Interface", "IPv6Network"),
    "langchain_core.documents.base": ("Document",),
    "pathlib": ("Path", "PosixPath", "PurePosixPath", "PureWindowsPath"),
    "langgraph.types": ("Command", "Interrupt", "Overwrite", "Send", "TimeoutPolicy"),
    "uuid": ("UUID",),
    "zoneinfo": ("ZoneInfo",),
}
_READABLE = ("null", "bytes", "bytearray", "msgpack")
# Extension codes of langgraph.checkpoint.serde.jsonplus: 0-5 name a type first, 6 is a numpy array, 7 wraps a value.
_NAMED, _ARRAY, _SNAPSHOT = range(6), 6, 7
_SCALARS = frozenset((bool, int, float, str))  # they name no type
_OPTIONS = ormsgpack.OPT_NON_STR_KEYS


def list_known_types() -> frozenset[TypeName]:
    """LangChain's messages, LangGraph's own types and a few plain values, as (module, name)."""
    messages = {(f"langchain_core.messages.{module}", name) for module, names in _MESSAGES.items() for name in names}
    return frozenset(messages | {(module, name) for module, names in _PLAIN.items() for name in names})


class StrictSerializer(JsonPlusSerializer):
    """Writes what JsonPlusSerializer writes, of *allowed* types only (default: `list_known_types`); reads no others."""

    def __init__(self, allowed: Collection[TypeName | type] | None = None) -> None:
        self._allowed = frozenset(map(_name_type, allowed or list_known_types()))
        super().__init__(allowed_msgpack_modules=sorted(self._allowed))

    def with_msgpack_allowlist(self, extra_allowlist: Iterable[TypeName | type]) -> "StrictSerializer":
        """A serializer that also takes these types."""
        extra = set(map(_name_type, extra_allowlist))
        return self if extra <= self._allowed else StrictSerializer(self._allowed | extra)

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """The kind and the bytes of *obj*: "model" for a message of plain values, see models.py.

        Raises:
            TypeNotAllowed: it holds an object that could not be read again.
        """
        model = pack_model(obj)
        if model is not None:
            return MODEL, model
        try:
            kind, payload = super().dumps_typed(obj)
        except ormsgpack.MsgpackEncodeError as exc:
            raise TypeNotAllowed(f"a {type(obj).__name__}", str(exc)) from exc
        if kind == "msgpack" and type(obj) not in _SCALARS:
            self._check_writable(payload)
        return kind, bytes(payload)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """The value.

        Raises:
            UnreadableValue: not msgpack, or broken, or it names a type that is not allowed.
        """
        kind, payload = data
        if kind == MODEL:
            return unpack_model(payload)
        if kind not in _READABLE:
            raise UnreadableValue(f"the serialization {kind!r} is not read here")
        try:
            # LangGraph answers a forbidden type with its raw data, so they are looked for first.
            refused = _list_types(payload) - self._allowed if kind == "msgpack" else None
            if not refused:
                return super().loads_typed(data)
        except Exception as exc:  # also whatever a constructor of an allowed type makes of foreign data
            raise UnreadableValue(f"broken msgpack: {type(exc).__name__}") from exc
        raise UnreadableValue(f"it names types that are not allowed: {', '.join(sorted(map('.'.join, refused)))}")

    def _check_writable(self, payload: bytes) -> None:
        try:
            names = _list_types(payload)
        except Exception as exc:  # such as a dictionary whose keys cannot be keys any more
            raise TypeNotAllowed("a value", f"it could not be read again ({exc})") from exc
        for name in names:
            if name not in self._allowed:
                remedy = f"add it to allowed_types of the saver: allowed_types=[{name[-1]}]"
                raise TypeNotAllowed(".".join(name), remedy)
            try:
                _find_class(*name)
            except (ImportError, AttributeError) as exc:
                raise TypeNotAllowed(".".join(name), "no module has it under this name: define it at the top") from exc


def _name_type(kind: TypeName | type) -> TypeName:
    return (kind.__module__, kind.__name__) if isinstance(kind, type) else tuple(kind)


@cache
def _find_class(module: str, name: str) -> Any:
    return getattr(import_module(module), name)


def _list_types(payload: bytes) -> set[TypeName]:
    """The types that *payload* names, as (module, name); nothing is imported. It raises whatever msgpack does."""
    type_names: set[TypeName] = set()

    def look(code: int, data: bytes) -> None:
        if code == _ARRAY:
            return
        if code not in _NAMED and code != _SNAPSHOT:
            type_names.add((f"extension {code}",))
            return
        content = ormsgpack.unpackb(data, ext_hook=look, option=_OPTIONS)
        if code in _NAMED:
            type_names.add((str(content[0]), str(content[1])))

    ormsgpack.unpackb(payload, ext_hook=look, option=_OPTIONS)
    return type_names
