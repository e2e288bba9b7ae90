"""LangGraph's state on plain Redis or Valkey: no modules, two keys a conversation, nothing without an end.

keys         where things are              codec, pages, values   Python values to fields and back
records      what scripts read too         hints                  what need not be sent again
lua, scripts the server's side             plans                  each operation, once
saver        RedisCheckpointer             fallback, memory       what serves while Redis is away
returning, recovery, merging               the way back to Redis
address, clients, connections              which Redis, and how to reach it
diagnosis, verdicts                        what is wrong with one
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
