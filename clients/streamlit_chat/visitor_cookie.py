"""The cookie that tells a visitor's browser again, and the visitor that the page speaks for."""

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clients.visitors import LIFETIME_S, Visitor, new_token, valid_token

COOKIE = "pustaka_visitor"
_TOKEN = "visitor-token"  # noqa: S105 - where it is kept in a session


class VisitorCookie:
    """Gives every browser a visitor's token, in a cookie that no script can read.

    A missing, forged or expired one is replaced; the page's code sees valid ones only.

    Args:
        page_key: what tokens are signed with.
        is_kept: whether the browser keeps it when it is closed.
    """

    def __init__(self, app: ASGIApp, *, page_key: str, is_kept: bool = True) -> None:
        self._app, self._page_key, self._is_kept = app, page_key, is_kept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the cookie, and send it where it changes: with the page itself, and with its socket."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        name = _name(scope)
        sent = HTTPConnection(scope).cookies.get(name, "")
        token = valid_token(self._page_key, sent) or new_token(self._page_key)

        async def send_with_cookie(message: Message) -> None:
            if token != sent and _begins_page(message):
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                headers.append("set-cookie", self._cookie(name, token))
                headers["cache-control"] = "no-store"  # it is one visitor's
            await send(message)

        await self._app(_with_cookie(scope, token), receive, send_with_cookie)

    def _cookie(self, name: str, token: str) -> str:
        kept = f"; Max-Age={LIFETIME_S}" if self._is_kept else ""
        secure = "; Secure" if name != COOKIE else ""
        return f"{name}={token}; Path=/; HttpOnly; SameSite=Lax{kept}{secure}"


def current_visitor(page_key: str) -> Visitor:
    """The visitor of this session of the page."""
    token, address = st.context.cookies.get(COOKIE), st.context.ip_address
    if not isinstance(token, str):  # the script is run without our server
        token = st.session_state.setdefault(_TOKEN, new_token(page_key))
    return Visitor(token, address if isinstance(address, str) else None)


def _name(scope: Scope) -> str:
    """What the browser calls it. Over TLS no other host of the same domain can set a cookie of such a name."""
    return f"__Host-{COOKIE}" if scope.get("scheme") in ("https", "wss") else COOKIE


def _begins_page(message: Message) -> bool:
    if message["type"] == "http.response.start":
        return Headers(raw=list(message.get("headers", ()))).get("content-type", "").startswith("text/html")
    return bool(message["type"] == "websocket.accept")


def _with_cookie(scope: Scope, token: str) -> Scope:
    """*scope* with the visitor's cookie in the place of any that was sent."""
    others = [
        part.strip()
        for line in Headers(scope=scope).getlist("cookie")
        for part in line.split(";")
        if part.partition("=")[0].strip() not in ("", COOKIE, f"__Host-{COOKIE}")
    ]
    headers = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
    cookie = "; ".join([*others, f"{COOKIE}={token}"]).encode("latin-1")
    return {**scope, "headers": [*headers, (b"cookie", cookie)]}
