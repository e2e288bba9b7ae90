"""Visitors of a bot on a website: each has a signed token, for that bot and for pages of that website alone.

The page holds no secret: whoever asks for a token gets one, if the bot is open to visitors of the website. A token
names nobody. It says that later requests come from the same browser.
"""

import hmac
import re
import secrets
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Self

from utils.errors import OriginRefused, VisitorRefused

LIFETIME_S = 3600
PREFIX = "pv1."
ORIGIN_REFUSED = "pustaka.origin-refused"  # in environ, the bot's public id: no page may read the answer
_PURPOSE = b"pustaka website visitor v1"
_DIGEST_BYTES = 16
_TOKEN = re.compile(
    r"pv1\.([a-z0-9_-]{1,63})\.([a-z0-9_-]{1,40})\.([A-Za-z0-9_-]{22})\.([0-9]{1,12})\.([A-Za-z0-9_-]{22})"
    r"\.([A-Za-z0-9_-]{43})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class WebsiteVisitor:
    """Who a token names: a visitor of one bot on one website, until a time in seconds since 1970."""

    tenant_id: str
    bot_id: str
    visitor_id: str
    expires_at: int
    origin_digest: str

    @classmethod
    def make(cls, tenant_id: str, bot_id: str, origin: str, visitor_id: str | None = None) -> Self:
        """A visitor from now on, a new one unless *visitor_id* says which."""
        visitor_id = visitor_id or secrets.token_urlsafe(16)
        return cls(tenant_id, bot_id, visitor_id, int(time.time()) + LIFETIME_S, _hash_origin(origin))

    def is_same_site(self, tenant_id: str, bot_id: str, origin: str) -> bool:
        """Whether it is a visitor of this bot on this website."""
        expected = (tenant_id, bot_id, _hash_origin(origin))
        return (self.tenant_id, self.bot_id, self.origin_digest) == expected

    def check_origin(self, origin: str | None) -> None:
        """Return where the request may come from a page of *origin*; None: it comes from no page of another one.

        Raises:
            OriginRefused: the token was made for pages of another website.
        """
        if origin is not None and _hash_origin(origin) != self.origin_digest:
            raise OriginRefused("This visitor's token is for pages of another website. Ask for one for this website.")


@dataclass(frozen=True, slots=True)
class VisitorSigner:
    """Makes and checks tokens `pv1.<tenant>.<bot>.<visitor>.<expiry>.<origin>.<mac>`.

    The MAC is HMAC-SHA256 over all before it, by a key derived from *secret*.
    """

    secret: bytes = field(repr=False)

    def sign(self, visitor: WebsiteVisitor) -> str:
        """The token of *visitor*."""
        parts = (visitor.tenant_id, visitor.bot_id, visitor.visitor_id, visitor.expires_at, visitor.origin_digest)
        signed = PREFIX + ".".join(map(str, parts))
        key = hmac.digest(self.secret, _PURPOSE, "sha256")
        return f"{signed}.{_encode(hmac.digest(key, signed.encode(), 'sha256'))}"

    def read(self, token: str) -> WebsiteVisitor | None:
        """Whom *token* names, or has named until it expired; None where it is not one of ours."""
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        tenant_id, bot_id, visitor_id, expires_at, digest, _ = match.groups()
        visitor = WebsiteVisitor(tenant_id, bot_id, visitor_id, int(expires_at), digest)
        return visitor if hmac.compare_digest(self.sign(visitor), token) else None

    def verify(self, token: str) -> WebsiteVisitor:
        """Whom *token* names.

        Raises:
            VisitorRefused: it has expired, or is not one of ours.
        """
        visitor = self.read(token)
        if visitor is None:
            raise VisitorRefused("This is no visitor's token of this service. Ask for one at POST /v1/visitors.")
        if time.time() >= visitor.expires_at:
            raise VisitorRefused("This visitor's token has expired. Send it to POST /v1/visitors for a new one.")
        return visitor


def _hash_origin(origin: str) -> str:
    return _encode(sha256(origin.lower().encode()).digest()[:_DIGEST_BYTES])


def _encode(digest: bytes) -> str:
    return urlsafe_b64encode(digest).decode().rstrip("=")
