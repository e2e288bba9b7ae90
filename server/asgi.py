"""The service as an ASGI application: a Flask app whose coroutine views are awaited on the server's loop.

asgiref's own wrapper serves one request at a time per worker and never sees a client leave. This one keeps its
translation of scopes to WSGI environments and replaces the rest: `intake.py` reads requests, `dispatch.py` awaits the
view in Flask's request cycle, `streaming.py` sends bodies.
"""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from functools import cached_property, partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any, cast

from asgiref.typing import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope
from asgiref.wsgi import WsgiToAsgi
from flask import Flask

from server.admission import Admission
from server.body_limits import BodyLimits, ClientLeft
from server.dispatch import Dispatch, await_coroutines, has_coroutine_hooks
from server.graceful import Drain
from server.http_protocol import DISCONNECT, PAUSES, SURPLUS, BoundedHttp, ConnectionLimits, drop_upgrade_warnings
from server.request_body import RequestBodyReader, open_request
from server.streaming import AsyncStream, ClientWatch, ResponseSender
from server.sync_pool import SyncPool, give_pool
from server.url_adapters import remember_hosts
from utils.processes import StartError

KEEP_ALIVE_S = 75  # longer than a proxy keeps idle connections, so that it never writes into one that is being closed

_LIMITS = ConnectionLimits()

Lifespan = Callable[[], AbstractAsyncContextManager[object]]


def make_uvicorn_options(
    *,
    graceful_timeout_s: int = 30,
    forwarded_allow_ips: Sequence[str] = (),
    limits: ConnectionLimits = _LIMITS,
) -> dict[str, Any]:
    """Settings of `uvicorn.Config` the bridge is made for; merge them into your own.

    `graceful_timeout_s` is what the process manager grants before it kills: streams are ended two seconds earlier.
    `forwarded_allow_ips`: proxies, as addresses or networks, whose X-Forwarded-For and -Proto are believed; without any
    nobody's are, not even those of this machine.
    """
    logging.getLogger("uvicorn.error").addFilter(drop_upgrade_warnings)
    return {
        "http": partial(BoundedHttp, limits=limits),
        "ws": "none",  # there are none here: whoever asks for one is answered by HTTP, as to anything else
        "lifespan": "on",
        # Without it the task of a pipelined request inherits the context of the one before. The bridge then gives each
        # request a context of its own, which costs a task more.
        "reset_contextvars": True,
        "timeout_keep_alive": KEEP_ALIVE_S,
        "timeout_graceful_shutdown": max(1, graceful_timeout_s - 2),
        "access_log": False,  # `api/middleware.py` writes a line for each request
        "server_header": False,
        "proxy_headers": bool(forwarded_allow_ips),
        "forwarded_allow_ips": [network for each in forwarded_allow_ips for network in _list_spellings(each)],
    }


def _list_spellings(proxy: str) -> list[str]:
    """*proxy* as uvicorn compares it, and as a socket for both IPv4 and IPv6 shows it (RFC 4291, 2.5.5.2)."""
    network = ip_network(proxy, strict=False)
    if network.version == 6:
        return [str(network)]
    return [str(network), f"::ffff:{network.network_address}/{96 + network.prefixlen}"]


def _allow_none(longest_pause_s: float) -> None:
    """What other servers do about clients that read nothing is theirs."""


class FlaskAsgi(WsgiToAsgi):
    """An ASGI application over *app*.

    Coroutine views and hooks run on the server's loop; sync hooks and error handlers too, so they must not block; sync
    views run in `pool_threads` threads, with at most `pool_queue` waiting (503 beyond). Every request has a context of
    its own. A coroutine view is cancelled when its client leaves, unless `cancel_on_disconnect` is off. Bodies are read
    before the first hook runs, within `body_limits` (default: the app's MAX_CONTENT_LENGTH for each; if that is None,
    without a limit), unless the view does so itself (`server/request_body.py`). `admission` says which requests
    there is room for (default: all). `lifespan()` is entered before the first request and left after the last; `drain`
    is for `GracefulServer`. Large answers wait in `spool_folder` (default: the system's) for slow readers.

    Raises:
        TypeError: `app.wsgi_app` is wrapped in WSGI middleware, which would never run; use ASGI middleware around this.
    """

    def __init__(
        self,
        app: Flask,
        *,
        lifespan: Lifespan | None = None,
        drain: Drain | None = None,
        body_limits: BodyLimits | None = None,
        admission: Admission | None = None,
        pool_threads: int = 32,
        pool_queue: int = 1000,
        cancel_on_disconnect: bool = True,
        spool_folder: Path | None = None,
    ) -> None:
        if "wsgi_app" in vars(app):
            raise TypeError("WSGI middleware on app.wsgi_app is not run here; use ASGI middleware around FlaskAsgi.")
        super().__init__(app)  # type: ignore[no-untyped-call] # asgiref.wsgi has no types
        self._app = app
        self._lifespan, self._drain = lifespan, drain
        self._body_limits = body_limits or BodyLimits(app.config.get("MAX_CONTENT_LENGTH"))
        self._admission = admission
        self._pool = SyncPool(threads=pool_threads, queue_limit=pool_queue)
        give_pool(app, self._pool)
        self._cancel_on_disconnect, self._spool_folder = cancel_on_disconnect, spool_folder
        await_coroutines(app)
        remember_hosts(app)

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Serve a request, or the lifespan of the server; websockets are refused."""
        if scope["type"] == "lifespan":
            await self._serve_lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "There are no websockets here."})
        elif not contextvars.copy_context():
            await self._serve(scope, receive, send)
        else:  # whatever is in it may be another request's: a pipelined one inherits from the one before
            serving = self._serve(scope, receive, send)
            await asyncio.create_task(serving, context=contextvars.Context())

    async def _serve(self, scope: HTTPScope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        intake = open_request(scope, receive, self._body_limits)
        watch = ClientWatch(intake, cast("dict[str, Any]", scope).get(DISCONNECT))
        admission = self._admission
        refusal = None
        if admission is not None:
            refusal = admission.begin(scope["path"], is_surplus=SURPLUS in scope)
        try:
            if refusal is not None:
                await intake.decline(refusal)
            await self._exchange(intake, watch, send, cast("dict[str, Any]", scope).get(PAUSES, _allow_none))
        except ClientLeft:
            pass
        except asyncio.CancelledError:
            if not watch.client_left:
                raise
        finally:
            if admission is not None and refusal is None:
                admission.end()
            intake.end()

    async def _exchange(
        self,
        intake: RequestBodyReader,
        watch: ClientWatch,
        send: ASGISendCallable,
        allow_pauses: Callable[[float], None],
    ) -> None:
        view_watch = watch if self._cancel_on_disconnect else nullcontext()
        async with ResponseSender(intake, watch, send, self._pool, self._spool_folder) as sender:
            async with Dispatch(
                self._app, intake, view_watch, self._pool, has_coroutine_hooks=self._has_coroutine_hooks
            ) as dispatch:
                sender.response = await dispatch.response()
                if isinstance(sender.response, AsyncStream):
                    allow_pauses(sender.response.longest_pause_s)
                    await sender.send_inside(sender.response)
            await sender.send_rest()

    @cached_property
    def _has_coroutine_hooks(self) -> bool:
        return has_coroutine_hooks(self._app)  # at the first request: by then all hooks are there

    async def drain(self, within_s: float) -> None:
        """Let what goes on without a request come to its end, for so long at most; the server is about to stop."""
        if self._drain is not None:
            await self._drain(within_s)

    async def _serve_lifespan(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await receive()
        async with AsyncExitStack() as stack:
            try:
                if self._lifespan is not None:
                    await stack.enter_async_context(self._lifespan())
            except StartError as error:  # one clear line; how it came about is nobody's concern
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            except Exception as error:
                self._app.logger.exception("The service could not start")
                await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
            try:
                await stack.aclose()
            except Exception as error:
                self._app.logger.exception("The service could not stop cleanly")
                await send({"type": "lifespan.shutdown.failed", "message": f"{type(error).__name__}: {error}"})
                return
        await send({"type": "lifespan.shutdown.complete"})
