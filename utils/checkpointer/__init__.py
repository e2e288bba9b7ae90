"""LangGraph's state on plain Redis or Valkey: no modules, two keys a conversation, nothing without an end.

saver                          RedisCheckpointer
writing, reading               checkpoints and writes, to Redis and back
values, serializer, models     Python values to fields of a hash and back
codec, cipher                  fields to bytes and back
cache                          what need not be sent or fetched again
records, lua, scripts          what the server's scripts read, and how they are called
retention, reencryption        which checkpoints go; conversations under other keys or another id
fallback, memory, recovery     what serves while Redis is away, and the way back
address, clients, connections  which Redis, and how to reach it
diagnosis, redis_errors        what is wrong with one
inspection, sizes, export      looking at what is stored
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .cipher import Keyring
    from .connections import Connections
    from .errors import CheckpointConflict, StateUnreadable, StoreRefused, StoreUnavailable, TypeNotAllowed
    from .fallback import FallbackCheckpointer
    from .memory import Memory
    from .meter import Meter
    from .saver import RedisCheckpointer

__all__ = [
    "CheckpointConflict",
    "Connections",
    "FallbackCheckpointer",
    "Keyring",
    "Memory",
    "Meter",
    "RedisCheckpointer",
    "StateUnreadable",
    "StoreRefused",
    "StoreUnavailable",
    "TypeNotAllowed",
]
_MODULES = {
    "Connections": "connections",
    "FallbackCheckpointer": "fallback",
    "Keyring": "cipher",
    "Memory": "memory",
    "Meter": "meter",
    "RedisCheckpointer": "saver",
}


def __getattr__(name: str) -> object:
    # Loaded when they are used: whoever needs the errors alone does not wait for LangGraph and redis-py.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES.get(name, 'errors')}", __name__), name)
