"""A conversation under other keys, for an operator: to encrypt what was not, to finish a rotation, or to go back.

old = Codec(Keyring.parse("new:…,old:…"), plain_too=True)   # reads whatever is there
new = Codec(Keyring.parse("new:…"))                         # or Codec(), to decrypt
"""

import hashlib
from collections.abc import Mapping
from typing import Literal

from .calls import ScriptCalls
from .codec import BLOB, PAGE, Codec
from .errors import StateUnreadable, UnreadableValue
from .keys import state_key
from .scripts import Call, Plan, pairs
from .transfer import is_current, rekeyed

TRIES = 5

# There is none; it was under these keys already; it was written to all the time and is as it was; it is under them now.
Outcome = Literal["absent", "current", "busy", "done"]


def reencrypted(script: ScriptCalls, thread_id: str, old: Codec, new: Codec) -> Plan[Outcome]:
    """Write the conversation, which *old* reads, anew by *new*, at once and whole, unless it changes meanwhile.

    Upkeep is not use: how long it has left to live does not change. Broken off, it can be begun again.

    Raises:
        StateUnreadable: something of it is broken, or its key is missing; it is as it was.
    """
    key = state_key(thread_id)
    for _ in range(TRIES):
        fields = pairs((yield Call("", (key,), ("HGETALL", key))))
        if not fields:
            return "absent"
        try:
            if is_current(fields, new):
                return "current"
            made = rekeyed(fields, old, new, thread_id)
        except UnreadableValue as exc:
            raise StateUnreadable(key, str(exc)) from exc
        if (yield script("replace", thread_id, len(fields), *_sums(fields), *made)):
            return "done"
    return "busy"


def _sums(fields: Mapping[bytes, bytes]) -> list[bytes | str]:
    """Names and checksums in turn: what must still be there. Values and pages never change, so theirs are empty."""
    sums: list[bytes | str] = []
    for name, value in fields.items():
        sums += (name, "" if name[:1] in (BLOB, PAGE) else hashlib.sha1(value, usedforsecurity=False).hexdigest())
    return sums
