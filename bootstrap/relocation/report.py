"""What is told about a move: what is where, what was compared, what differs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

# In the order in which they are moved. Records come last and all at once: until they are there, nobody has a key or a
# tenant in the target, so that what is half moved cannot be seen.
PASSAGES, CONVERSATIONS, RECORDS = "passages", "conversations", "records"
ROLES = (PASSAGES, CONVERSATIONS, RECORDS)
SAMPLES = 20  # compared whole, of each table, of each tenant's passages, and of the conversations

Progress = Callable[[str, int, int], None]
"""Hears of a role, how many of its things are done, and how many there are."""


class Direction(StrEnum):
    """Which stores are filled."""

    PRODUCTION = "production"
    EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class Check:
    """One kind of thing on both sides after the move: how many, how many were compared whole, which differ."""

    role: str
    what: str
    source: int
    target: int
    compared: int
    differing: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether both sides are alike as far as was looked."""
        return self.source == self.target and not self.differing


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a role has on both sides before the move: counts by kind, and where it all is, without secrets."""

    role: str
    from_place: str
    to_place: str
    source: Mapping[str, int]
    target: Mapping[str, int]
    way_out: str  # what to do about a target that holds something

    @property
    def is_free(self) -> bool:
        """Whether the target holds nothing."""
        return not any(self.target.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole move; `checks` is empty when it was a dry run, `continued` tells of an earlier one that broke off."""

    direction: Direction
    dry_run: bool
    continued: bool
    looks: tuple[Look, ...]
    checks: tuple[Check, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything that was compared is alike."""
        return all(check.ok for check in self.checks)


def listed(counts: Mapping[str, int]) -> str:
    """`2 tenants, 40 documents`, without what there is none of."""
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing"
