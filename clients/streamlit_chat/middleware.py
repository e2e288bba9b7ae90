"""What stands before Streamlit's server: which paths are open, and what browsers are told not to do."""

import asyncio
import base64
import hashlib
import json
import re
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from urllib.parse import parse_qs, urlsplit

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # it has no types
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from clients.streamlit_chat import shell
from clients.streamlit_chat.fetching import fetch

# Streamlit has more: uploads, its metrics, ways in for programs. The page uses none of them.
_OPEN = re.compile(r"/|/_stcore/(?:health|host-config)|/(?:static|media)/.+|/favicon\.png")
_LOGIN, _CALLBACK = "/auth/login", "/oauth2callback"
_SIGNING_IN = re.compile(r"/auth/(?:login|logout)|/oauth2callback")
_USER_COOKIE = "_streamlit_user"
SIGN_IN_FAILED = "sign-in-failed"  # a parameter of the page's address
_SOCKET, _HOST_CONFIG = "/_stcore/stream", "/_stcore/host-config"
_KEPT = re.compile(r"; ?(?:max-age|expires)=[^;]*+", re.I)
_TAKEN_AWAY = re.compile(r"; ?max-age=0(?:;|$)", re.I)
_MESSAGES_AT_ONCE, _MESSAGES_PER_S = 20, 2.0  # each may begin the page again; a visitor's tab sends a few as it opens
_COMMANDS = ("rerun_script", "app_heartbeat", "backend_operation_request")  # others are for whoever develops a page
_RUN_BEGINS_IN_S, _FIRST_RUN_ENDS_IN_S = 3.0, 5.0
_RUN_HAS_ENDED = "script_finished"
_RUN_IS_DRAWN = ("delta", "page_config_changed", _RUN_HAS_ENDED)
_POLICY_VIOLATION = 1008
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
                socket = _Socket(receive, send)
                receive, send = socket.receive, socket.send
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
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


class _Socket:
    """A WebSocket between the server and the page, which ends when messages come too quickly.

    Commands that the page does not use are passed over: one empties the caches of all visitors.
    A message that begins a run waits until the run of the one before is drawn: Streamlit breaks off the callbacks of a
    run for the next one, and what was clicked would be lost. It waits until the first run has ended, which alone tells
    Streamlit what may be clicked.
    """

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._has_begun, self._is_drawn = True, asyncio.Event()
        self._is_drawn.set()
        self._runs, self._began_s = 0, 0.0
        self._left, self._since_s, self._is_closed = float(_MESSAGES_AT_ONCE), time.monotonic(), False

    async def receive(self) -> Message:
        while True:
            message = await self._receive_in_time()
            command = _read_command(message)
            if message["type"] != "websocket.receive" or command in _COMMANDS:
                break
        if command == "rerun_script":
            await self._await_run()
            self._runs, self._began_s, self._has_begun = self._runs + 1, time.monotonic(), False
            self._is_drawn.clear()
        return message

    async def _await_run(self) -> None:
        is_first = self._runs == 1
        limit_s = self._began_s + _FIRST_RUN_ENDS_IN_S - time.monotonic() if is_first else _RUN_BEGINS_IN_S
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._is_drawn.wait()

    async def _receive_in_time(self) -> Message:
        message: Message = {"type": "websocket.disconnect", "code": _POLICY_VIOLATION}
        if not self._is_closed:
            message = await self._receive()
        if message["type"] == "websocket.receive" and self._comes_too_soon():
            refusal = {"code": _POLICY_VIOLATION, "reason": "Too many messages."}
            await self._send({"type": "websocket.close", **refusal})
            self._is_closed = True
            message = {"type": "websocket.disconnect", **refusal}
        return message

    def _comes_too_soon(self) -> bool:
        now_s = time.monotonic()
        self._left = min(_MESSAGES_AT_ONCE, self._left + (now_s - self._since_s) * _MESSAGES_PER_S) - 1
        self._since_s = now_s
        return self._left < 0

    async def send(self, message: Message) -> None:
        if not self._is_drawn.is_set() and message["type"] == "websocket.send":
            self._follow_run(message.get("bytes") or b"")
        if not self._is_closed:  # what the page still had to say is said to nobody
            await self._send(message)

    def _follow_run(self, data: bytes) -> None:
        """Note how far the run is that the last message began. What the one before draws comes first."""
        kind = ForwardMsg.FromString(data).WhichOneof("type")
        self._has_begun = self._has_begun or kind == "new_session"
        if self._has_begun and (kind == _RUN_HAS_ENDED if self._runs == 1 else kind in _RUN_IS_DRAWN):
            self._is_drawn.set()


def _read_command(message: Message) -> str:
    """What the page tells the server to do; "" where that cannot be read."""
    try:
        return BackMsg.FromString(message.get("bytes") or b"").WhichOneof("type") or ""
    except DecodeError:
        return ""


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
