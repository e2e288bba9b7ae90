"""What a visitor is told when something goes wrong. What the service says of it goes to the log, for operators."""

import logging
from collections.abc import Mapping

from clients.api_errors import ApiAway, ApiError, ApiRefused
from clients.streamlit_chat.texts import say

logger = logging.getLogger(__name__)
_CONFLICT, _TOO_MANY = 409, 429
# Names of texts: what is wrong, and what to do.
_WRONG = ("wrong", "wrong_advice")
_FULL = ("versions_full", "versions_full_advice")
_BOT_OFF = ("bot_off", "bot_off_advice")
_BY_TYPE: Mapping[str, tuple[str, str]] = {
    "visitor-refused": ("expired_visit", "expired_visit_advice"),
    "not-found": ("not_found", "not_found_advice"),
    "gone": ("not_found", "not_found_advice"),
    "not-enough-space": ("not_set_up", "not_set_up_advice"),
    "unauthorized": ("not_set_up", "not_set_up_advice"),
    "forbidden": ("not_set_up", "not_set_up_advice"),
}
_BY_STATUS: Mapping[int, tuple[str, str]] = {
    400: ("not_taken", "not_taken_advice"),
    409: ("conversation_busy", "conversation_busy_advice"),
    413: ("too_long", "too_long_advice"),
    422: ("not_taken", "not_taken_advice"),
    502: ("not_written", "try_again_soon"),
    503: ("busy", "try_again_soon"),
    504: ("too_slow", "try_again_soon"),
}


def explain_to_visitor(failure: ApiError) -> tuple[str, str]:
    """A title and what to do, in words that name nothing of how the service is set up or run."""
    if isinstance(failure, ApiRefused) and failure.status == _TOO_MANY:
        return say("too_many"), _when(failure.retry_after_s)
    title, advice = _name_texts(failure)
    return say(title), say(advice)


def explain_refused_decision(refused: ApiRefused) -> tuple[str, str]:
    """The same for a call of a tool that cannot be approved: only the service knows why."""
    return explain_to_visitor(refused) if refused.bot_id else (say("not_approved"), refused.detail)


def explain_refused_document(failure: ApiError) -> str:
    """Why a file is not taken, for whoever has given a key that may write documents: in the words of the service, which
    alone knows what is wrong with it."""
    return failure.detail if isinstance(failure, ApiRefused) else ": ".join(explain_to_visitor(failure))


def _name_texts(failure: ApiError) -> tuple[str, str]:
    if isinstance(failure, ApiAway):
        return failure.kind, f"{failure.kind}_advice"
    if not isinstance(failure, ApiRefused):
        return _WRONG
    if failure.bot_id:
        return _BOT_OFF
    if failure.status == _CONFLICT and failure.limit:
        return _FULL
    return _BY_TYPE.get(failure.kind) or _BY_STATUS.get(failure.status) or _WRONG


def log_failure(failure: ApiError) -> None:
    """Write down what the service says, for the operator."""
    if isinstance(failure, ApiRefused) and failure.status != _TOO_MANY:
        logger.warning("%s %s: %s (request %s)", failure.status, failure.title, failure.detail, failure.request_id)


def _when(wait_s: int | None) -> str:
    return say("too_many_later") if wait_s is None else say("too_many_wait", time=tell_time(wait_s))


def tell_time(seconds: int) -> str:
    """How long that is, in a unit that leaves a small number."""
    longest = {100: (1, "second"), 6_000: (60, "minute"), 172_800: (3_600, "hour")}
    unit_s, unit = next((units for below_s, units in longest.items() if seconds < below_s), (86_400, "day"))
    number = -(-seconds // unit_s)
    return say(f"after_one_{unit}") if number == 1 else say(f"after_{unit}s", number=number)
