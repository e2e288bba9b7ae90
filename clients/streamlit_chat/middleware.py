"""What stands before Streamlit's server: which paths are open, and what browsers are told not to do."""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from functools import partial
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clients.streamlit_chat import shell
from clients.streamlit_chat.fetching import fetch
from clients.streamlit_chat.web_socket import POLICY_VIOLATION, PageSocket

# Streamlit has more: uploads, its metrics, ways in for programs. The page uses none of them.
_OPEN = re.compile(r"/|/_stcore/(?:health|host-config)|/(?:static|media)/.+|/favicon\.png")
_LOGIN, _CALLBACK = "/auth/login", "/oauth2callback"
_SIGNING_IN = re.compile(r"/auth/(?:login|logout)|/oauth2callback")
_USER_COOKIE = "_streamlit_user"
SIGN_IN_FAILED = "sign-in-failed"  # a parameter of the page's address
_SOCKET, _HOST_CONFIG = "/_stcore/stream", "/_stcore/host-config"
_KEPT = re.compile(r"; ?(?:max-age|expires)=[^;]*+", re.I)
_TAKEN_AWAY = re.compile(r"; ?max-age=0(?:;|$)", re.I)
_INLINE_SCRIPT = re.compile(r"<script>((?:(?!</?script>).)*+)</script>", re.DOTALL)


class OpenPaths:
    """Lets nothing through but what the page is made of; the rest is refused before its body is read.

    A WebSocket that sends more than anybody can click is closed.

    Args:
        signing_in: whether the paths of signing in are open.
        posts: the paths that take a POST.
    """

    def __init__(self, app: ASGIApp, *, signing_in: bool = False, posts: frozenset[str] = frozenset()) -> None:
        self._app, self._signing_in, self._posts = app, signing_in, posts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is open."""
        if scope["type"] == "lifespan" or self._is_open(scope):
            if scope["type"] == "websocket":
                socket = PageSocket(receive, send)
                receive, send = socket.receive, socket.send
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        else:
            refusal = PlainTextResponse("Not found.", status_code=404, headers={"Connection": "close"})
            await refusal(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        path = scope["path"]
        if scope["type"] == "websocket":
            return bool(path == _SOCKET)
        if scope["method"] == "POST":
            return path in self._posts
        is_known = _OPEN.fullmatch(path) or (self._signing_in and _SIGNING_IN.fullmatch(path))
        return scope["method"] in ("GET", "HEAD") and bool(is_known)


class SecurityHeaders:
    """Tells browsers to load nothing from elsewhere, whatever the page may come to hold.

    Args:
        logo: the operator's logo; an https address is the one thing that may be loaded from elsewhere.
        keeps_cookies: whether browsers may keep cookies when they are closed.
    """

    def __init__(self, app: ASGIApp, *, logo: str | None = None, keeps_cookies: bool = True) -> None:
        self._app, self._keeps_cookies = app, keeps_cookies
        self._headers = {
            "Content-Security-Policy": make_content_security_policy(logo),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(self), payment=(), usb=()",
            "Referrer-Policy": "no-referrer",
            "X-Frame-Options": "SAMEORIGIN",  # for browsers that do not know frame-ancestors
            "X-Content-Type-Options": "nosniff",
            "X-DNS-Prefetch-Control": "off",  # else the names in links are looked up before anybody chooses them
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the headers to every response."""
        is_safe = scope.get("scheme") in ("https", "wss")

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                _change_cookies(headers, partial(self._make_cookie, is_safe=is_safe))
            await send(message)

        await self._app(scope, receive, send_guarded if scope["type"] == "http" else send)

    def _make_cookie(self, cookie: str, *, is_safe: bool) -> str:
        """A cookie of Streamlit's or ours: over TLS it is sent over TLS alone."""
        if not self._keeps_cookies and not _TAKEN_AWAY.search(cookie):
            cookie = _KEPT.sub("", cookie)
        return f"{cookie}; Secure" if is_safe and "; secure" not in cookie.lower() else cookie


class QuietDialogs:
    """Keeps Streamlit's own messages about lost connections from visitors: they are for whoever runs the page.

    The page says in its own words that the connection is lost (`page.js`). No other site may give it commands, as the
    hosts of Streamlit's own cloud otherwise may.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as Streamlit does, with other wishes for its page."""
        if scope["type"] != "http" or scope["path"] != _HOST_CONFIG or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        config = await fetch(self._app, scope)
        wishes = {**json.loads(config.body), "blockErrorDialogs": True, "allowedOrigins": []}
        headers = Headers(raw=config.start["headers"])
        kept = {name: value for name, value in headers.items() if name != "content-length"}
        await JSONResponse(wishes, status_code=config.start["status"], headers=kept)(scope, receive, send)


class SignInFailures:
    """Leads who could not be signed in back to the page, with `SIGN_IN_FAILED` in its address.

    Streamlit answers with a bare line of text where the provider is away, and says nothing where its token is wrong.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Change where a failed attempt leads to."""

        async def send_back(message: Message) -> None:
            if message["type"] == "http.response.start" and _has_failed(scope, message):
                message["status"] = 303
                above = "../" if scope["path"] == _LOGIN else "./"
                MutableHeaders(scope=message)["location"] = f"{above}?{SIGN_IN_FAILED}=1"
            await send(message)

        is_attempt = scope["type"] == "http" and scope["path"] in (_LOGIN, _CALLBACK)
        await self._app(scope, receive, send_back if is_attempt else send)


def _has_failed(scope: Scope, start: Message) -> bool:
    if scope["path"] == _LOGIN:
        return bool(start["status"] >= 400)
    query = parse_qs(scope["query_string"].decode("latin-1"))
    if "code" not in query and query.get("error") in (None, ["access_denied"]):
        return False  # back from signing out, or thought better of signing in
    cookies = Headers(raw=start["headers"]).getlist("set-cookie")
    return not any(cookie.startswith(f"{_USER_COOKIE}=") and not _TAKEN_AWAY.search(cookie) for cookie in cookies)


def make_content_security_policy(logo: str | None) -> str:
    """The page's own files, pictures within it, and its own server; the styles that Streamlit writes into the page."""
    host = f" https://{urlsplit(logo).netloc}" if logo and logo.startswith("https://") else ""
    rules = {
        "default-src": "'none'",
        "script-src": " ".join(
            ["'self'", "blob:", *_hash_inline_scripts()]
        ),  # blob: our own, as Streamlit puts them in
        "style-src": "'self' 'unsafe-inline'",
        "img-src": f"'self' data:{host}",
        "font-src": "'self' data:",
        "media-src": "'self'",  # answers that are heard
        "connect-src": "'self'",
        "base-uri": "'self'",
        "form-action": "'self'",
        "frame-ancestors": "'self'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash_inline_scripts() -> list[str]:
    """The digests of the scripts in the page, Streamlit's and ours, by which they are allowed and no others are."""
    scripts = [*_INLINE_SCRIPT.findall(shell.PAGE.read_text("utf-8")), shell.SCRIPT]
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    return [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]


def _change_cookies(headers: MutableHeaders, change: Callable[[str], str]) -> None:
    cookies = Headers(raw=headers.raw).getlist("set-cookie")
    if cookies:
        del headers["set-cookie"]
    for cookie in cookies:
        headers.append("set-cookie", change(cookie))
