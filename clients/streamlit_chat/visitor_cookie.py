"""The cookie that tells a visitor's browser again, and the visitor that the page speaks for."""

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clients.visitors import LIFETIME_S, Visitor, make_token, renew_token

COOKIE, NEW_VISITOR = "pustaka_visitor", "/visitor/new"
_TOKEN = "visitor-token"  # noqa: S105 - where it is kept in a session


class VisitorCookie:
    """Gives every browser a visitor's token, in a cookie that no script can read.

    A missing, forged or expired one is replaced; the page's code sees valid ones only. A POST to `NEW_VISITOR` makes
    the browser a new visitor.

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
        if scope["type"] == "http" and scope["method"] == "POST" and scope["path"] == NEW_VISITOR:
            await self._begin_anew(scope)(scope, receive, send)
            return
        cookies = HTTPConnection(scope).cookies
        sent = cookies.get(self._name(scope), "")
        token = renew_token(self._page_key, sent) or make_token(self._page_key)
        changes = [] if token == sent else [self._cookie(scope, token)]
        changes += [
            f"{name}=; Path=/; Max-Age=0{_secure(scope)}" for name in self._find_outdated(scope) if name in cookies
        ]

        async def send_with_cookie(message: Message) -> None:
            if _begins_page(message):
                headers = MutableHeaders(raw=message.setdefault("headers", []))
                headers["cache-control"] = "no-store"  # it is one visitor's
                for change in changes:
                    headers.append("set-cookie", change)
            await send(message)

        await self._app(_with_cookie(scope, token), receive, send_with_cookie)

    def _begin_anew(self, scope: Scope) -> Response:
        # A page of another site cannot send this header without asking first, and is not answered.
        if "x-requested-with" not in Headers(scope=scope):
            return PlainTextResponse("Not found.", status_code=404)
        return Response(status_code=204, headers={"Set-Cookie": self._cookie(scope, make_token(self._page_key))})

    def _cookie(self, scope: Scope, token: str) -> str:
        kept = f"; Max-Age={LIFETIME_S}" if self._is_kept else ""
        return f"{self._name(scope)}={token}; Path=/; HttpOnly; SameSite=Lax{kept}{_secure(scope)}"

    def _name(self, scope: Scope) -> str:
        """What the browser calls it. Over TLS no other host of the same domain can set a cookie of such a name."""
        name = COOKIE if self._is_kept else f"{COOKIE}_session"
        return f"__Host-{name}" if _secure(scope) else name

    def _find_outdated(self, scope: Scope) -> list[str]:
        """What the browser keeps of a time when it might."""
        return [] if self._is_kept else [f"__Host-{COOKIE}" if _secure(scope) else COOKIE]


def get_current_visitor(page_key: str, signed_in: str | None = None) -> Visitor:
    """The visitor of this session of the page; *signed_in* is the token of one who has signed in."""
    token, address = signed_in or st.context.cookies.get(COOKIE), st.context.ip_address
    if not isinstance(token, str):  # the script is run without our server
        token = st.session_state.setdefault(_TOKEN, make_token(page_key))
    return Visitor(token, address if isinstance(address, str) else None)


def _secure(scope: Scope) -> str:
    return "; Secure" if scope.get("scheme") in ("https", "wss") else ""


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
        if part.strip() and COOKIE not in part.partition("=")[0]
    ]
    headers = [(name, value) for name, value in scope["headers"] if name != b"cookie"]
    cookie = "; ".join([*others, f"{COOKIE}={token}"]).encode("latin-1")
    return {**scope, "headers": [*headers, (b"cookie", cookie)]}
