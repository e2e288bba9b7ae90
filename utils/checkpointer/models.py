"""LangChain's messages and documents, stored as their class and fields, so that they come back without validation.

LangGraph's serializer calls a message's constructor, which is most of the time that reading a conversation takes. A
message is only stored in this form if its fields hold nothing but plain values, so that it comes back as it was. A
class that has other fields when they are read, because LangChain was updated, is given them in its constructor.
"""

from copy import copy
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

MODEL = "model"  # the kind of what is stored in this form
_MODELS: tuple[type[BaseModel], ...] = (
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
_CLASSES = {(model.__module__, model.__name__): model for model in _MODELS}
_FIELDS = {model: tuple(model.model_fields) for model in _MODELS}
# To copy one and give it its fields takes half the time of `model_construct`, which looks at each of them.
_BLANKS = {model: model.model_construct(**dict.fromkeys(fields)) for model, fields in _FIELDS.items()}
# What msgpack would write and not give back as it was is for LangGraph's serializer.
_PLAIN_ONLY = (
    ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
)


def pack_model(value: Any) -> bytes | None:
    """A message or document of plain values as `unpack_model` takes it; None for anything else."""
    model = type(value)
    fields = _FIELDS.get(model)
    if fields is None or value.model_extra or tuple(vars(value)) != fields:
        return None
    try:
        return ormsgpack.packb([model.__module__, model.__name__, vars(value)], option=_PLAIN_ONLY)
    except ormsgpack.MsgpackEncodeError:
        return None


def unpack_model(data: bytes) -> Any:
    """A new object from what `pack_model` made of it.

    Raises:
        UnreadableValue: broken, or of another class than those above.
    """
    try:
        # Without a hook for extensions: nothing but plain values is read, and nothing is called.
        module, name, fields = ormsgpack.unpackb(data)
        model = _CLASSES.get((module, name))
        if model is not None:
            if tuple(fields) != _FIELDS[model]:
                return model(**fields)
            value = copy(_BLANKS[model])
            vars(value).update(fields)
            return value
    except Exception as exc:  # not msgpack, not of this form, or what a constructor makes of foreign fields
        raise UnreadableValue(f"a broken message: {type(exc).__name__}") from exc
    raise UnreadableValue(f"it names a type that is not allowed: {module}.{name}")
