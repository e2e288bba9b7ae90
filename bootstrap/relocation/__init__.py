"""Moving a whole installation between its embedded stores and the configured ones, without changing what it came from.

move           the whole of it: refuse, copy, compare       choice   which roles, between which places
records        SQL, in one transaction, at the very end     places   where a store is, and how it is found or made
passages       the index, with its vectors                  journal  what an interrupted move leaves behind
compared       passages on both sides, side by side         report   what is told about it all
conversations  Redis, byte for byte, each with its end
"""

from bootstrap.relocation.move import relocate
from bootstrap.relocation.report import (
    CONVERSATIONS,
    PASSAGES,
    RECORDS,
    ROLES,
    Check,
    Direction,
    Progress,
    Report,
    listed,
)

__all__ = [
    "CONVERSATIONS",
    "PASSAGES",
    "RECORDS",
    "ROLES",
    "Check",
    "Direction",
    "Progress",
    "Report",
    "listed",
    "relocate",
]
