"""LangGraph's state on plain Redis or Valkey: no modules, two keys a conversation, nothing without an end.

keys         where things are              codec, pages, values   Python values to fields and back
records      what scripts read too         hints                  what need not be sent again
lua, scripts the server's side             plans                  each operation, once
saver        RedisCheckpointer             fallback, memory       what serves while Redis is away
returning, recovery, merging               the way back to Redis
address, clients, connections              which Redis, and how to reach it
diagnosis, verdicts                        what is wrong with one
"""

from utils.checkpointer.connections import Connections
from utils.checkpointer.errors import StateUnreadable
from utils.checkpointer.fallback import FallbackCheckpointer
from utils.checkpointer.memory import Memory
from utils.checkpointer.saver import RedisCheckpointer

__all__ = ["Connections", "FallbackCheckpointer", "Memory", "RedisCheckpointer", "StateUnreadable"]
