"""How much one process takes on at once. What is beyond is refused at once and cheaply, before memory grows."""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Self

from werkzeug.exceptions import HTTPException, ServiceUnavailable

from auth.principal import Principal
from utils.errors import Overloaded, TooManyAtOnce

logger = logging.getLogger(__name__)

_PROBES = frozenset({"/health", "/ready"})
_BUSY = "The service is overloaded. Try again in a moment."
_LOGGED_EVERY_S = 10.0


def is_probe(path: str) -> bool:
    """Whether it is asked for every few seconds, by whatever watches the service."""
    return path.rstrip("/") in _PROBES


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """What a process takes on.

    Args:
        requests: being served, open streams among them.
        turns: running.
        waiting_turns: that wait for one of those to end, and …
        wait_s: … for how long at most.
        turns_per_key: running or waiting, of one key.
        requests_per_key: being served, of one key.
    """

    requests: int = 5000
    turns: int = 1500
    waiting_turns: int = 500
    wait_s: float = 5.0
    turns_per_key: int = 1000
    requests_per_key: int = 2500


class Admission:
    """Counts what is under way in this process. For use on one event loop."""

    def __init__(self, limits: AdmissionLimits) -> None:
        self.limits = limits
        self.requests = self.turns = self.refused = 0
        self._turns_of = _PerKey("turns", limits.turns_per_key)
        self._requests_of = _PerKey("requests", limits.requests_per_key)
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._logged_at = float("-inf")

    @property
    def waiting_turns(self) -> int:
        """Turns that wait for others to end."""
        return len(self._waiting)

    def begin(self, path: str, *, is_surplus: bool = False) -> HTTPException | None:
        """Count a request until `end`; or give its refusal if there is no room. Probes always find room.

        *is_surplus*: it came by a connection for which there is no room.
        """
        if not is_probe(path) and (is_surplus or self.requests >= self.limits.requests):
            self._note_refusal("requests")
            return ServiceUnavailable(_BUSY, retry_after=1)
        self.requests += 1
        return None

    def end(self) -> None:
        """A request that has begun is over."""
        self.requests -= 1

    def request_of(self, ctx: Principal) -> "AdmissionPermit":
        """A permit for a request of this key, to be released when it has been served.

        Raises:
            TooManyAtOnce: the key has as many as it may.
        """
        self._requests_of.enter(ctx)
        return AdmissionPermit(partial(self._requests_of.leave, ctx))

    async def admit_turn(self, ctx: Principal) -> "AdmissionPermit":
        """A permit for one turn of this key, after a wait if need be, to be released when the turn has ended.

        Raises:
            TooManyAtOnce: the key has as many as it may.
            Overloaded: too many wait already, or the wait was too long.
        """
        self._turns_of.enter(ctx)
        try:
            if self.turns < self.limits.turns and not self._waiting:
                self.turns += 1
            else:
                await self._wait()
        except BaseException:
            self._turns_of.leave(ctx)
            raise
        return AdmissionPermit(partial(self._end_turn, ctx))

    async def _wait(self) -> None:
        """Return when a turn has passed its permit on, with that permit taken."""
        if self._has_no_room:
            self._note_refusal("turns")
            raise Overloaded(_BUSY, headers={"Retry-After": "2"})
        turn_comes = asyncio.get_running_loop().create_future()
        self._waiting.append(turn_comes)
        try:
            async with asyncio.timeout(self.limits.wait_s):
                await turn_comes
        except BaseException as exc:
            if turn_comes.done() and not turn_comes.cancelled():  # it has come in the same moment
                self._pass_on()
            else:
                with suppress(ValueError):  # or whoever passed its permit on has found it cancelled
                    self._waiting.remove(turn_comes)
            if isinstance(exc, TimeoutError):
                self._note_refusal("turns")
                raise Overloaded(_BUSY, headers={"Retry-After": "5"}) from None
            raise

    @property
    def _has_no_room(self) -> bool:
        return self.turns >= self.limits.turns and len(self._waiting) >= self.limits.waiting_turns

    def _end_turn(self, ctx: Principal) -> None:
        self._turns_of.leave(ctx)
        self._pass_on()

    def _pass_on(self) -> None:
        """Give the permit of a turn to the one that has waited longest."""
        while self._waiting:
            turn_comes = self._waiting.popleft()
            if not turn_comes.done():
                turn_comes.set_result(None)
                return
        self.turns -= 1

    def _note_refusal(self, what: str) -> None:
        self.refused += 1
        if time.monotonic() - self._logged_at > _LOGGED_EVERY_S:
            self._logged_at = time.monotonic()
            state = {"requests": self.requests, "turns": self.turns, "waiting_turns": self.waiting_turns}
            logger.warning("The limit of concurrent %s is reached; refusing more.", what, extra=state)


class AdmissionPermit:
    """Room for one request or turn, until it is released; as a context manager, at the end of the block."""

    def __init__(self, release: Callable[[], None]) -> None:
        self._release: Callable[[], None] | None = release

    def release(self) -> None:
        """Give it up; once is enough."""
        release, self._release = self._release, None
        if release is not None:
            release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.release()


class _PerKey:
    """How many of something each subject has under way."""

    def __init__(self, what: str, limit: int) -> None:
        self._what, self._limit = what, limit
        self._counts: Counter[tuple[str, str]] = Counter()

    def enter(self, ctx: Principal) -> None:
        if self._counts[ctx.subject] >= self._limit:
            raise TooManyAtOnce(
                f"This key has {self._limit} {self._what} in progress, which is its limit. Wait until one has ended.",
                headers={"Retry-After": "1"},
            )
        self._counts[ctx.subject] += 1

    def leave(self, ctx: Principal) -> None:
        self._counts[ctx.subject] -= 1
        if not self._counts[ctx.subject]:
            del self._counts[ctx.subject]  # keys come and go
