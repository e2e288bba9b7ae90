"""Trying a call again where that may help, within one deadline."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from providers.openai_errors import CALL_ERRORS, CallFailure, EndpointInfo, describe_failure
from utils.ports import ModelObserver

logger = logging.getLogger(__name__)

T = TypeVar("T")
_LONGEST_PAUSE_S = 8.0


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How long and how often to try.

    `timeout_s` bounds the wait for a whole answer, or for the first token of a streamed one, over all tries of one
    model; a fallback model gets as much again. `gap_timeout_s` bounds the silence between two tokens,
    `total_timeout_s` a whole stream. `max_retries` counts the tries after the first; the pause before them starts at
    `backoff_s` and doubles.
    """

    timeout_s: float = 60.0
    connect_timeout_s: float = 5.0
    gap_timeout_s: float = 30.0
    total_timeout_s: float = 600.0
    max_retries: int = 2
    backoff_s: float = 0.5


class CallFailed(Exception):
    """The tries are used up."""

    def __init__(self, failure: CallFailure) -> None:
        super().__init__(failure.problem.detail)
        self.failure = failure


async def retry(ask: Callable[[], Awaitable[T]], side: EndpointInfo, limits: CallLimits, observer: ModelObserver) -> T:
    """What *ask* gives, tried as often as *limits* allow while its failures are passing ones.

    *observer* hears of each try that failed.

    Raises:
        CallFailed: no try succeeded; its cause is the last error.
    """
    now = asyncio.get_running_loop().time
    deadline = now() + limits.timeout_s
    tries, last = 0, None
    while True:
        tries += 1
        try:
            async with asyncio.timeout_at(deadline):
                return await ask()
        except CALL_ERRORS as exc:
            # A try that the deadline ends says less than what the endpoint answered before.
            failure = last if last and now() >= deadline else describe_failure(exc, side)
            observer.note_failed_try(failure.reason)
            last, pause_s = failure, _choose_pause_s(failure, tries, limits)
            if not failure.passing or tries > limits.max_retries or now() + pause_s >= deadline:
                raise CallFailed(failure) from exc
        details = {"model": side.model, "reason": failure.problem.detail, "tries": tries, "pause_s": pause_s}
        logger.warning("Trying the %s again", side.name, extra=details)
        await asyncio.sleep(pause_s)


def _choose_pause_s(failure: CallFailure, tries: int, limits: CallLimits) -> float:
    """Seconds before the next try: as the endpoint asks, else doubling and random, so that clients spread."""
    if failure.retry_after_s is not None:
        return failure.retry_after_s
    longest = min(_LONGEST_PAUSE_S, limits.backoff_s * 2 ** (tries - 1))
    return random.uniform(longest / 2, longest)  # noqa: S311 - no secret
