"""uvicorn's server with a better end: no request is lost by it, and no run."""

import asyncio
import math
import socket
import time
from collections.abc import Awaitable, Callable
from typing import cast

import uvicorn

from server.acceptor import Acceptor

LAST_REQUESTS_S = 1  # a request that is on its way takes no longer than this
_ENDS_S = 2.0  # what is left for connections to close, once runs have ended or were left to others
_LOOK_S = 0.02

Drain = Callable[[float], Awaitable[None]]


class GracefulServer(uvicorn.Server):
    """uvicorn's server, but it says good-bye before it hangs up.

    uvicorn closes idle connections at once, and loses what a client or a proxy has just written into one. This one
    first answers what still comes, for a second, and closes each connection by the answer (RFC 9112, 9.6). Meanwhile
    *drain* lets runs end, for as long as it is told, in seconds.
    """

    _hurries = False

    def __init__(self, config: uvicorn.Config, drain: Drain) -> None:
        super().__init__(config)
        self._drain = drain

    def hurry(self) -> None:
        """Stop without waiting for answers that are under way."""
        self.should_exit = self._hurries = True
        for task in self.server_state.tasks:
            task.cancel()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve; *sockets* are shared with other workers."""
        if sockets is None:
            await super().startup()
            return
        await super().startup(sockets=[])
        self.servers = [
            cast(asyncio.Server, Acceptor(listener, self._make_protocol, self.config.ssl)) for listener in sockets
        ]

    def _make_protocol(self) -> asyncio.Protocol:
        make: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more connections, let those there are come to their end, and stop."""
        for server in self.servers:
            server.close()
            if isinstance(server, Acceptor):  # what it has just taken counts among the connections then
                await server.wait_closed()
        self.server_state.default_headers.append((b"connection", b"close"))
        draining = asyncio.ensure_future(self._drain(math.inf))
        end_s = time.monotonic() + LAST_REQUESTS_S
        while self.server_state.connections and time.monotonic() < end_s and not self._is_hurried:
            await asyncio.sleep(_LOOK_S)
        last_begin_s, until_s = end_s + LAST_REQUESTS_S, math.inf
        while True:
            if draining.done():
                if not self.server_state.tasks or not self._waits(last_begin_s):
                    break
                draining = asyncio.ensure_future(self._drain(math.inf))  # a run may have begun since
            if self.should_exit:
                until_s = min(until_s, end_s + self._get_grace_s())
            if self._is_hurried or time.monotonic() > until_s:
                break
            await asyncio.sleep(_LOOK_S)
        await self._drain(0)
        await draining
        await super().shutdown(sockets)

    @property
    def _is_hurried(self) -> bool:
        return self._hurries or self.force_exit

    def _waits(self, last_begin_s: float) -> bool:
        """Whether requests without a run of ours are waited for, such as those that follow another worker's.

        A worker that has served its number of requests is waited for by nobody, and so has time.
        """
        return not self.should_exit or time.monotonic() < last_begin_s

    def _get_grace_s(self) -> float:
        return max(1.0, (self.config.timeout_graceful_shutdown or 30) - _ENDS_S)
