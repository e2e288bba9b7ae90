"""LangChain's messages and documents, stored so that they come back without being validated anew.

LangGraph's serializer calls a message's constructor, which is most of the time that reading a conversation takes. Here
it is tried when a message is written: only if what it gives is what was written, down to the last nested list, the
message is stored as its class and fields, to be put together from them. A class that has other fields when they are
read, because LangChain was updated, is given them in its constructor after all.
"""

import marshal
from collections.abc import Iterable
from typing import Any

import ormsgpack
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
from pydantic import BaseModel

from .errors import UnreadableValue

# What a value is and holds: its type, the text of a model if it has one, and the rest. Equal keys are serialized alike.
Key = tuple[type, str | None, bytes]

MODEL = "model"  # the kind of what is stored in this form
_MODELS = frozenset[type[BaseModel]](
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
_CLASSES = {(model.__module__, model.__name__): model for model in _MODELS}
_ORDER = {model: tuple(model.model_fields) for model in _MODELS}  # of the fields
_NAMES = {model: set(names) for model, names in _ORDER.items()}
# Where the longest field is, if it is text: one that cannot be changed, and can be given to every reader.
_TEXT_AT = {model: _ORDER[model].index("page_content" if model is Document else "content") for model in _MODELS}
_WITH_EXTRA = frozenset(model for model in _MODELS if model.model_config.get("extra") == "allow")
_STRINGS = frozenset((str,))
_PLAIN = frozenset((dict, list))
_ATOMS = _STRINGS | {type(None), bool, int, float}
_FORM = 2  # of marshal: the last one without references, which depend on who else holds an object
# A model's own slots: they are set for every message that is read, and setattr takes twice as long.
_set_fields, _set_extra, _set_given, _set_private = (
    vars(BaseModel)[name].__set__
    for name in ("__dict__", "__pydantic_extra__", "__pydantic_fields_set__", "__pydantic_private__")
)


def key_of(value: object) -> Key | None:
    """What *value* is recognised by; None for what cannot be.

    `marshal` is quicker than a copy and, unlike `==`, tells `1` from `True`. Of values that are `is_plain`, equal bytes
    mean equal content. The text is apart: one that nobody has replaced is the same object, and compared as such.
    """
    parts = _parts(value)
    if parts is None:
        return None
    try:
        return type(value), parts[0], marshal.dumps(parts[1], _FORM)
    except ValueError:  # something in it is of a type that marshal does not know
        return None


def revived(key: Key) -> Any:
    """A new object like the model that had this *key*, which shares nothing with it that can be changed.

    It is what `unpacked` makes of the same model: only of those that `packed` takes may this be asked.
    """
    model, text, rest = key
    values, _ = marshal.loads(rest)  # noqa: S302 - made by this process, by `key_of`
    if text is not None:
        values[_TEXT_AT[model]] = text
    return _object(model, dict(zip(_ORDER[model], values, strict=True)))


def is_plain(value: object) -> bool:
    """Whether *value* is a list or dictionary of nothing but None, bools, numbers, text, lists, tuples and dictionaries
    with text for keys, all of exactly these types: so no other value has the same key."""
    return type(value) in _PLAIN and _is_plain(value, _PLAIN | {tuple})


def is_model(value: object) -> bool:
    """Whether *value* is one of the messages and documents that `packed` knows."""
    return type(value) in _MODELS


def packed(value: object, reread: object) -> bytes | None:
    """The form of *value* that `unpacked` takes, if *reread*, which LangGraph makes of it, is the same; else None."""
    if not is_model(reread) or key_of(reread) != key_of(value):
        return None
    return form_of(reread) if reread.__pydantic_fields_set__ == reread.__dict__.keys() else None  # type: ignore[attr-defined]  # a model


def form_of(value: Any) -> bytes | None:
    """What `packed` makes of *value* if it makes anything of it; for finding out whether that is already there."""
    model = type(value)
    if model not in _MODELS or value.__pydantic_private__ or value.__pydantic_extra__ != _no_extra(model):
        return None
    fields = value.__dict__
    if tuple(fields) != _ORDER[model] or not _is_plain(fields, _PLAIN):
        return None
    try:
        return ormsgpack.packb((model.__module__, model.__name__, fields))
    except ormsgpack.MsgpackEncodeError:  # a number or text that msgpack does not have
        return None


def unpacked(data: Iterable[bytes]) -> list[Any]:
    """New objects from what `packed` made of them.

    Raises:
        UnreadableValue: broken, or of another class than those above.
    """
    try:
        # Without a hook for extensions: nothing but plain values is read, and nothing is called.
        return [_built(*ormsgpack.unpackb(one)) for one in data]
    except UnreadableValue:
        raise
    except Exception as exc:  # not msgpack, not of this form, or what a constructor makes of foreign fields
        raise UnreadableValue(f"a broken message: {type(exc).__name__}") from exc


def _built(module: str, name: str, fields: dict[str, Any]) -> Any:
    model = _CLASSES.get((module, name))
    if model is None:
        raise UnreadableValue(f"it names a type that is not allowed: {module}.{name}")
    return _object(model, fields) if tuple(fields) == _ORDER[model] else model(**fields)


def _object(model: type, fields: dict[str, Any]) -> Any:
    value: Any = object.__new__(model)
    # As pydantic does it when it unpickles a model.
    _set_fields(value, fields)
    _set_extra(value, _no_extra(model))
    _set_given(value, _NAMES[model].copy())
    _set_private(value, None)
    return value


def _no_extra(model: type) -> dict[str, Any] | None:
    return {} if model in _WITH_EXTRA else None


def _parts(value: Any) -> tuple[str | None, Any] | None:
    """The text of a model, and all else of *value* that is serialized, in built-in containers; None for no key."""
    model = type(value)
    if model not in _MODELS:
        return (None, value) if model in _PLAIN else None
    fields = value.__dict__
    if value.__pydantic_private__ or tuple(fields) != _ORDER[model]:
        return None
    values, at = [*fields.values()], _TEXT_AT[model]
    text = values[at]
    if type(text) is not str:
        return None, (values, value.__pydantic_extra__)
    values[at] = None
    return text, (values, value.__pydantic_extra__)


def _is_plain(content: Any, containers: frozenset[type]) -> bool:
    # Not bytes: marshal writes everything that has a buffer, such as an array, like them.
    pending = [content]
    while pending:
        container = pending.pop()
        if type(container) not in containers:
            return False
        if type(container) is dict:
            if not _STRINGS.issuperset(map(type, container)):
                return False
            container = container.values()
        if not _ATOMS.issuperset(map(type, container)):
            pending += [item for item in container if type(item) not in _ATOMS]
    return True
