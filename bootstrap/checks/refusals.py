"""Our errors as findings."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from bootstrap.checks.finding import Finding, Level
from utils.errors import ProblemError

# Between what is the matter and what to do about it, as our messages are written.
_REMEDY = re.compile(r"(?<=[.;]) (?=[A-Z])|[:;] (?=(?:set|check|start|stop|write|use|try|wait|raise|begin) )")


def told(check: str, message: str, otherwise: str, level: Level = Level.FAILURE) -> Finding:
    """What *message* says is wrong, and what it says to do; *otherwise* where it says nothing of the kind."""
    found, *rest = _REMEDY.split(message, maxsplit=1)
    remedy = rest[0][:1].upper() + rest[0][1:] if rest else otherwise
    return Finding(check, level, found if found.endswith(".") else f"{found}.", remedy)


@contextmanager
def noting(findings: list[Finding], check: str, otherwise: str, level: Level = Level.FAILURE) -> Iterator[None]:
    """Add to *findings* what goes wrong in the block with something outside; it ends the block, not the check."""
    try:
        yield
    except ProblemError as exc:
        findings.append(told(check, exc.detail, otherwise, level))
