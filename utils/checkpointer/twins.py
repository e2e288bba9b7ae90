"""Decoded values kept for later readers: each of them gets an object of its own, and what changed is always noticed.

A twin is a value's content in Python's own `marshal` form, which is quicker to make than a copy and, unlike `==`, tells
`1` from `True`. It is made and read by this process alone, never stored. Only content of exact built-in types has one:
with those, equal bytes mean equal content, down to the last nested list. Anything else has none, and is decoded again.
"""

import marshal
from typing import Any, NamedTuple

from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

Key = tuple[type, bytes]  # what a value is and holds; equal keys are serialized alike

_MODELS = frozenset(
    (
        AIMessage,
        AIMessageChunk,
        ChatMessage,
        Document,
        FunctionMessage,
        HumanMessage,
        RemoveMessage,
        SystemMessage,
        ToolMessage,
    )
)
_STRINGS = frozenset((str,))
_ATOMS = _STRINGS | {type(None), bool, int, float}
_FORM = 2  # of marshal: the last one without references, which depend on who else holds an object


class Twin(NamedTuple):
    """The content of a value, and which fields of a model count as given."""

    kind: type[Any]
    content: bytes
    given: frozenset[str]

    @property
    def key(self) -> Key:
        """What a value with this content is found by."""
        return self.kind, self.content

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.content)

    def revived(self) -> Any:
        """A new object with this content, which shares nothing that can be changed."""
        content = marshal.loads(self.content)  # noqa: S302 - made by this process, see above
        if self.kind not in _MODELS:
            return content
        value = object.__new__(self.kind)
        fields, extra = content
        value.__setstate__(
            {
                "__dict__": fields,
                "__pydantic_extra__": extra,
                "__pydantic_fields_set__": set(self.given),
                "__pydantic_private__": None,
            }
        )
        return value


def key_of(value: object) -> Key | None:
    """What *value* is found by if a twin of equal content is known; None for what cannot have a twin."""
    content = _content(value)
    return None if content is None else _key(value, content)


def has_twin(value: object) -> bool:
    """Whether *value* is of content that can be recognised by its `key_of`."""
    content = _content(value)
    return content is not None and _is_plain(content)


def twin_of(value: object) -> Twin | None:
    """The twin of *value*, or None if it cannot have one."""
    content = _content(value)
    key = _key(value, content) if content is not None and _is_plain(content) else None
    if key is None:
        return None
    return Twin(*key, frozenset(value.__pydantic_fields_set__ if type(value) in _MODELS else ()))  # type: ignore[attr-defined]  # a model


def _content(value: Any) -> object:
    """All of *value* that is serialized, in built-in containers; None if it is of a kind that has no twins."""
    kind = type(value)
    if kind in _MODELS:
        return None if value.__pydantic_private__ else (value.__dict__, value.__pydantic_extra__)
    return value if kind is dict or kind is list else None


def _key(value: object, content: Any) -> Key | None:
    try:
        return type(value), marshal.dumps(content, _FORM)
    except ValueError:  # something in it is of a type that marshal does not know
        return None


def _is_plain(content: Any) -> bool:
    # Not bytes: marshal writes everything that has a buffer, such as an array, like them.
    pending = [content]
    while pending:
        container = pending.pop()
        kind = type(container)
        if kind is dict:
            if not _STRINGS.issuperset(map(type, container)):
                return False
            container = container.values()
        elif kind is not list and kind is not tuple:
            return False
        if not _ATOMS.issuperset(map(type, container)):
            pending += [item for item in container if type(item) not in _ATOMS]
    return True
