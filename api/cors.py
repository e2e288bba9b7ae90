"""Which websites' pages may call the API from a browser: CORS, https://fetch.spec.whatwg.org/#http-cors-protocol.

Credentials that browsers attach by themselves are never allowed, so a page can only use keys that it was given. With
`*` no origin is repeated either: an answer is the same for all, so no cache can give one site what another was told.
A bot is open to fewer: what says that it is not open to the page's website, no page may read.
"""

import logging
import re
import time
from collections.abc import Callable, Sequence

from flask import Flask, Response
from flask.globals import request_ctx

from api.visitor_tokens import ORIGIN_REFUSED

logger = logging.getLogger(__name__)

_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_REQUEST_HEADERS = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, MCP-Protocol-Version, "
    "Mcp-Method, Mcp-Name, Range, X-API-Key, X-Conversation-Id, X-Request-Id, traceparent"
)
_RESPONSE_HEADERS = (
    "Accept, Allow, Content-Disposition, Content-Range, Deprecation, ETag, Idempotency-Replayed, Link, Location, "
    "RateLimit, RateLimit-Limit, RateLimit-Policy, RateLimit-Remaining, RateLimit-Reset, Retry-After, Sunset, "
    "WWW-Authenticate, X-Conversation-Id, X-Request-Id, X-Run-Id"
)
_MAX_AGE_S = "600"
_LOGGED_S, _MAX_LOGGED, _LONGEST_ORIGIN = 600, 20, 200
_SUBDOMAIN = re.compile(r"[a-z0-9.-]+")


class AllowedOrigins:
    """The origins that are allowed: `*`, or `https://example.org`, or all subdomains as `https://*.example.org`."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self.are_all = "*" in allowed
        self._exact = frozenset(origin for origin in allowed if "*" not in origin)
        parted = (origin.partition("*") for origin in allowed)
        self._subdomains = [(scheme, end) for scheme, star, end in parted if star and end]

    def allow(self, origin: str) -> bool:
        """Whether pages of *origin*, as a browser writes it, may call."""
        origin = origin.lower()  # schemes and hosts are case-insensitive (RFC 3986, 6.2.2.1)
        return self.are_all or origin in self._exact or any(_is_below(origin, *each) for each in self._subdomains)


def _is_below(origin: str, scheme: str, end: str) -> bool:
    """Whether *origin* is *scheme*, a subdomain, and *end*."""
    fits = origin.startswith(scheme) and origin.endswith(end)
    return fits and _SUBDOMAIN.fullmatch(origin[len(scheme) : len(origin) - len(end)]) is not None


class _RefusedOrigins:
    """Logs origins that are refused, as a browser tells its page no reason: each once in ten minutes, at most 20 then,
    since callers may send any."""

    def __init__(self) -> None:
        self._logged, self._until_s = set[tuple[str, str]](), 0.0

    def log(self, origin: str, setting: str, bot: str = "") -> None:
        """Say that *origin* is not in *setting*, which says who may call."""
        if time.monotonic() >= self._until_s:
            self._logged, self._until_s = set(), time.monotonic() + _LOGGED_S
        if origin and (origin, bot) not in self._logged and len(self._logged) < _MAX_LOGGED:
            self._logged.add((origin, bot))
            facts = {"origin": origin[:_LONGEST_ORIGIN], "setting": setting, **({"bot": bot} if bot else {})}
            logger.warning("A page's origin was refused", extra=facts)


def register_cors(app: Flask, allowed: Sequence[str]) -> None:
    """Answer browsers that ask for pages of *allowed* origins."""
    app.after_request(_make_adder(AllowedOrigins(allowed)))


def _make_adder(origins: AllowedOrigins) -> Callable[[Response], Response]:
    refused = _RefusedOrigins()

    def add(response: Response) -> Response:
        request = request_ctx.request
        origin = request.headers.get("Origin", "")
        is_preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        if ORIGIN_REFUSED in request.environ:
            refused.log(origin, "allowed_origins", request.environ[ORIGIN_REFUSED])
            return response
        if not origins.are_all:
            response.vary.add("Origin")
            if not origins.allow(origin):
                if is_preflight:  # by a page of the service itself, which needs no leave, there is none
                    refused.log(origin, "CORS_ORIGINS")
                return response
        headers = response.headers
        headers["Access-Control-Allow-Origin"] = "*" if origins.are_all else origin
        if is_preflight:
            headers["Access-Control-Allow-Methods"] = _METHODS
            headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
            headers["Access-Control-Max-Age"] = _MAX_AGE_S
        else:
            headers["Access-Control-Expose-Headers"] = _RESPONSE_HEADERS
        return response

    return add
