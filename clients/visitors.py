"""Who visits a chat page: a token that the page signs, keeps in the visitor's browser, and names to the API.

The format is in `docs/visitors.md`; the API has an implementation of its own.
"""

import hmac
import ipaddress
import re
import secrets
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field

LIFETIME_S = 30 * 86_400
_TOKEN = re.compile(r"v1\.([A-Za-z0-9_-]{16,64})\.([0-9]{1,12})\.[A-Za-z0-9_-]{43}", re.ASCII)
_PURPOSE = b"pustaka visitor v1"
_IPV6_PREFIX = 64  # what one household or office has


@dataclass(frozen=True, slots=True)
class Visitor:
    """For whom the API is asked: the token that names the visitor, and the address the visitor comes from, if known."""

    token: str = field(repr=False)
    address: str | None = None

    @property
    def visitor_id(self) -> str:
        """Which visitor it is; tokens of the same visitor differ in when they end."""
        return self.token.split(".")[1]

    @property
    def network(self) -> str:
        """Where the visitor comes from: an IPv4 address, or the first 64 bits of an IPv6 address; "" where that is not
        known."""
        try:
            address = ipaddress.ip_address(self.address or "")
        except ValueError:
            return ""
        if isinstance(address, ipaddress.IPv6Address):
            return str(address.ipv4_mapped or ipaddress.ip_network((int(address), _IPV6_PREFIX), strict=False))
        return str(address)

    @property
    def headers(self) -> dict[str, str]:
        """What names the visitor in a request."""
        address = {"X-Visitor-Address": self.address} if self.address else {}
        return {"X-Visitor-Id": self.token, **address}


def make_token(page_key: str) -> str:
    """The token of a visitor who has not been here before."""
    return sign_visitor(page_key, secrets.token_urlsafe(16), _later())


def make_user_token(page_key: str, issuer: str, subject: str) -> str:
    """The token of somebody who has signed in: the same visitor in every browser."""
    digest = hmac.digest(page_key.encode(), f"{issuer} {subject}".encode(), "sha256")
    return sign_visitor(page_key, _base64(digest), _later())


def renew_token(page_key: str, token: str) -> str | None:
    """*token* where it is valid, renewed for the same visitor when half its time is over; None where it is not."""
    parts = _TOKEN.fullmatch(token)
    if parts is None or not hmac.compare_digest(sign_visitor(page_key, parts[1], int(parts[2])), token):
        return None
    left_s = int(parts[2]) - time.time()
    if left_s <= 0:
        return None
    return token if left_s > LIFETIME_S / 2 else sign_visitor(page_key, parts[1], _later())


def sign_visitor(page_key: str, visitor_id: str, expires_at: int) -> str:
    """The token of a visitor, valid until *expires_at*, in seconds since 1970."""
    signed = f"v1.{visitor_id}.{expires_at}"
    key = hmac.digest(page_key.encode(), _PURPOSE, "sha256")
    return f"{signed}.{_base64(hmac.digest(key, signed.encode(), 'sha256'))}"


def _base64(digest: bytes) -> str:
    return urlsafe_b64encode(digest).decode().rstrip("=")


def _later() -> int:
    return int(time.time()) + LIFETIME_S
