"""What a check says: standard library alone, since packages may be what is missing."""

import re
from dataclasses import dataclass
from enum import StrEnum

# Between what is the matter and what to do about it, as our messages are written.
_REMEDY = re.compile(r"(?<=[.;]) (?=[A-Z])|[:;] (?=(?:set|check|start|stop|write|use|try|wait|raise|begin) )")


class Level(StrEnum):
    """How it stands; `skipped` means that nobody looked, and is no verdict."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    FAILURE = "FAILURE"


@dataclass(frozen=True, slots=True)
class Finding:
    """One row: what was checked, how it stands, what was found, and what to do about it ("" where it is well)."""

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


def split_message(check: str, message: str, remedy: str, level: Level = Level.FAILURE) -> Finding:
    """One of our messages as what it says is wrong and what to do; *remedy* where it says nothing to do."""
    found, *rest = _REMEDY.split(message, maxsplit=1)
    remedy = rest[0][:1].upper() + rest[0][1:] if rest else remedy
    return Finding(check, level, found if found.endswith(".") else f"{found}.", remedy)
