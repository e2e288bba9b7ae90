"""Which of two documents holds, where they say different things."""

from dataclasses import dataclass
from typing import Literal

Standing = tuple[float, str | None]
"""A document's precedence, and its day such as 2026-12-31."""
DecidedBy = Literal["precedence", "date"]


@dataclass(frozen=True, slots=True)
class Choice:
    """The place of the one that holds, 0 or 1, and why; None for neither."""

    preferred: Literal[0, 1] | None
    decided_by: DecidedBy | None


def choose(one: Standing, other: Standing) -> Choice:
    """That of higher precedence, else the newer one."""
    if one[0] != other[0]:
        return Choice(0 if one[0] > other[0] else 1, "precedence")
    if one[1] is None or other[1] is None or one[1] == other[1]:
        return Choice(None, None)
    return Choice(0 if one[1] > other[1] else 1, "date")
