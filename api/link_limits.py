"""How much those may open who have a link and no key: by the network they come from, and for each tenant."""

from collections import Counter
from collections.abc import Callable
from functools import partial

from api.limits import RateLimits
from utils.errors import TooManyAtOnce
from utils.ports import StoreObserver

_AT_ONCE = 250  # of one network, in one process
_OF_ALL = "all"  # stands where a tenant does: an address is counted over all of them


class LinkLimits:
    """Counts what is opened by links. For use on one event loop.

    An address is counted first: what it is refused does not use up what others of the tenant may open.
    """

    def __init__(
        self, redis_url: str, *, per_address: int, per_tenant: int, stores: StoreObserver | None = None
    ) -> None:
        self._by_address = RateLimits(
            redis_url,
            limit=per_address,
            reason="Too many documents were opened from your address in this hour.",
            name="address-links",
            stores=stores,
        )
        self._by_tenant = RateLimits(
            redis_url,
            limit=per_tenant,
            reason="Too many documents of this service were opened in this hour.",
            name="tenant-links",
            stores=stores,
        )
        self._open: Counter[str] = Counter()

    async def spend(self, tenant_id: str, network: str) -> None:
        """Count one request by a link to something of the tenant's.

        Raises:
            RateLimited: the network, or the tenant, has had all of this hour.
        """
        await self.spend_address(network)
        await self.spend_tenant(tenant_id)

    async def spend_address(self, network: str) -> None:
        """Count one request by a link of which it is not known yet whether it opens anything.

        Raises:
            RateLimited: the network has had all of this hour.
        """
        await self._by_address.spend(_OF_ALL, f"link-from:{network}")

    async def spend_tenant(self, tenant_id: str) -> None:
        """Count one request for something of the tenant's.

        Raises:
            RateLimited: the tenant has had all of this hour.
        """
        await self._by_tenant.spend(tenant_id, "link")

    def enter(self, network: str) -> Callable[[], None]:
        """Take a place for a request of this network; what gives it up again.

        Raises:
            TooManyAtOnce: it has as many under way as it may.
        """
        if self._open[network] >= _AT_ONCE:
            detail = f"From your address, {_AT_ONCE} documents are being opened. Wait for one of them to end."
            raise TooManyAtOnce(detail, headers={"Retry-After": "5"})
        self._open[network] += 1
        return partial(self._leave, network)

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        await self._by_address.aclose()
        await self._by_tenant.aclose()

    def _leave(self, network: str) -> None:
        self._open[network] -= 1
        if not self._open[network]:
            del self._open[network]  # addresses come and go
