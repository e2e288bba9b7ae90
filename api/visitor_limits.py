"""How much visitors of the chat page may ask: each of them, and all together who come from one address."""

import asyncio
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from flask import Request

from api.limits import Allowance, RateLimits
from api.token_budgets import DAY_S, TokenBudgets
from api.visitors import VISITOR_HEADER, visitor_address
from utils.context import TenantContext
from utils.errors import RateLimited
from utils.ports import StoreObserver

_MINUTE_S = 60
_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class QuestionLimits:
    """What one visitor, or one address, may ask."""

    per_minute: int
    per_day: int
    tokens_per_day: int


@dataclass(frozen=True, slots=True)
class Visit:
    """Who asks, by names that tell nobody who that is: the visitor, and the network that the question comes from."""

    tenant_id: str
    visitor: str
    network: str


class VisitorLimits:
    """Counts what visitors do. For use on one event loop.

    Args:
        secret: makes the names under which visitors and addresses are counted.
        requests_per_minute: of one address, questions among them.
    """

    def __init__(
        self,
        redis_url: str,
        *,
        secret: str,
        visitor: QuestionLimits,
        address: QuestionLimits,
        requests_per_minute: int,
        stores: StoreObserver | None = None,
    ) -> None:
        self._secret = secret.encode()
        self._visitor = _Group("visitor", visitor, redis_url, stores)
        self._address = _Group("address", address, redis_url, stores)
        self._requests = RateLimits(
            redis_url, limit=requests_per_minute, window_s=_MINUTE_S, name="address-requests", stores=stores
        )
        self._tokens = TokenBudgets(redis_url)
        self._charging: set[asyncio.Task[None]] = set()

    def visit_of(self, ctx: TenantContext, request: Request) -> Visit:
        """Who sends the request. Where the page names no visitor, all from one address count as one."""
        network = self._named(visitor_address(request))
        visitor = self._named(ctx.subject_id) if VISITOR_HEADER in request.headers else f"unnamed-{network}"
        return Visit(ctx.tenant_id, visitor, network)

    async def spend_request(self, visit: Visit) -> Allowance:
        """Count one request of any kind.

        Raises:
            RateLimited: too many came from the address.
        """
        try:
            return await self._requests.spend(_counted(visit.tenant_id, "requests", visit.network))
        except RateLimited as exc:
            raise _refused("Too many requests came from your address within a minute.", exc) from exc

    async def spend_question(self, visit: Visit) -> list[Allowance]:
        """Count one question.

        Raises:
            RateLimited: the visitor, or the address, has asked as much as is allowed in this minute or day.
        """
        allowances = []
        for group, who, whose in self._of(visit):
            await self._check_tokens(group, who, whose)
            for limits in group.limits:
                try:
                    allowances.append(await limits.spend(_counted(visit.tenant_id, limits.name, who)))
                except RateLimited as exc:
                    within = "minute" if limits.window_s == _MINUTE_S else "day"
                    raise _refused(f"{whose} as many questions as are allowed in a {within}.", exc) from exc
        return allowances

    def charge(self, visit: Visit, tokens: int) -> None:
        """Count the tokens of a turn that has ended; does not wait for it."""
        if tokens > 0:
            task = asyncio.get_running_loop().create_task(self._charge(visit, tokens))
            self._charging.add(task)
            task.add_done_callback(self._charging.discard)

    async def aclose(self) -> None:
        """Finish counting, and close the connections to Redis."""
        await asyncio.gather(*self._charging, return_exceptions=True)
        for opened in (*self._visitor.limits, *self._address.limits, self._requests, self._tokens):
            await opened.aclose()

    def _of(self, visit: Visit) -> Sequence[tuple["_Group", str, str]]:
        return (
            (self._visitor, visit.visitor, "You have asked"),
            (self._address, visit.network, "From your address came"),
        )

    async def _check_tokens(self, group: "_Group", who: str, whose: str) -> None:
        spent, reset_s = await self._tokens.spent(f"{group.name}/{who}")
        if spent >= group.of.tokens_per_day:
            allowance = Allowance(group.of.tokens_per_day, 0, reset_s, f"{group.name}-tokens", DAY_S)
            refusal = RateLimited("", headers={**allowance.headers, "Retry-After": str(max(1, reset_s))})
            raise _refused(f"{whose} as much as is allowed in a day.", refusal)

    async def _charge(self, visit: Visit, tokens: int) -> None:
        for group, who, _ in self._of(visit):
            await self._tokens.add(f"{group.name}/{who}", tokens)

    def _named(self, text: str) -> str:
        # Redis keeps no address of anybody, nor what an address could be found from.
        return hmac.digest(self._secret, f"limit {text}".encode(), "sha256")[:_DIGEST_BYTES].hex()


@dataclass(slots=True)
class _Group:
    """Limits of one kind: of a visitor, or of an address."""

    name: str
    of: QuestionLimits
    redis_url: str
    stores: StoreObserver | None
    limits: tuple[RateLimits, RateLimits] = field(init=False)

    def __post_init__(self) -> None:
        self.limits = (
            self._make("minute", self.of.per_minute, _MINUTE_S),
            self._make("day", self.of.per_day, DAY_S),
        )

    def _make(self, window: str, limit: int, window_s: int) -> RateLimits:
        name = f"{self.name}-{window}"
        return RateLimits(self.redis_url, limit=limit, window_s=window_s, name=name, stores=self.stores)


def headers_of(allowances: Sequence[Allowance]) -> dict[str, str]:
    """`RateLimit` and `RateLimit-Policy` of several rules."""
    parts = [allowance.headers for allowance in allowances]
    return {name: ", ".join(part[name] for part in parts) for name in ("RateLimit", "RateLimit-Policy") if parts}


def _counted(tenant_id: str, rule: str, who: str) -> TenantContext:
    return TenantContext(tenant_id, f"{rule}:{who}")


def _refused(reason: str, exc: RateLimited) -> RateLimited:
    wait_s = int(exc.headers["Retry-After"])
    headers = {name: exc.headers[name] for name in ("Retry-After", "RateLimit", "RateLimit-Policy")}
    return RateLimited(f"{reason} Please try again in {_wait(wait_s)}.", headers=headers)


def _wait(seconds: int) -> str:
    if seconds < 2 * _MINUTE_S:
        return f"{seconds} seconds"
    minutes = -(-seconds // _MINUTE_S)
    return f"{minutes} minutes" if minutes < 120 else f"{-(-minutes // 60)} hours"
