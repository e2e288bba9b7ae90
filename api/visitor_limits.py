"""How much visitors may ask, of the chat page and of websites: each of them, and all together from one address."""

import asyncio
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field

from flask import Request

from api.limits import MINUTE_S, RateLimits, RemainingRequests, make_refusal
from api.token_budgets import DAY_S, TokenBudgets
from api.visitors import VISITOR_HEADER, find_client_network, find_visitor_network
from auth.credentials import is_website_visitor
from auth.principal import Principal
from utils.ports import StoreObserver

_DIGEST_BYTES = 16
_OF_ALL = "all"  # stands where a tenant does: what is asked for is not known to be of one


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
        visitor_files, address_files: that one visitor, or all from one address, may attach in a day.
    """

    def __init__(
        self,
        redis_url: str,
        *,
        secret: str,
        visitor: QuestionLimits,
        address: QuestionLimits,
        requests_per_minute: int,
        visitor_files: int,
        address_files: int,
        stores: StoreObserver | None = None,
    ) -> None:
        self._files = (
            _make_file_limits("visitor", "You have attached", visitor_files, redis_url, stores),
            _make_file_limits("address", "Your address has sent", address_files, redis_url, stores),
        )
        self._secret = secret.encode()
        self._visitor = _Group("visitor", "You have asked", visitor, redis_url, stores)
        self._address = _Group("address", "Your address has sent", address, redis_url, stores)
        self._requests = RateLimits(
            redis_url,
            limit=requests_per_minute,
            reason="Too many requests came from your address within a minute.",
            window_s=MINUTE_S,
            name="address-requests",
            stores=stores,
        )
        self._tokens = TokenBudgets(redis_url)
        self._charging: set[asyncio.Task[None]] = set()

    def find_visit(self, ctx: Principal, request: Request) -> Visit:
        """Who sends the request. Where the page names no visitor, all from one address count as one."""
        if is_website_visitor(ctx):
            network = self._hash_name(find_client_network(request))
            return Visit(ctx.tenant_id, self._hash_name(ctx.subject_id), network)
        network = self._hash_name(find_visitor_network(request))
        visitor = self._hash_name(ctx.subject_id) if VISITOR_HEADER in request.headers else f"unnamed-{network}"
        return Visit(ctx.tenant_id, visitor, network)

    async def spend_request(self, visit: Visit) -> RemainingRequests:
        """Count one request of any kind.

        Raises:
            RateLimited: too many came from the address.
        """
        return await self._requests.spend(visit.tenant_id, f"requests:{visit.network}")

    async def spend_visit(self, network: str) -> RemainingRequests:
        """Count one visit from *network* to a website.

        Raises:
            RateLimited: too many came from the address.
        """
        return await self._requests.spend(_OF_ALL, f"visits:{self._hash_name(network)}")

    async def spend_question(self, visit: Visit) -> list[RemainingRequests]:
        """Count one question.

        Raises:
            RateLimited: the visitor, or the address, has asked as much as is allowed in this minute or day.
        """
        allowances = []
        for group, who in self._list_groups(visit):
            await self._check_tokens(group, who)
            for limits in group.limits:
                allowances.append(await limits.spend(visit.tenant_id, f"{limits.name}:{who}"))
        return allowances

    async def spend_file(self, visit: Visit) -> None:
        """Count one file that is attached to a conversation.

        Raises:
            RateLimited: the visitor, or the address, has attached as many as are allowed in a day.
        """
        for limits, group in zip(self._files, (visit.visitor, visit.network), strict=True):
            await limits.spend(visit.tenant_id, f"{limits.name}:{group}")

    def charge(self, visit: Visit, tokens: int) -> None:
        """Count the tokens of a turn that has ended; does not wait for it."""
        if tokens > 0:
            task = asyncio.get_running_loop().create_task(self._charge(visit, tokens))
            self._charging.add(task)
            task.add_done_callback(self._charging.discard)

    async def aclose(self) -> None:
        """Finish counting, and close the connections to Redis."""
        await asyncio.gather(*self._charging, return_exceptions=True)
        for opened in (*self._visitor.limits, *self._address.limits, *self._files, self._requests, self._tokens):
            await opened.aclose()

    def _list_groups(self, visit: Visit) -> Sequence[tuple["_Group", str]]:
        return (self._visitor, visit.visitor), (self._address, visit.network)

    async def _check_tokens(self, group: "_Group", who: str) -> None:
        spent, reset_s = await self._tokens.get_spent(f"{group.name}/{who}")
        if spent >= group.of.tokens_per_day:
            allowance = RemainingRequests(group.of.tokens_per_day, 0, reset_s, f"{group.name}-tokens", DAY_S)
            raise make_refusal(f"{group.whose} as much as is allowed in a day.", allowance)

    async def _charge(self, visit: Visit, tokens: int) -> None:
        for group, who in self._list_groups(visit):
            await self._tokens.add(f"{group.name}/{who}", tokens)

    def _hash_name(self, text: str) -> str:
        # Redis keeps no address of anybody, nor what an address could be found from.
        return hmac.digest(self._secret, f"limit {text}".encode(), "sha256")[:_DIGEST_BYTES].hex()


@dataclass(slots=True)
class _Group:
    """Limits of one kind: of a visitor, or of an address. *whose* begins what is said where one is reached."""

    name: str
    whose: str
    of: QuestionLimits
    redis_url: str
    stores: StoreObserver | None
    limits: tuple[RateLimits, RateLimits] = field(init=False)

    def __post_init__(self) -> None:
        self.limits = (
            self._make("minute", self.of.per_minute, MINUTE_S),
            self._make("day", self.of.per_day, DAY_S),
        )

    def _make(self, window: str, limit: int, window_s: int) -> RateLimits:
        return RateLimits(
            self.redis_url,
            limit=limit,
            reason=f"{self.whose} as many questions as are allowed in a {window}.",
            window_s=window_s,
            name=f"{self.name}-{window}",
            stores=self.stores,
        )


def _make_file_limits(name: str, whose: str, limit: int, redis_url: str, stores: StoreObserver | None) -> RateLimits:
    return RateLimits(
        redis_url,
        limit=limit,
        reason=f"{whose} as many files as are allowed in a day.",
        window_s=DAY_S,
        name=f"{name}-files",
        stores=stores,
    )


def join_headers(allowances: Sequence[RemainingRequests]) -> dict[str, str]:
    """`RateLimit` and `RateLimit-Policy` of several rules; the headers of the earlier draft have room for one, which is
    that of which least is left."""
    parts = [allowance.headers for allowance in allowances]
    all_rules = {name: ", ".join(part[name] for part in parts) for name in ("RateLimit", "RateLimit-Policy") if parts}
    first = min(allowances, key=lambda one: (one.remaining, -one.reset_s), default=None)
    return {**first.headers, **all_rules} if first else {}
