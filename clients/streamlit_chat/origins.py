"""Which pages may open the chat page's WebSocket: those of its own address."""

import logging
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger(__name__)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_POLICY_VIOLATION = 1008
_LOGGED = 100


class SameOrigin:
    """Refuses a WebSocket that a page of another origin opens, with 403.

    Browsers send the visitor's cookie whatever the port is, and Streamlit lets in every port of this machine. Programs
    send no `Origin`, and no cookie of anybody else.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is no WebSocket, or is one of the page's own."""
        if scope["type"] == "websocket":
            headers = Headers(scope=scope)
            origin, host = headers.get("origin"), headers.get("host", "")
            if origin is not None and not is_same_origin(origin, host, is_secure=scope.get("scheme") == "wss"):
                logger.warning(
                    "Refused a WebSocket: Origin is %.*r, Host is %.*r. A proxy has to pass on Host with its port.",
                    *(_LOGGED, origin, _LOGGED, host),
                )
                await send({"type": "websocket.close", "code": _POLICY_VIOLATION})  # before it is accepted: a 403
                return
        await self._app(scope, receive, send)


def is_same_origin(origin: str, host: str, *, is_secure: bool) -> bool:
    """Whether a page of *origin* (RFC 6454) is one of *host*, as the header has it.

    *is_secure*: the request is known to come over TLS, so a page that does not is another one. Not known to: a proxy
    that is not believed may have ended TLS.
    """
    try:
        page, asked = urlsplit(origin), urlsplit(f"//{host}")
        is_same = (page.hostname, _find_port(page, page.scheme)) == (asked.hostname, _find_port(asked, page.scheme))
    except ValueError:  # a port that is none
        return False
    return bool(page.hostname) and is_same and page.scheme in (("https",) if is_secure else _DEFAULT_PORTS)


def _find_port(parts: SplitResult, scheme: str) -> int | None:
    return parts.port or _DEFAULT_PORTS.get(scheme)
