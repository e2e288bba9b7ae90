"""How a script about a conversation is called."""

from dataclasses import dataclass
from datetime import UTC, datetime

from .keys import lease_key, state_key, summary_key
from .scripts import Argument, Call


@dataclass(frozen=True, slots=True)
class ScriptCalls:
    """Calls that leave both keys *ttl_ms* to live; with 0 they leave them what they have."""

    ttl_ms: int

    def __call__(self, name: str, thread_id: str, *args: Argument, fence: int = 0) -> Call:
        """The call of the script *name*; see lua/common.lua for what it begins with.

        With a *fence* it is given the lease, too.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        keys = (summary_key(thread_id), state_key(thread_id), *((lease_key(thread_id),) if fence else ()))
        return Call(name, keys, (self.ttl_ms, now, thread_id, *args))
