"""What a check says: standard library alone."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How it stands; `skipped` means that nobody looked, and is no verdict."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    FAILURE = "FAILURE"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row: the thing looked at, how it stands, what was found, and what to do about it ("" where it is well)."""

    check: str
    level: Level
    found: str
    remedy: str = ""


def ok(check: str, found: str) -> Finding:
    """*check* is as it should be."""
    return Finding(check, Level.OK, found)


def skipped(check: str, why: str) -> Finding:
    """*check* was not made."""
    return Finding(check, Level.SKIPPED, why)


def warning(check: str, found: str, remedy: str) -> Finding:
    """The service works as it is, and something about *check* should be known."""
    return Finding(check, Level.WARNING, found, remedy)


def failure(check: str, found: str, remedy: str) -> Finding:
    """The service does not start, cannot serve, or is open to others, because of *check*."""
    return Finding(check, Level.FAILURE, found, remedy)
