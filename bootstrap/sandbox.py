"""Which walls stand around the sandbox in which strangers' files are read, for the operator."""

import logging

from utils.errors import NotReady
from utils.processes import StartError
from utils.sandbox.sandbox import Sandbox
from utils.sandbox.walls import MEANING, REMEDY, Wall, WallReport

logger = logging.getLogger("bootstrap.sandbox")


def check_walls(sandbox: Sandbox, *, required: bool) -> WallReport:
    """Which walls stand on this system; also logged. Blocking.

    Raises:
        StartError: one is missing, and all are *required*.
    """
    report = find_walls(sandbox)
    if required and report.missing:
        raise StartError(f"SANDBOX_REQUIRED: {describe_missing(report)} Mend that, or unset SANDBOX_REQUIRED.")
    logger.info("Files are read in a sandbox.", extra={"walls": report.standing})
    for wall, why in report.missing.items():
        texts = (wall, MEANING[wall], REMEDY[wall])
        logger.warning("Sandbox: %s isolation is not available. %s %s", *texts, extra={"reason": why})
    return report


def find_walls(sandbox: Sandbox) -> WallReport:
    """Which walls stand, without a log line; none where no process can be started."""
    try:
        return sandbox.find_walls()
    except NotReady as exc:
        return WallReport({}, dict.fromkeys(Wall, exc.detail))


def describe_missing(report: WallReport) -> str:
    """The missing walls and why, as sentences."""
    return " ".join(f"The sandbox lacks {wall} ({why})." for wall, why in report.missing.items())
