"""What is said about a move: what is where, what was compared, what differs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

# In the order in which they are moved. Records come last and all at once: until they are there, nobody has a key or a
# tenant in the target, so that what is half moved cannot be seen.
PASSAGES, CONVERSATIONS, RECORDS = "passages", "conversations", "records"
ROLES = (PASSAGES, CONVERSATIONS, RECORDS)
SAMPLES = 20  # compared whole, of each table, of each tenant's passages, and of the conversations

Progress = Callable[[str, int, int], None]
"""Is told a role, how many of its items are done, and how many there are."""


class Direction(StrEnum):
    """Which stores are filled."""

    PRODUCTION = "production"
    EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class StoreComparison:
    """One kind of item in both stores after the move: how many, how many were compared whole, which differ."""

    role: str
    what: str
    source: int
    target: int
    compared: int
    differing: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no difference was found."""
        return self.source == self.target and not self.differing


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCounts:
    """What both stores of a role hold before the move: counts by kind, and where they are, without secrets."""

    role: str
    from_place: str
    to_place: str
    source: Mapping[str, int]
    target: Mapping[str, int]
    remedy: str  # what to do about a target that holds something


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The whole move; `checks` is empty after a dry run; `continued`: an interrupted move was continued."""

    direction: Direction
    dry_run: bool
    continued: bool
    stores: tuple[StoreCounts, ...]
    checks: tuple[StoreComparison, ...]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether no difference was found."""
        return all(check.ok for check in self.checks)


def format_counts(counts: Mapping[str, int]) -> str:
    """`2 tenants, 40 documents`, without the zeros."""
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing"
