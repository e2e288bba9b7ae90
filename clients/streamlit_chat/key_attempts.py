"""How many wrong keys may be typed into the page: by one visitor, and from one address."""

import math
import time

import streamlit as st
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from clients.visitors import Visitor

_WINDOW_MIN = 15
_BY_VISITOR = RateLimitItemPerMinute(5, _WINDOW_MIN, namespace="visitor")
# More: whoever deletes the cookie is another visitor, but several people may share an address.
_BY_ADDRESS = RateLimitItemPerMinute(20, _WINDOW_MIN, namespace="address")


class KeyAttempts:
    """Counts wrong keys, in the memory of the page's one process."""

    def __init__(self) -> None:
        self._storage = MemoryStorage()
        self._limiter = FixedWindowRateLimiter(self._storage)

    def begin(self, visitor: Visitor) -> int:
        """Count a key before it is tried, so that many at once are as many. Gives the seconds to wait instead, 0 for
        none."""
        limits = _list_limits(visitor)
        reached = [(item, name) for item, name in limits if not self._limiter.hit(item, name)]
        if not reached:
            return 0
        self.take_back(visitor)
        ends_at = max(self._limiter.get_window_stats(item, name).reset_time for item, name in reached)
        return max(1, math.ceil(ends_at - time.time()))

    def take_back(self, visitor: Visitor) -> None:
        """Count one less: the key was not wrong, or was not tried."""
        for item, name in _list_limits(visitor):
            self._storage.decr(item.key_for(name))


def _list_limits(visitor: Visitor) -> list[tuple[RateLimitItem, str]]:
    return [(_BY_VISITOR, visitor.visitor_id), (_BY_ADDRESS, visitor.network)]


@st.cache_resource(show_spinner=False)
def get_key_attempts() -> KeyAttempts:
    """Those of all visitors."""
    return KeyAttempts()
