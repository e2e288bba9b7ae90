"""What a visitor is told when something goes wrong. What the service says of it goes to the log, for operators."""

import logging
from collections.abc import Mapping

from clients.api_errors import ApiAway, ApiError, ApiRefused

logger = logging.getLogger(__name__)
_TOO_MANY = 429
_AGAIN = "Try again in a moment."
_TELL = "Try again. If it happens again, tell the people who run this page."
_BY_TYPE: Mapping[str, tuple[str, str]] = {
    "visitor-refused": ("Your visit has expired", "Reload the page to go on."),
    "not-found": ("Not found", "It has expired, or it does not exist."),
    "gone": ("Not found", "It has expired, or it does not exist."),
    "not-enough-space": ("The chat does not work at the moment", "Please tell the people who run this page."),
    "unauthorized": ("The chat does not work at the moment", "Please tell the people who run this page."),
    "forbidden": ("The chat does not work at the moment", "Please tell the people who run this page."),
}
_BY_STATUS: Mapping[int, tuple[str, str]] = {
    400: ("The question could not be taken", "Try to put it in other words, or shorter."),
    409: ("This conversation is busy", "An earlier question is still being answered."),
    413: ("The question is too long", "Try to put it shorter."),
    422: ("The question could not be taken", "Try to put it in other words, or shorter."),
    502: ("The answer could not be written", _AGAIN),
    503: ("The service is busy", _AGAIN),
    504: ("The answer took too long", _AGAIN),
}


def explain_to_visitor(failure: ApiError) -> tuple[str, str]:
    """A title and what to do, in words that name nothing of how the service is set up or run."""
    if isinstance(failure, ApiAway):
        return failure.title, failure.detail  # these are this client's own
    if not isinstance(failure, ApiRefused):
        return "Something went wrong on our side", _TELL
    if failure.status == _TOO_MANY:
        return "Too many questions at the moment", _when(failure.retry_after_s)
    known = _BY_TYPE.get(failure.kind) or _BY_STATUS.get(failure.status)
    return known or ("Something went wrong on our side", _TELL)


def log_failure(failure: ApiError) -> None:
    """Write down what the service says, for the operator."""
    if isinstance(failure, ApiRefused) and failure.status != _TOO_MANY:
        logger.warning("%s %s: %s (request %s)", failure.status, failure.title, failure.detail, failure.request_id)


def _when(wait_s: int | None) -> str:
    return "You can ask again later." if wait_s is None else f"You can ask again in {_span(wait_s)}."


def _span(wait_s: int) -> str:
    longest = {100: (1, "second"), 6_000: (60, "minute"), 172_800: (3_600, "hour")}
    unit_s, unit = next((units for below_s, units in longest.items() if wait_s < below_s), (86_400, "day"))
    number = -(-wait_s // unit_s)
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"
